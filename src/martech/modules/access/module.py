from martech.kernel.module import Module
from martech.modules.access import contract, http, service, tables

module = Module(
    port=contract.Access,
    service=service.AccessService,
    tables=tables.metadata,
    controllers=[
        http.TenantController,
        http.UserController,
        http.KeyController,
        http.AuditController,
    ],
    resources=[service.Catalogue],
)
