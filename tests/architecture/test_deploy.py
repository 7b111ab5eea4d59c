"""What is deployed is what the code says: nginx' files are rendered from the manifests, and every
service of compose.yaml has settings with which its host would start."""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from martech.__main__ import main
from martech.app import hosted, settings_of
from martech.kernel.files import faces, installed
from martech.kernel.host import Host
from martech.kernel.settings import SettingsError

ROOT = Path(__file__).parents[2]
WAYS = sorted((ROOT / "deploy" / "nginx").glob("*.conf"))
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
ELSEWHERE = sorted(set(faces()) - set(installed()))
"""Modules with repositories of their own: who starts them is no longer for this one to say."""

OURS = {
    name: made
    for name, made in COMPOSE["services"].items()
    if "build" in made and made["environment"].get("MARTECH_MODULES") not in ELSEWHERE
}
SECRET = "0123456789abcdef"


def test_there_are_ways_to_look_at() -> None:
    assert {way.stem for way in WAYS} == {"services", "split"}


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.stem)
def test_a_way_is_as_it_would_be_rendered_today(way: Path) -> None:
    command = re.search(r"^#   martech (nginx .*)$", way.read_text(), re.MULTILINE)
    assert command, "the second line says with what it is rendered"
    rendered = CliRunner().invoke(main, shlex.split(command[1]))
    assert rendered.exit_code == 0, rendered.output
    assert rendered.output == way.read_text(), f"martech {command[1]} > {way.relative_to(ROOT)}"


@pytest.mark.parametrize(
    ("peers", "listen", "said"),
    [
        ("content=http://a:1,content=http://b:1", "80", "--peers names content twice"),
        ("content", "80", "--peers: 'content' must be MODULE=http://HOST:PORT"),
        ("content=http://a:1", "abc", "'abc' must be a port, or ADDRESS:PORT"),
        ("content=http://a:1", "99999", "'99999' must be a port, or ADDRESS:PORT"),
        ("contents=http://a:1", "80", "contents is not installed here"),
    ],
)
def test_what_cannot_be_rendered_is_refused(peers: str, listen: str, said: str) -> None:
    asked = ["nginx", "--peers", peers, "--rest", "http://c:1", "--listen", listen]
    refused = CliRunner().invoke(main, asked)
    assert refused.exit_code == 2
    assert said in refused.stderr


@pytest.mark.parametrize("service", OURS)
def test_a_service_has_settings_with_which_its_host_starts(service: str) -> None:
    settings = settings_of(environment(OURS[service]))
    Host(hosted(settings), settings)


def test_hosts_that_ask_each_other_want_a_secret() -> None:
    with pytest.raises(SettingsError, match="MARTECH_PEER_SECRET"):
        settings_of(environment(OURS["rest"], secret=""))


@pytest.mark.parametrize("profile", ["embedded", "services", "split"])
def test_every_module_is_served_by_one_host(profile: str) -> None:
    served: list[str] = []
    for name, service in OURS.items():
        if profile in service["profiles"] and name not in ("migrate", "worker"):
            served += [module.name for module in hosted(settings_of(environment(service)))]
    assert sorted(served) == sorted(module.name for module in hosted(settings_of({})))


@pytest.mark.parametrize("service", OURS)
def test_peers_are_services_of_the_same_profile_that_serve_what_is_said(service: str) -> None:
    here = set(installed())
    peers = settings_of(environment(OURS[service])).peers
    for module in here.intersection(peers):
        url = peers[module]
        name = url.removeprefix("http://").removesuffix(":8000")
        assert OURS[name]["profiles"] == OURS[service]["profiles"]
        there = hosted(settings_of(environment(OURS[name])))
        assert module in {found.name for found in there}


@pytest.mark.parametrize(("gate", "way"), [("gate", "services"), ("gate-split", "split")])
def test_a_gate_leads_to_services_of_its_profile(gate: str, way: str) -> None:
    service = COMPOSE["services"][gate]
    assert service["volumes"] == [f"./deploy/nginx/{way}.conf:/etc/nginx/conf.d/default.conf:ro"]
    places = re.findall(r"server (\w+):8000;", (ROOT / f"deploy/nginx/{way}.conf").read_text())
    assert set(places) == set(service["depends_on"])
    found = [COMPOSE["services"][place]["profiles"] for place in places]
    assert found == [service["profiles"]] * len(places)


def test_modules_outside_are_said_to_every_service_at_once() -> None:
    for service in OURS.values():
        assert "${NEIGHBOURS:-}" in service["environment"]["MARTECH_PEERS"]


def environment(service: Mapping[str, Any], secret: str = SECRET) -> dict[str, str]:
    """As compose would give it, with a secret said, and where those are who left."""
    peers = service["environment"]["MARTECH_PEERS"]
    unsaid = [f"{name}=http://{name}.example" for name in ELSEWHERE if f"{name}=" not in peers]
    said = {"MARTECH_PEER_SECRET": secret, "NEIGHBOURS": ",".join(unsaid)}

    def value(text: str) -> str:
        return re.sub(
            r"\$\{(\w+):-([^}]*)\}", lambda found: said.get(found[1]) or found[2], str(text)
        )

    return {name: value(text) for name, text in service["environment"].items()}
