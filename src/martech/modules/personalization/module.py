from martech.kernel.module import Module
from martech.modules.personalization import contract, handlers, http, jobs, service, tables

module = Module(
    port=contract.Personalization,
    service=service.PersonalizationService,
    tables=tables.metadata,
    controllers=[http.SegmentController, http.PersonController],
    subscriptions=[handlers.keep_segments_current],
    jobs=[jobs.recompute, jobs.expire],
)
