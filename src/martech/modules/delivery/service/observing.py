"""How the mail server was found, for people to see."""

from sqlalchemy import select

from martech.modules.delivery.domain.outcomes import Reachability
from martech.modules.delivery.domain.sends import Held
from martech.modules.delivery.service.rows import Rows
from martech.modules.delivery.tables import servers


class Observing(Rows):
    async def observe(self, found: Reachability) -> None:
        """Note it, with the time since when it is so."""
        mine = select(servers).where(self._mine(servers))
        before = (await self.tx.execute(mine)).one_or_none()
        reachable = bool(found.reachable)
        same = (
            before is not None and before.server == found.server and before.reachable == reachable
        )
        row = {
            "tenant": self.tx.tenant,
            "server": found.server,
            "reachable": reachable,
            "error": None if reachable else found.error,
            "since": before.since if before is not None and same else self.tx.now,
        }
        await self.tx.upsert(
            servers,
            [row],
            keys=["tenant"],
            update=["server", "reachable", "error", "since"],
        )

    def obstruct(self, held: Held, text: str) -> None:
        """It cannot go on because of the mail server."""
        held.obstruct("server", text, self.tx.now)

    def clear(self, held: Held, warning: str | None) -> None:
        """The mail server takes mails; if it did not before, all lanes go on. A *warning* about all
        mails is one about the send."""
        if held.problem is not None and held.problem.kind == "server":
            held.clear("server")
            self._wake(held)
        if warning is None:
            held.clear("printed")
        elif held.problem is None:
            held.obstruct("printed", warning, self.tx.now)
