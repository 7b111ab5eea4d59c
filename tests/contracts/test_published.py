"""contracts/ and docs/modules/ are what we have promised: a change is a decision, and a diff."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

from martech.app import describe, installed, load
from martech.kernel.files import faces
from martech.kernel.published import canvas, files

ROOT = Path(__file__).parents[2]


@cache
def derived() -> Mapping[str, str]:
    """What the code says, by the path of the file that says it."""
    return files(load(installed()), describe)


def published() -> list[str]:
    """What is there, but for what modules that left have promised: their code says it elsewhere."""
    there = [
        *(path for path in ROOT.glob("contracts/*/*.json") if path.parent.name in installed()),
        *ROOT.glob("docs/modules*.md"),
        *ROOT.glob("docs/modules/*.md"),
    ]
    return sorted(str(path.relative_to(ROOT)) for path in there)


@pytest.mark.parametrize("path", published())
def test_what_is_published_is_what_the_code_says(path: str) -> None:
    assert (ROOT / path).read_text() == derived()[path], "run `make contracts` and review the diff"


def test_all_is_published_that_the_code_says_and_nothing_else() -> None:
    assert published() == sorted(derived())
    assert {path.name for path in ROOT.glob("contracts/*") if path.is_dir()} <= set(faces())


@pytest.mark.parametrize("module", load(installed()), ids=lambda module: module.name)
def test_every_promise_is_said_in_words(module) -> None:  # type: ignore[no-untyped-def]
    glance = canvas(module)
    assert glance.purpose
    silent = [name for name, text in glance.answers if not text]
    silent += [name for name, _, text in (*glance.hears, *glance.does) if not text]
    assert silent == []
