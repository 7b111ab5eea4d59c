from martech.modules.baskets import contract, handlers, http, jobs, service, tables

from martech.kernel.module import Module

module = Module(
    port=contract.Baskets,
    service=service.BasketService,
    tables=tables.METADATA,
    controllers=[http.BasketController],
    subscriptions=[handlers.note_what_is_ripe],
    jobs=[jobs.send_basket],
)
