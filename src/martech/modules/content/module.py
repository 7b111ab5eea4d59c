from martech.kernel.module import Module
from martech.modules.content import contract, http, service, tables

module = Module(
    port=contract.Content,
    service=service.ContentService,
    tables=tables.metadata,
    controllers=[http.TemplateController],
    resources=[service.Press],
)
