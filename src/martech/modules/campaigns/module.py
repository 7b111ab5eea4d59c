from martech.kernel.module import Module
from martech.modules.campaigns import contract, handlers, http, jobs, service, tables

module = Module(
    port=contract.Campaigns,
    service=service.CampaignService,
    tables=tables.metadata,
    controllers=[http.CampaignController, http.OrderController, http.StatusController],
    subscriptions=[handlers.keep_status_current],
    jobs=[jobs.start, jobs.advance],
)
