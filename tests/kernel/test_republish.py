"""What an operator does for a broker that lost something."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from redis import Redis

from martech.__main__ import main
from martech.kernel.feeds.redis import stream
from martech.modules.access.module import module as access
from tests import servers


@pytest.fixture
def redis_url() -> str:
    return servers.fresh_redis()


@pytest.fixture
def shell(tmp_path: Path, redis_url: str) -> CliRunner:
    """Where tenants were opened, of which the outbox of access tells."""
    env = {
        "MARTECH_DATABASE_URL": f"sqlite:///{tmp_path}/data",
        "MARTECH_MODULES": access.name,
        "MARTECH_BROKER_URL": redis_url,
    }
    shell = CliRunner(env=env)
    for command in (["migrate"], ["tenant", "create", "one"], ["tenant", "create", "two"]):
        done = shell.invoke(main, command)
        assert done.exit_code == 0, done.output
    return shell


@pytest.mark.usefixtures("root_logger")
def test_an_outbox_is_copied_again_from_the_beginning_or_a_position(
    shell: CliRunner, redis_url: str
) -> None:
    with Redis.from_url(redis_url) as redis:
        said = shell.invoke(main, ["republish"])
        whole = redis.xrange(stream("access"))
        assert said.exit_code == 0, said.output
        assert f"behind 0, up to {len(whole)}." in said.stdout
        redis.xtrim(stream("access"), maxlen=1, approximate=False)
        for _ in range(2):
            assert shell.invoke(main, ["republish", "access"]).exit_code == 0
            assert redis.xrange(stream("access")) == whole
        assert shell.invoke(main, ["republish", "access", "--from", "2"]).exit_code == 0
        assert redis.xrange(stream("access")) == whole[2:]


@pytest.mark.usefixtures("root_logger")
@pytest.mark.parametrize(
    ("command", "env", "code", "said"),
    [
        (["republish", "profiles"], {}, 2, "profiles is not hosted here, but access"),
        (["republish", "access", "--from", "9999"], {}, 1, "begin before that"),
        (["republish"], {"MARTECH_BROKER_URL": ""}, 2, "Set MARTECH_BROKER_URL"),
        (["republish"], {"MARTECH_BROKER_URL": "redis://127.0.0.1:1"}, 1, "Redis does not carry"),
    ],
)
def test_what_cannot_be_copied_is_refused_in_a_sentence(
    shell: CliRunner, command: list[str], env: dict[str, str], code: int, said: str
) -> None:
    refused = shell.invoke(main, command, env=env)
    assert refused.exit_code == code
    assert said in refused.stderr
