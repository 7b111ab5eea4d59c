"""R2: whatever happens to one module, nobody else's routes notice; and once it is well again the
world is the one that there would be without it.

`make test` kills each module in turn; `make chaos` breaks each in every way, on both databases, and
writes docs/blast-radius.md.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from martech.app import installed
from tests import databases
from tests.chaos.blast import FAULTS, ROUNDS, Fault, Mix, Unsteady, killed
from tests.chaos.choosing import broken_on
from tests.chaos.history import GuaranteeBroken, insist
from tests.chaos.nodes import (
    ROOT,
    Node,
    Nodes,
    Topology,
    all_apart,
    monolith,
    nodes,
    one_outside,
)
from tests.chaos.tale import PEOPLE, loyal, still, template, track, visitor
from tests.chaos.wire import Leaning, Wire
from tests.chaos.worlds import World, difference, world
from tests.sinks.smtp import sink

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(3600)]

PAGE = ROOT / "docs" / "blast-radius.md"
Wires = Callable[[Sequence[int]], Sequence[Wire | None]]
Matrix = Mapping[tuple[str, str], Unsteady]
"""By module and fault."""


async def prepared(platform: Nodes) -> Mix:
    """People are in, there is a segment, and something to send them."""
    await track(platform, [said for number in range(PEOPLE) for said in visitor(number)])
    mix = Mix(platform, await loyal(platform), await template(platform))
    assert dict(await mix.ask()) == {}
    return mix


async def broken(mix: Mix, node: Node, fault: Fault) -> Unsteady:
    """Who left steady state while *node* was broken; when this returns all is well again."""
    unsteady: dict[str, list[str]] = {}
    async with fault(mix.platform, node):
        for _ in range(ROUNDS):
            for module, said in (await mix.ask()).items():
                unsteady.setdefault(module, []).extend(said)
    await mix.again()
    return unsteady


def check(matrix: Matrix) -> None:
    """Raise `GuaranteeBroken` unless only the broken module's routes left steady state."""
    for (module, fault), unsteady in matrix.items():
        if others := {name: said[:3] for name, said in unsteady.items() if name != module}:
            raise GuaranteeBroken(f"{module} {fault}: {others}")
    hit = sum(module in unsteady for (module, _), unsteady in matrix.items())
    insist(faults=hit, wanted=len(matrix), tried=len(matrix), planned=len(matrix))


async def faulted(
    kind: str,
    folder: Path,
    faults: Mapping[str, Fault],
    modules: Sequence[str],
    topology: Topology,
    wires: Wires,
) -> tuple[Matrix, World]:
    """Each of *modules*, alone in its process, broken in every way."""
    matrix: dict[tuple[str, str], Unsteady] = {}
    async with sink() as server:
        async with nodes(topology, kind, folder, server, wires=wires) as platform:
            mix = await prepared(platform)
            for module in modules:
                for name, fault in faults.items():
                    matrix[module, name] = await broken(mix, platform.of[module], fault)
            await still(platform)
            kept = {module: platform.of[module].database for module in installed()}
        return matrix, await world(kept)


async def undisturbed(kind: str, folder: Path, times: int) -> World:
    """The same requests, and nothing is ever broken."""
    async with sink() as server:
        async with nodes(monolith(), kind, folder, server) as platform:
            mix = await prepared(platform)
            for _ in range(times):
                assert dict(await mix.ask()) == {}
            await still(platform)
            kept = {module: platform.of[module].database for module in installed()}
        return await world(kept)


def plain(ports: Sequence[int]) -> Sequence[Wire]:
    return [Wire("127.0.0.1", port) for port in ports]


def leaning(ports: Sequence[int]) -> Sequence[Wire]:
    """The first process cannot do without the second."""
    first, second = ports
    return [Leaning("127.0.0.1", first, on=second), Wire("127.0.0.1", second)]


async def test_what_breaks_one_module_breaks_nobody_else(tmp_path: Path, full: bool) -> None:
    faults = FAULTS if full else {"killed": killed}
    for kind in databases.KINDS if full else [broken_on()]:
        folder = tmp_path / kind
        matrix, left = await faulted(
            kind, folder / "faulted", faults, installed(), all_apart(), plain
        )
        if full:
            write(matrix, kind)
        check(matrix)
        whole = await undisturbed(kind, folder / "whole", ROUNDS * len(matrix))
        assert not (differs := difference(whole, left)), "\n".join(differs)


async def test_a_module_that_cannot_do_without_another_is_found_out(tmp_path: Path) -> None:
    matrix, _ = await faulted(
        broken_on(), tmp_path, {"killed": killed}, ["content"], one_outside("content"), leaning
    )
    with pytest.raises(GuaranteeBroken, match=r"content killed: .*access"):
        check(matrix)


def write(matrix: Matrix, kind: str) -> None:
    """The page of this run: one table a database."""
    faults = list(dict.fromkeys(fault for _, fault in matrix))
    rows = [
        [module, *(_said(module, matrix[module, fault]) for fault in faults)]
        for module in installed()
    ]
    lines = ["| broken | " + " | ".join(faults) + " |", "|---|" + "---|" * len(faults)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    begin, end = f"<!-- {kind} -->", f"<!-- end of {kind} -->"
    before, _, rest = PAGE.read_text().partition(begin)
    _, _, after = rest.partition(end)
    PAGE.write_text(f"{before}{begin}\n" + "\n".join(lines) + f"\n{end}{after}")


def _said(module: str, unsteady: Unsteady) -> str:
    others = sorted(set(unsteady) - {module})
    if others:
        return "**" + ", ".join(others) + "**"
    return "itself" if unsteady else "nobody"
