"""contracts/ and docs/modules/ are what we have promised: a change is a decision, and a diff."""

from pathlib import Path

import pytest

from martech.app import describe, installed, load
from martech.kernel.files import faces
from martech.kernel.published import canvas, files

ROOT = Path(__file__).parents[2]
DERIVED = files(load(installed()), describe)


@pytest.mark.parametrize("path", DERIVED)
def test_what_is_published_is_what_the_code_says(path: str) -> None:
    assert (ROOT / path).read_text() == DERIVED[path], "run `make contracts` and review the diff"


def test_nothing_is_published_that_the_code_does_not_say() -> None:
    """But for what modules that left have promised: their code says it elsewhere."""
    there = {
        *(path for path in ROOT.glob("contracts/*/*.json") if path.parent.name in installed()),
        *ROOT.glob("docs/modules*.md"),
        *ROOT.glob("docs/modules/*.md"),
    }
    assert {str(path.relative_to(ROOT)) for path in there} == set(DERIVED)
    assert {path.name for path in ROOT.glob("contracts/*") if path.is_dir()} <= set(faces())


@pytest.mark.parametrize("module", load(installed()), ids=lambda module: module.name)
def test_every_promise_is_said_in_words(module) -> None:  # type: ignore[no-untyped-def]
    glance = canvas(module)
    assert glance.purpose
    silent = [name for name, text in glance.answers if not text]
    silent += [name for name, _, text in (*glance.hears, *glance.does) if not text]
    assert silent == []
