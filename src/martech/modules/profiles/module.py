from martech.kernel.module import Module
from martech.modules.profiles import contract, handlers, http, service, tables

module = Module(
    port=contract.Profiles,
    service=service.ProfileService,
    tables=tables.metadata,
    controllers=[http.PeopleController, http.ActivityController],
    subscriptions=[handlers.record_what_was_tracked],
)
