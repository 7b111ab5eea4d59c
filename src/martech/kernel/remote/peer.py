"""Another host of this installation, spoken to over one kept-open client."""

import asyncio
import logging
import re
from collections.abc import Mapping
from typing import NamedTuple

from aiohttp import (
    ClientError,
    ClientSession,
    ClientTimeout,
    ConnectionTimeoutError,
    DummyCookieJar,
)

from martech.kernel.errors import Timeout, Unavailable
from martech.kernel.resilience import Breaker, Budget, State
from martech.kernel.trouble import Trouble

log = logging.getLogger(__name__)

CONNECT = 2.0  # seconds until a host that does not take connections counts as away

LONGEST = 30  # seconds of a `Retry-After` that are believed: some proxies say a day


_WHOLE = re.compile(r"[0-9]{1,9}")


class Said(NamedTuple):
    status: int
    body: bytes
    retry_after: int | None = None
    """Seconds until whoever is full, or stops, is to be asked again; None if that was not said."""


class Peer:
    """The host that serves module *name*. It belongs to one event loop."""

    def __init__(self, name: str, url: str, secret: str) -> None:
        self.name = name
        self.url = url
        self.breaker = Breaker(changed=self._say)
        self.budget = Budget()
        """Both are of questions to its port; whoever follows its outbox waits for it anyway."""

        self._trouble = Trouble(log)
        self._headers = {"authorization": f"Bearer {secret}"}
        self._session: ClientSession | None = None

    async def call(
        self,
        method: str,
        path: str,
        *,
        within: float,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Said:
        """One request and its answer, whatever its status. Raises `Unavailable`, or its `Timeout`
        when there is none *within* so many seconds."""
        patience = ClientTimeout(total=within, sock_connect=min(CONNECT, within))
        try:
            async with self._client().request(
                method,
                self.url + path,
                params=params,
                data=body,
                headers=headers,
                timeout=patience,
                allow_redirects=False,
            ) as answer:
                later = answer.headers.get("retry-after", "")
                said = Said(answer.status, await answer.read(), _seconds(later))
        except ConnectionTimeoutError as exc:
            raise self._away(f"{self.name} takes no connection at {self.url}.") from exc
        except TimeoutError as exc:
            raise Timeout(f"{self.name} did not answer within {within:.3g} s.") from exc
        except (ClientError, OSError) as exc:
            raise self._away(f"{self.name} cannot be reached at {self.url}.") from exc
        self._trouble.ends(f"{self.name} at {self.url} answers again")
        return said

    def _away(self, why: str) -> Unavailable:
        self._trouble.begins(f"{self.name} is away", why)
        return Unavailable(why)

    def _say(self, state: State) -> None:
        if state == "open":
            log.warning("%s at %s fails, and is asked nothing for a moment", self.name, self.url)
        elif state == "closed":
            log.info("%s at %s is asked again", self.name, self.url)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            await asyncio.sleep(0)  # aiohttp closes its sockets on the next turn of the loop

    def _client(self) -> ClientSession:
        if self._session is None:
            self._session = ClientSession(headers=self._headers, cookie_jar=DummyCookieJar())
        return self._session


def _seconds(later: str) -> int | None:
    """A `Retry-After` in whole seconds; of a date nothing is known here, for clocks differ."""
    return min(int(later), LONGEST) or None if _WHOLE.fullmatch(later) else None
