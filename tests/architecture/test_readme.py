"""The README promises nothing that no command shows."""

import json
import re
from pathlib import Path

from benchmarks.readme import RESULTS, filled

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_its_numbers_are_those_of_the_bench() -> None:
    assert filled(README, json.loads(RESULTS.read_text())) == README, "python -m benchmarks.readme"


def test_its_links_lead_somewhere() -> None:
    links = re.findall(r"\]\((?!http|#)([^)]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_its_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"make ([a-z]+)", README)) <= targets


def test_what_a_verdict_is_about_is_said() -> None:
    said = set(re.findall(r"\b[A-Z]\d+\b", (ROOT / "docs/guarantees.md").read_text()))
    assert said == set(json.loads((ROOT / "docs/verdicts.json").read_text()))
