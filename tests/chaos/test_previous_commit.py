"""A module of the previous commit works beside HEAD's others, and HEAD's beside its others.

`make chaos` has every module of the one beside the rest of the other, both ways, on both databases,
and compares everything that is left. Without git's history nobody can be asked what the previous
commit was: then this fails, and says so.
"""

import subprocess
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from itertools import count
from pathlib import Path
from time import monotonic

import pytest

from martech.app import installed, load
from martech.kernel import migrate
from tests import databases
from tests.chaos.choosing import whole_on
from tests.chaos.nodes import ROOT, Topology, monolith, nodes, one_outside
from tests.chaos.tale import BUYERS, LATE, Answers, tell
from tests.chaos.test_topologies import figures
from tests.chaos.worlds import World, difference, world
from tests.sinks.smtp import sink

pytestmark = [pytest.mark.whole, pytest.mark.anyio, pytest.mark.timeout(7200)]

EXPECTED = [BUYERS, BUYERS + LATE - 1]  # one wants no more

Told = tuple[World, Answers]
Tell = Callable[[str, Topology, Mapping[str, Path]], Awaitable[Told]]


@cache
def previous() -> str:
    """The last commit whose code is another than HEAD's: where this branch left main, or else what
    was there before the last change of `src`."""
    branched = _git("merge-base", "HEAD", "origin/main")
    if branched and branched != _git("rev-parse", "HEAD"):
        return branched
    found = _git("rev-parse", "--verify", "--quiet", f"{_git('rev-list', '-1', 'HEAD', 'src')}~1")
    assert found, (
        "Whether HEAD works beside the previous commit cannot be asked: there is no git history "
        "here (an archive, or a clone of one commit). Fetch it: git fetch --unshallow."
    )
    return found


def _git(*asked: str) -> str:
    said = subprocess.run(["git", *asked], cwd=ROOT, capture_output=True, text=True, check=False)
    return said.stdout.strip()


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The tree of the previous commit: its code and its migrations."""
    tree = tmp_path / "previous"
    tree.mkdir()
    packed = subprocess.run(
        ["git", "archive", previous(), "src", "migrations"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    subprocess.run(["tar", "-x", "-C", tree], input=packed.stdout, check=True)
    return tree


@pytest.fixture
def told(tmp_path: Path, record_property: Callable[[str, object], None]) -> Tell:
    """Tells the story in a topology, in which some modules run another tree's code."""

    numbers = count()

    async def telling(kind: str, topology: Topology, sources: Mapping[str, Path]) -> Told:
        name = " + ".join(part[0] for part in topology)
        folder = tmp_path / f"{next(numbers)}"
        async with (
            sink() as server,
            nodes(topology, kind, folder, server, sources=sources) as platform,
        ):
            began = monotonic()
            answers = await tell(platform, server)
            record_property("said", f"{name}, {kind}: {monotonic() - began:.1f} s")
        for module in load(installed()):
            await migrate.upgrade(module, platform.databases[module.name])
        return await world(platform.databases, platform.stores), answers

    return telling


def strange(mixed: Told, new: Told, old: Told) -> list[str]:
    """What two commits together make that neither makes alone.

    Where both end the story in the same world, so must any mixture of them. Where the change
    between them shows in that world, there is still as much of everything as in one of the two, and
    people are shown its figures.
    """
    if not difference(new[0], old[0]):
        return difference(new[0], mixed[0])
    sizes = [Counter(where for where, _ in told[0]) for told in (mixed, new, old)]
    differing = [
        f"{where}: {sizes[0][where]} rows, and not {sizes[1][where]} or {sizes[2][where]}"
        for where in sorted(set().union(*sizes))
        if sizes[0][where] not in (sizes[1][where], sizes[2][where])
    ]
    shown = figures(mixed[1])
    if shown not in (figures(new[1]), figures(old[1])):
        differing.append(f"the API says {shown}")
    return differing


def delivered(told: Told) -> list[int]:
    """How many the two campaigns of the story have reached."""
    return [told[1][name]["counts"]["delivered"] for name in ("the first", "the second")]


@pytest.mark.only_full
async def test_modules_of_two_commits_work_beside_each_other(told: Tell, old: Path) -> None:
    """Each has its databases as its own code makes them; they are brought up to date before they
    are compared."""
    for kind in databases.KINDS:
        new = await told(kind, monolith(), {})
        before = await told(kind, monolith(), dict.fromkeys(installed(), old))
        assert delivered(new) == EXPECTED
        for module in installed():
            rest = [name for name in installed() if name != module]
            for olds in ([module], rest):
                mixed = await told(kind, one_outside(module), dict.fromkeys(olds, old))
                differs = strange(mixed, new, before)
                assert not differs, "\n".join([f"{olds} of {previous()[:12]}", *differs])


@pytest.mark.only_full
@pytest.mark.planted
async def test_a_field_that_the_previous_commit_told_under_another_name_is_found_out(
    told: Tell, old: Path
) -> None:
    """By the story itself, which waits in vain for somebody who buys."""
    contract = old / "src" / "martech" / "modules" / "profiles" / "contract.py"
    ours = contract.read_text()
    theirs = ours.replace("class Activity(Item,", 'class Activity(Item, rename={"event": "what"},')
    assert theirs != ours
    contract.write_text(theirs)
    with pytest.raises(AssertionError, match="the segment is ready: not within"):
        await told(whole_on(), one_outside("profiles"), {"profiles": old})


def test_a_mixture_may_only_end_as_one_of_both_would() -> None:
    one: World = [("told", {"sum": 1}), ("told", {"sum": 2}), ("kept", {"sum": 3})]
    other: World = [*one, ("kept", {"sum": 4})]
    new, before = (one, {"sum": 3}), (other, {"sum": 4})
    assert not strange(new, new, new)
    assert strange((one[1:], {"sum": 3}), new, new)
    assert strange((other, {"sum": 3}), new, new)
    assert not strange((other, {"sum": 3}), new, before)
    assert strange((one[1:], {"sum": 3}), new, before)
    assert strange((other, {"sum": 5}), new, before)
