from martech.kernel.module import Module, Projection
from martech.modules.profiles import contract, handlers, http, service, tables

module = Module(
    port=contract.Profiles,
    service=service.ProfileService,
    tables=tables.metadata,
    controllers=[http.PeopleController, http.ActivityController],
    subscriptions=[handlers.record_what_was_tracked],
    projections=[
        Projection(
            of=handlers.record_what_was_tracked,
            tables=[tables.profiles, tables.identities, tables.activities, tables.counts],
            beside=[tables.consents],  # what people say to us is recorded there, too
            renumbered={tables.consents.c.identity: tables.identities},
        )
    ],
)
