from martech.kernel.module import Module
from martech.modules.analytics import adapters, contract, domain, handlers, http, service, tables

module = Module(
    port=contract.Analytics,
    service=service.AnalyticsService,
    tables=tables.metadata,
    controllers=[http.FiguresController],
    subscriptions=[handlers.keep_what_people_did, handlers.keep_what_became_of_messages],
    store=domain.EventStore,
    engines={"duckdb": adapters.DuckStore},
)
