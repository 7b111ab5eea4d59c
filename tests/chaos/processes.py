"""Processes of their own, which are really killed.

They are forked from a server that has imported everything, so that a life costs milliseconds.
"""

import asyncio
import gc
import multiprocessing
import os
import sys
from collections.abc import Awaitable, Callable
from functools import cache
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from typing import Any

import pytest

from martech.app import installed

Say = Callable[[Any], None]
Work = Callable[..., Awaitable[None]]

PATIENCE = 30.0  # seconds until a child that says nothing counts as stuck
KILLED = -9


@cache
def server() -> ForkServerContext:
    """What processes are forked from."""
    context = multiprocessing.get_context("forkserver")
    modules = [f"martech.modules.{name}.module" for name in installed()]
    context.set_forkserver_preload(["pytest", "tests.chaos.children", "tests.commands", *modules])
    with pytest.MonkeyPatch.context() as changed:
        changed.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
        # rich keeps what it finds when it is imported; readline, which pytest imports, sets it
        # without telling os.environ
        changed.delenv("COLUMNS", raising=False)
        os.unsetenv("COLUMNS")
        forkserver.ensure_running()
    return context


class Child:
    """A process doing *work*, which is given a way to say things and *args*."""

    def __init__(self, work: Work, *args: Any) -> None:
        context = server()
        self._ear, mouth = context.Pipe(duplex=False)
        self._process = context.Process(target=_do, args=(work, mouth, args), daemon=True)
        self._process.start()
        mouth.close()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def lives(self) -> bool:
        return self._process.exitcode is None

    async def said(self) -> Any:
        """What it says next. Raises `EOFError` if it ended instead."""
        return await asyncio.to_thread(self._hear)

    async def ended(self, patience: float = PATIENCE) -> int | None:
        """Its exit code (`KILLED` after a kill), or None if it still lives after *patience*."""
        await asyncio.to_thread(self._process.join, patience)
        return self._process.exitcode

    async def kill(self) -> None:
        self._process.kill()
        assert await self.ended() is not None
        self._ear.close()

    def _hear(self) -> Any:
        if not self._ear.poll(PATIENCE):
            raise TimeoutError("The child says nothing.")
        return self._ear.recv()


def _do(work: Work, mouth: Connection, args: tuple[Any, ...]) -> None:
    gc.freeze()  # what was imported before stays shared with the server
    asyncio.run(_main(work, mouth, args))


async def _main(work: Work, mouth: Connection, args: tuple[Any, ...]) -> None:
    await work(mouth.send, *args)
