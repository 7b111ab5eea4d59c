"""Mails that go nowhere: they are written to the log, and count as accepted. Whoever looks at a
send is told so."""

import logging
from collections.abc import Sequence

from martech.modules.delivery.adapters.mails import Tell
from martech.modules.delivery.domain.outcomes import Accepted, Posted, Reachability

log = logging.getLogger(__name__)


class Console:
    async def send(self, letters: Sequence[Posted], tell: Tell, *, within: float) -> None:
        for letter in letters:
            log.info("mail to %s:\n%s", letter.to, letter.data.decode(errors="replace"))
            tell(letter.id, Accepted("250 written to the log"))

    def status(self) -> Reachability:
        return Reachability(server="console:", reachable=True, error=None, retry_in=None)

    async def close(self) -> None:
        """There is nothing to close."""
