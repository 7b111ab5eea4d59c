from martech.kernel.module import Module
from tests.sample.shop import contract, service, tables

module = Module(port=contract.Shop, service=service.ShopService, tables=tables.metadata)
