"""A module that another host serves, asked as if it were here."""

from collections.abc import Callable
from time import monotonic
from typing import Any
from uuid import UUID

import msgspec

from martech.kernel import telemetry
from martech.kernel.asking import Asking, left, refuse_late
from martech.kernel.errors import Error, Timeout, Unavailable
from martech.kernel.remote import wire
from martech.kernel.remote.calls import Calls
from martech.kernel.remote.peer import Peer, Said
from martech.kernel.remote.wire import Question
from martech.kernel.resilience import Call

READ, WRITE = 5.0, 30.0
"""Seconds for an answer, unless whoever asks has less."""

HURRIED = 0.5
"""The part of these in which nobody can be said to have failed by not answering."""

MISUNDERSTOOD = 30
"""Seconds until a host is asked again that does not know the question, or not us."""


class RemotePort:
    """The port of *peer*, derived from its `Protocol`. *asking* is on whose behalf it is asked.

    Raises what the module has raised, `Unavailable` if it cannot be asked or what came is not its
    answer, and `Timeout` if none came. After these two, nobody knows whether something was done.
    """

    def __init__(
        self, peer: Peer, port: type, tenant: UUID, asking: Asking | None, calls: Calls
    ) -> None:
        self._peer, self._tenant, self._asking, self._calls = peer, tenant, asking, calls
        self._questions = wire.questions(port)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        question = self._questions.get(name)
        if question is None:
            raise AttributeError(f"{self._peer.name} cannot be asked {name}.")

        async def call(*args: object, **named: object) -> Any:
            refuse_late(self._asking, f"{self._peer.name}.{name}")
            body = question.encode(args, named)
            asked = {"rpc.service": self._peer.name, "rpc.method": name}
            with (
                self._calls.timed(self._peer.name, name),
                telemetry.span(f"{self._peer.name}.{name}", "client", asked),
            ):
                return await self._ask(question, body)

        return call

    async def _ask(self, question: Question, body: bytes) -> Any:
        """Ask; and, if nothing came of it and it changes nothing, once more: most often a kept-open
        connection was closed over there in that moment."""
        usual = READ if question.reads else WRITE
        until = monotonic() + left(usual)
        self._peer.budget.earn()
        try:
            return await self._try(question, body, until, usual)
        except Unavailable as error:
            if not (question.reads and _lost(error) and self._peer.budget.spend()):
                raise
        return await self._try(question, body, until, usual)

    async def _try(self, question: Question, body: bytes, until: float, usual: float) -> Any:
        within = until - monotonic()
        if within <= 0:
            raise Timeout(f"There was no time left to ask {self._peer.name}.{question.name}.")
        call = self._peer.breaker.enter()
        if call is None:
            raise Unavailable(
                f"{self._peer.name} has failed too often of late; it is asked again in a moment.",
                retry_after=max(1, round(self._peer.breaker.rest())),
            )
        try:
            answer = await self._answer(question, body, within)
        except Error as error:
            _blame(call, error, hurried=within < HURRIED * usual)
            raise
        except BaseException:
            call.left()
            raise
        call.succeeded()
        return answer

    async def _answer(self, question: Question, body: bytes, within: float) -> Any:
        said = await self._peer.call(
            "POST",
            f"{wire.PREFIX}/{self._peer.name}/{question.name}",
            within=within,
            body=body,
            headers=wire.headers(self._tenant, self._asking, within),
        )
        if said.status != 200:
            raise self._refused(question, said)
        try:
            return question.answers.decode(said.body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Unavailable(
                f"What {self._peer.name} at {self._peer.url} answered to {question.name} cannot be "
                f"read: {error}. Are both hosts of one version?"
            ) from error

    def _refused(self, question: Question, said: Said) -> Error:
        """What the module has raised; or, of whoever else refused, that it cannot be asked."""
        problem = wire.refused(said.body)
        if problem is not None and problem.module == self._peer.name:
            return wire.error_of(problem)
        detail = problem.detail if problem else "That is no answer of ours; what stands between?"
        return Unavailable(
            f"{self._peer.name} at {self._peer.url} answered {said.status} to {question.name}: "
            f"{detail}",
            retry_after=MISUNDERSTOOD if said.status < 500 else said.retry_after,
        )


def _lost(error: Unavailable) -> bool:
    """Whether it may be different at once: nobody said when, and no time was waited for it."""
    return error.retry_after is None and not isinstance(error, Timeout)


def _blame(call: Call, error: Error, *, hurried: bool) -> None:
    """Whether *error* is the peer's failure. Whoever refuses, or says when to ask again, is well;
    whoever was in a hurry cannot tell."""
    if isinstance(error, Timeout) and hurried:
        call.left()
    elif error.status >= 500 and error.retry_after is None:
        call.failed()
    else:
        call.succeeded()
