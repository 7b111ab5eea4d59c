"""One lane of a send: claim, write, hand over, settle; and again.

    one transaction          settle what was handed over, claim the next
    no transaction           write the mails, hand them to the server, hear what became of them

Between a claim and the beginning of its mail lies `CLAIMED`, or hardly more: so who unsubscribes
meanwhile is not written to a second later. What was not begun by then is given back; for the word
on what was begun we wait as long as the server takes. A holder that dies leaves its claims behind;
whoever has the lane next declares them ambiguous, for nobody knows.
"""

from collections.abc import AsyncIterator, Sequence
from uuid import UUID

from martech.kernel.errors import Unavailable
from martech.kernel.module import Unit
from martech.modules.delivery.adapters.post import Post
from martech.modules.delivery.adapters.running import Running
from martech.modules.delivery.domain.claims import Claim, Claimed
from martech.modules.delivery.domain.commands import Deliver
from martech.modules.delivery.domain.links import Signer
from martech.modules.delivery.domain.outcomes import Ambiguous, NotTried, Outcome, Posted
from martech.modules.delivery.domain.sends import Held, unreachable
from martech.modules.delivery.domain.settling import Result, Unmade
from martech.modules.delivery.service import DeliveryService
from martech.modules.delivery.service.writing import Writer

SLICE = 2.0
"""Seconds that one command goes on; then others have their turn."""

CLAIMED = 0.5
"""Seconds after the claim until which a mail may be begun."""

FEWEST, MOST = 1, 200
"""Messages of a batch."""

ALONE = 0.5
"""Seconds in which one alone may be begun, however long it took to claim and to write it: where all
is slow, something must leave all the same."""

REST = 0.25
"""Seconds that a lane waits with nothing in hand, rather than come again as a new command."""

AWAY = 30.0
"""Seconds until a server that is away is tried again, at most."""

BREATH = 0.02
"""Seconds that mails are written in one go, while nobody else on this loop can do anything; one is
written to its end."""

DEAR = 0.05
"""Seconds of the processor that a mail may take to write; a usual one takes a few thousandths.
Sends with dearer ones go on in one lane, and in turns."""

STUBBORN = 240
"""Times that a settlement is tried while the database is away."""

DIED = Ambiguous("The process that had it in hand ended before it knew what became of it.")
GIVEN_BACK = NotTried("It was given back before it was begun.")


