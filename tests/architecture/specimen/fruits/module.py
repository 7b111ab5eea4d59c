from martech.modules.fruits import contract, http, service, tables

from martech.kernel.module import Module

module = Module(
    port=contract.Fruits,
    service=service.FruitService,
    tables=tables.METADATA,
    controllers=[http.FruitController],
)
