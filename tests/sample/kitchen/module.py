from martech.kernel.module import Module
from tests.sample.kitchen import adapters, contract, jobs, service, tables

module = Module(
    port=contract.Kitchen,
    service=service.KitchenService,
    tables=tables.metadata,
    jobs=[jobs.bake, jobs.deliver],
    resources=[adapters.Street],
)
