"""R2: whatever happens to one module, nobody else's routes notice; and once it is well again the
world is the one that there would be without it.

`make test` kills each module in turn; `make chaos` breaks each in every way, on both databases, and
writes docs/blast-radius.md.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import monotonic

import pytest

from martech.app import installed
from tests import databases
from tests.chaos.blast import FAULTS, UNKNOWN, Fault, Mix, Unsteady, exhausted, killed
from tests.chaos.choosing import broken_on
from tests.chaos.history import GuaranteeBroken, Vacuous
from tests.chaos.nodes import ROOT, Nodes, all_apart, monolith, nodes, one_outside
from tests.chaos.tale import PEOPLE, loyal, still, template, track, visitor
from tests.chaos.wire import Leaning, Wire
from tests.chaos.worlds import World, difference, world
from tests.sinks.smtp import sink

pytestmark = [pytest.mark.whole, pytest.mark.anyio, pytest.mark.timeout(3600)]

PAGE = ROOT / "docs" / "blast-radius.md"
LEANED_ON = {name: fault for name, fault in FAULTS.items() if fault is not exhausted}
"""What somebody notices who only asks whether a module lives."""

LEDGER, SENT = "tracking.ledger", {"received", "duplicate"}
"""Where tracking counts what it was sent. (What of that was accepted must be the same.)"""

KIND = re.compile(r"^\w+ \S+: |(?<=: \d{3}) .*", re.DOTALL)
"""All of what was wrong but its kind: the route before it, and the body behind a status."""

Matrix = Mapping[tuple[str, str], Unsteady]
"""By module and fault."""


async def prepared(platform: Nodes) -> Mix:
    """People are in, there is a segment, and something to send them."""
    await track(platform, [said for number in range(PEOPLE) for said in visitor(number)])
    segment, content = await loyal(platform), await template(platform)
    mix = Mix(platform, segment, content, [await person(platform, n) for n in range(PEOPLE)])
    assert dict(await mix.ask()) == {}
    return mix


async def small(platform: Nodes) -> Mix:
    """With as little as the mix can do with."""
    await track(platform, visitor(0))
    rule = {"name": "Somebody", "condition": UNKNOWN}
    segment = (await platform.do("POST", "/personalization/v1/segments", rule))["id"]
    draft = {"name": "Hello", "subject": "Hello", "text": "Hello"}
    content = (await platform.do("POST", "/content/v1/templates", draft))["id"]
    mix = Mix(platform, segment, content, [await person(platform, 0)])
    assert dict(await mix.ask()) == {}
    return mix


async def person(platform: Nodes, number: int) -> str:
    found = await platform.do("GET", f"/profiles/v1/people/lookup?kind=user_id&value=p{number}")
    return str(found["id"])


async def broken(mix: Mix, module: str, fault: Fault, rounds: int) -> Unsteady:
    """Who left steady state while *module* was broken, in so many *rounds* of the mix; when this
    returns all is well again."""
    unsteady: dict[str, list[str]] = {}
    async with fault(mix.platform, mix.platform.of[module]):
        for _ in range(rounds):
            for name, said in (await mix.ask(module)).items():
                unsteady.setdefault(name, []).extend(said)
    await mix.again(module)
    return unsteady


def check(matrix: Matrix) -> None:
    """Raise `GuaranteeBroken` unless only the broken module's routes left steady state, and
    `Vacuous` if one of the faults was none."""
    for (module, fault), unsteady in matrix.items():
        if others := {name: said[:3] for name, said in unsteady.items() if name != module}:
            raise GuaranteeBroken(f"{module} {fault}: {others}")
        if not unsteady:
            raise Vacuous(f"{module} {fault}: nobody noticed")


async def faulted(
    kind: str,
    folder: Path,
    faults: Mapping[str, Fault],
    modules: Sequence[str],
    rounds: int,
) -> tuple[Matrix, World]:
    """Each of *modules*, alone in its process, broken in every way."""
    matrix: dict[tuple[str, str], Unsteady] = {}
    async with sink() as server:
        async with nodes(all_apart(), kind, folder, server, wires=plain) as platform:
            mix = await prepared(platform)
            for module in modules:
                for name, fault in faults.items():
                    matrix[module, name] = await broken(mix, module, fault, rounds)
            await still(platform)
        return matrix, await world(platform.databases, platform.stores)


async def undisturbed(kind: str, folder: Path, times: int) -> World:
    """The same requests, and nothing is ever broken."""
    async with sink() as server:
        async with nodes(monolith(), kind, folder, server) as platform:
            mix = await prepared(platform)
            for _ in range(times):
                assert dict(await mix.ask()) == {}
            await still(platform)
        return await world(platform.databases, platform.stores)


def once(left: World) -> World:
    """Without how often something was sent: what was late and is sent again was received twice."""
    return [
        (where, {k: v for k, v in row.items() if where != LEDGER or k not in SENT})
        for where, row in left
    ]


def plain(ports: Sequence[int]) -> Sequence[Wire]:
    return [Wire("127.0.0.1", port) for port in ports]


def leaning(ports: Sequence[int]) -> Sequence[Wire]:
    """The first process cannot do without the second."""
    first, second = ports
    other = Wire("127.0.0.1", second)
    return [Leaning("127.0.0.1", first, on=other), other]


async def test_what_breaks_one_module_breaks_nobody_else(
    tmp_path: Path, full: bool, record_property: Callable[[str, object], None]
) -> None:
    faults, rounds = (FAULTS, 2) if full else ({"killed": killed}, 1)
    for kind in databases.KINDS if full else [broken_on()]:
        folder, began = tmp_path / kind, monotonic()
        matrix, left = await faulted(kind, folder / "faulted", faults, installed(), rounds)
        record_property("said", f"{len(matrix)} faults, {kind}: {monotonic() - began:.0f} s")
        if full:
            write(matrix, kind)
        check(matrix)
        whole = await undisturbed(kind, folder / "whole", rounds * len(matrix))
        assert not (differs := difference(once(whole), once(left))), "\n".join(differs)


@pytest.mark.planted
async def test_a_module_that_cannot_do_without_another_is_found_out(
    tmp_path: Path, full: bool
) -> None:
    """Also one that only waits for it: being late once is no proof, being late all the time is."""
    faults, rounds = (LEANED_ON, 2) if full else ({"killed": killed}, 1)
    async with (
        sink() as server,
        nodes(one_outside("content"), broken_on(), tmp_path, server, wires=leaning) as platform,
    ):
        mix = await small(platform)
        for name, fault in faults.items():
            matrix = {("content", name): await broken(mix, "content", fault, rounds)}
            with pytest.raises(GuaranteeBroken, match=rf"content {name}: .*access"):
                check(matrix)


def test_a_fault_that_nobody_notices_shows_nothing() -> None:
    noticed = {("content", "killed"): {"content": ["GET /content/v1/templates: hung up"]}}
    check(noticed)
    with pytest.raises(Vacuous, match="analytics pool exhausted: nobody noticed"):
        check({**noticed, ("analytics", "pool exhausted"): {}})


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
    """What happened, each kind of wrong answer as often as it came."""
    others = [f"**{name}: {_counted(unsteady[name])}**" for name in sorted({*unsteady} - {module})]
    return "; ".join([_counted(unsteady.get(module, [])) or "nobody noticed", *others])


def _counted(said: Sequence[str]) -> str:
    kinds = Counter(KIND.sub("", one) for one in said)
    return ", ".join(f"{times} × {kind}" for kind, times in kinds.most_common())
