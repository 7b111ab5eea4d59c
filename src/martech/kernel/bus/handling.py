"""One subscription of a module, and how what it is told comes to its handler."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from martech.kernel import telemetry
from martech.kernel.db import Transaction, Unit
from martech.kernel.host import Host
from martech.kernel.messages import Fact
from martech.kernel.module import Subscription
from martech.kernel.outbox import Origin

PATIENCE = 8  # attempts before a fact is parked
RETRYING = 0.1  # seconds of a step for what is due again, if there is more of it
DEADLINE = 30.0  # seconds for a whole batch
SHORTEST_DEADLINE = 2.0  # seconds for one fact

Portion = tuple[UUID, list[Fact], list[Origin]]
"""A tenant, its facts, and the origins of the events they stood in."""


class Handling:
    """What handling a batch, and trying again what was set aside, have in common."""

    def __init__(
        self,
        host: Host,
        module: str,
        subscription: Subscription,
        *,
        patience: int = PATIENCE,
        deadline: float = DEADLINE,
        shortest: float = SHORTEST_DEADLINE,
        retrying: float = RETRYING,
    ) -> None:
        """*patience* are the attempts before a fact is parked. *deadline* is for handling a whole
        batch, and less for a smaller one, but never less than *shortest*; waiting for the database
        does not count. *retrying* are the seconds of a step after which no other attempt is begun
        at what is due again."""
        self.host = host
        self.module = module
        self.subscription = subscription
        self.database = host.databases[module]
        self.cursors = host.cursors(module, subscription)
        self.patience = patience
        self.deadline = deadline
        self.shortest = shortest
        self.retrying = retrying
        self.ending = False
        """Whether a step is to end with the transaction that it has begun."""

    @property
    def name(self) -> str:
        return f"{self.module}.{self.subscription.name}"

    def _go_on_unless_ending(self) -> None:
        """Between two transactions: what is done is done, and the rest is told again."""
        if self.ending:
            raise asyncio.CancelledError

    def _in_one_go(
        self, tenant: UUID, facts: list[Fact], origins: list[Origin]
    ) -> Iterator[Portion]:
        """What is handled in one go: all of a tenant's, where the handler takes a batch."""
        if self.subscription.batch:
            yield tenant, facts, list(dict.fromkeys(origins))
            return
        for fact, origin in zip(facts, origins, strict=True):
            yield tenant, [fact], [origin]

    async def _call(self, unit: Unit, tenant: UUID, facts: Sequence[Fact], origin: Origin) -> None:
        service = self._service(unit.of(tenant, origin=origin))
        if self.subscription.batch:
            await self.subscription.handle(facts, service)
            return
        for fact in facts:
            await self.subscription.handle(fact, service)

    @contextmanager
    def _doing(
        self, tenant: UUID, facts: Sequence[Fact], origins: Sequence[Origin]
    ) -> Iterator[Origin]:
        """What *facts* cause comes of the first of *origins*; in the log and among the spans this
        is the work of all."""
        with telemetry.taking_up(
            self.host.process.recorder,
            f"process {self.name}",
            "consumer",
            [origin.traceparent for origin in origins],
            {
                "messaging.system": "martech",
                "messaging.operation.name": "process",
                "messaging.operation.type": "process",
                "messaging.destination.name": f"{self.subscription.source}.outbox",
                "messaging.consumer.group.name": self.name,
                "messaging.batch.message_count": len(facts),
            },
            request=str(origins[0].causation),
            tenant=tenant,
        ) as trace:
            yield origins[0]._replace(traceparent=trace.traceparent)

    def _service(self, tx: Transaction) -> Any:
        return self.host.service(self.module, tx)


async def across(unit: Unit) -> AsyncConnection:
    """The unit's connection, over all tenants."""
    connection = await unit.enter("*")
    return await connection.execution_options(scope="*")
