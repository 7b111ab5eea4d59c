"""Everything that unmodified clients send is accepted, exactly once, whatever happens."""

from collections.abc import Iterator

import pytest

from clients.platform import Platform, platform
from clients.programs import CLIENTS, STORY, Client
from clients.relay import Trouble, relay

pytestmark = pytest.mark.timeout(300)


TROUBLES: list[Trouble] = ["none", "busy", "lost answer"]
CASES = [(c, trouble) for c in CLIENTS for trouble in TROUBLES if c.retries or trouble == "none"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with platform(tmp_path_factory.mktemp("platform")) as there:
        yield there


@pytest.mark.parametrize(("client", "trouble"), CASES, ids=lambda one: getattr(one, "name", one))
def test_what_a_client_sends_is_accepted_once(
    served: Platform, client: Client, trouble: Trouble
) -> None:
    before = tally(served)
    with relay(served.port, trouble) as way:
        client.run(way.url, served.write_key)
    came = {name: count - before.get(name, 0) for name, count in tally(served).items()}
    accepted = {name: came[f"{name}.accepted"] for name in STORY}
    assert accepted == STORY, f"{came}; {[(p.path, p.status) for p in way.passed]}"
    assert came["rejected"] == 0
    if trouble == "lost answer":
        assert came["duplicate"] > 0, "nothing was sent twice, so nothing was shown"
    else:
        assert came["duplicate"] == 0
    if trouble == "busy":
        assert [p.status for p in way.passed].count(429) == 1


def tally(served: Platform) -> dict[str, int]:
    counts = served.get("/tracking/v1/counts")
    by_type = counts.pop("by_type")
    assert isinstance(by_type, dict)
    inner = {f"{kind}.{what}": n for kind, tally in by_type.items() for what, n in tally.items()}
    return {what: int(str(n)) for what, n in counts.items()} | inner