class Lane:
    def __init__(
        self,
        command: Deliver,
        unit: Unit[DeliveryService],
        post: Post,
        writer: Writer,
        running: Running,
    ) -> None:
        self._send_id, self._lane = command.send_id, command.lane
        self._unit = unit
        self._post = post
        self._writer = writer
        self._running = running
        self._size = running.batch(command.send_id)
        self._results: dict[UUID, Result] = {}
        self._otherwise: Outcome = DIED  # of what is in the lane before we claim anything
        self._began = 0.0
        self._shared = False
        self._wait: float | None = None  # of who has written what is dear, until the next turn
        self._observed: bool | None = None

    async def run(self) -> None:
        async with self._unit() as service:
            signer = await service.signer()
        end = self._running.now() + SLICE
        try:
            while claim := await self._turn(last=self._running.now() > end):
                await self._carry(claim, signer)
        except BaseException:
            await self._running.finished(self._turn(last=True))  # nothing stays in our hands
            raise

    async def _turn(self, *, last: bool) -> Claim | None:
        """Settle and claim; None when it is over. What the server said is not forgotten because a
        database is away: it is written as soon as that is back."""
        for _ in range(STUBBORN):
            try:
                return await self._settle_and_claim(last=last)
            except Unavailable:
                if not self._results:
                    raise
                last = True  # our lease may run out meanwhile: nothing more is claimed under it
                await self._running.rest(REST)
        raise Unavailable("The database was away for too long.")

    async def _settle_and_claim(self, *, last: bool) -> Claim | None:
        async with self._unit() as service:
            held = await service.hold(self._send_id)
            await service.settle(
                held,
                self._lane,
                self._results,
                otherwise=self._otherwise,
                retry=self._writer.retry,
            )
            away = await self._observe(service, held)
            wait = self._wait if away is None else away
            self._began = self._running.now()
            claim = await service.claim(held, self._lane, 0 if last or wait else self._size)
            if not claim.messages:
                await service.end_row(held)
            if claim.more and self._observed and not self._shared:
                service.share(held, self._lane)  # the server takes mails, so they find work
                self._shared = True
            over = await self._go_on(service, held, claim, last=last, wait=wait)
            await service.finish(held)
        self._results, self._otherwise, self._wait = {}, GIVEN_BACK, None
        if over or claim.messages:
            return None if over else claim
        if claim.again_at is not None:
            await self._running.rest(max(0.0, (claim.again_at - claim.at).total_seconds()))
        return claim

    async def _go_on(
        self, service: DeliveryService, held: Held, claim: Claim, *, last: bool, wait: float | None
    ) -> bool:
        """Whether this command has done its part; what remains is enqueued. Where all wait, for a
        server, a turn or a time, one lane comes and looks; it calls the others if that is worth
        it."""
        if claim.messages:
            return False
        if wait is not None:
            service.again(held, 0, wait)
            return True
        if claim.again_at is None:
            return True
        due_in = (claim.again_at - claim.at).total_seconds()
        if last or due_in > REST:
            service.again(held, self._lane if last else 0, due_in)
            return True
        return False

    async def _observe(self, service: DeliveryService, held: Held) -> float | None:
        """Note how the server was found; the seconds until it is to be tried again, if it is
        away."""
        if not self._results:
            return None
        found = self._post.status()
        if found.reachable is not self._observed:
            await service.observe(found)
            self._observed = found.reachable
        if found.reachable is False:
            service.obstruct(held, unreachable(found.server, found.error))
            return min(found.retry_in or REST, AWAY)
        service.clear(held, self._writer.warning)
        return None

    async def _carry(self, claim: Claim, signer: Signer) -> None:
        mails = await self._write(claim, signer)
        left = max(0.0, CLAIMED - (self._running.now() - self._began))
        if mails:
            within = left if len(mails) > 1 else max(left, ALONE)
            await self._post.send(mails, self._hear, within=within)
        self._adapt(len(claim.messages))

    async def _write(self, claim: Claim, signer: Signer) -> list[Posted]:
        """Make the mails, and store where their links lead before any of them leaves."""
        mails: list[Posted] = []
        links: dict[str, str] = {}
        worked: list[float] = []
        async for each in self._in_time(claim.messages):
            began = self._running.worked()
            made = self._writer.write(
                each.id,
                each.person,
                claim.texts,
                signer=signer,
                at=claim.at,
                feedback=claim.feedback,
            )
            worked.append(self._running.worked() - began)
            if isinstance(made, Unmade):
                self._results[each.id] = made
            else:
                mails.append(made.mail)
                links |= made.links
        if _is_dear(worked):
            self._wait = self._running.turn(sum(worked))
        if new := self._writer.unknown(signer.tenant, links):
            async with self._unit() as service:
                await service.store_links(new)
            self._writer.stored(signer.tenant, new)
        return mails

    async def _in_time(self, claimed: Sequence[Claimed]) -> AsyncIterator[Claimed]:
        """Those that there is time to write: half of what is left of it since the claim, the rest
        is for handing them over. The first in any case; between them others have their turn."""
        breathed = self._running.now()
        until = (breathed + self._began + CLAIMED) / 2
        for number, each in enumerate(claimed):
            now = self._running.now()
            if number and now > until:
                return
            if now - breathed > BREATH:
                await self._running.rest(0)
                breathed = self._running.now()
            yield each

    def _hear(self, id_: UUID, outcome: Outcome) -> None:
        self._results[id_] = outcome

    def _adapt(self, claimed: int) -> None:
        """Claim as much as can be handed over in time."""
        done = sum(not isinstance(result, NotTried) for result in self._results.values())
        if done < claimed:
            self._size = max(FEWEST, done * 3 // 4)
        elif claimed == self._size and self._running.now() - self._began < CLAIMED / 2:
            self._size = min(MOST, 2 * self._size)
        self._running.learn(self._send_id, self._size)


def _is_dear(worked: Sequence[float]) -> bool:
    """Of the seconds that each mail took: the first has its template parsed, and a process much
    that it needs only once."""
    usual = worked[1:] or worked
    return sum(usual) > DEAR * len(usual)
