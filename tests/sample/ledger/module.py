from martech.kernel.module import Module
from tests.sample.ledger import contract, handlers, service, tables

module = Module(
    port=contract.Ledger,
    service=service.LedgerService,
    tables=tables.metadata,
    subscriptions=[handlers.write_sales_down, handlers.write_price_down],
)
