from benchmarks.counter import contract, handlers, service, tables
from martech.kernel.module import Module

module = Module(
    port=contract.Counter,
    service=service.CounterService,
    tables=tables.metadata,
    subscriptions=[handlers.count_activities, handlers.note_entries],
)
