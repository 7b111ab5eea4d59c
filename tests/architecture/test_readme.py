"""The README promises nothing that no command shows."""

import json
import re
from pathlib import Path

from msgspec.structs import fields

from benchmarks.readme import RESULTS, filled
from martech.app import installed, load
from martech.modules.access.domain import ROLES, VERBS

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


def test_every_setting_is_explained() -> None:
    read = (ROOT / "src/martech/kernel/settings.py").read_text()
    known = set(re.findall(r'"(MARTECH_[A-Z_]+)"', read))
    for module in load(installed()):
        for field in fields(module.settings) if module.settings else ():
            known.add(f"MARTECH_{module.name}_{field.name}".upper())
    page = (ROOT / "docs/settings.md").read_text()
    assert set(re.findall(r"\bMARTECH_[A-Z_]+[A-Z]\b", page)) == known


def test_what_each_role_may_do_is_said() -> None:
    page = (ROOT / "docs/settings.md").read_text()
    for role, scopes in ROLES.items():
        (said,) = re.findall(rf"^\| `{role}` \| (.*) \|$", page, re.MULTILINE)
        assert set(re.findall(r"`([^`]+)`", said)) == scopes
    assert set(re.findall(r"^\| `([a-z]+)` \| [a-z]", page, re.MULTILINE)) == set(VERBS)
