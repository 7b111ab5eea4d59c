from martech.kernel.module import Module
from martech.modules.tracking import contract, http, jobs, service, tables

module = Module(
    port=contract.Tracking,
    service=service.TrackingService,
    tables=tables.metadata,
    controllers=[http.CountsController, http.RejectionController, http.RetentionController],
    protocols=[http.TrackingController, http.CloudEventController, http.BrowserController],
    jobs=[jobs.forget],
    resources=[service.Intake],
)
