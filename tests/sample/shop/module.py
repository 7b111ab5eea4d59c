from martech.kernel.module import Module
from tests.sample.shop import contract, http, service, tables

module = Module(
    port=contract.Shop,
    service=service.ShopService,
    tables=tables.metadata,
    controllers=[http.ShopController],
    protocols=[http.Protocol],
)
