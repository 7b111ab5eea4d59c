"""The command line: arguments in, sentences out. The work is in `app` and in the modules."""

import click

from martech import __version__
from martech.cli.brokers import republish_
from martech.cli.canvases import modules
from martech.cli.contracts import contracts
from martech.cli.keys import key, tenant
from martech.cli.leaving import extract_, move_data
from martech.cli.nginx import nginx_
from martech.cli.putting_right import parked_, replay_
from martech.cli.running import serve, worker
from martech.cli.schemas import migrate_, migration
from martech.cli.terminal import Martech
from martech.cli.upkeep import audit_


@click.group(cls=Martech, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="martech")
def main() -> None:
    """A marketing platform in one process that can be taken apart.

    \b
    Begin:
      martech serve                      http://127.0.0.1:8000, keys are printed once
      martech migrate --check            are the databases what this version needs?
      martech key issue --scope '*:read' a key that can look at everything
      martech parked list                what needs a person
      martech contracts check --help     what a promise is, and whether it is kept

    Settings come from the environment: MARTECH_DATABASE_URL (sqlite:///var/martech, one file a
    module, or postgresql://…), MARTECH_<MODULE>_DATABASE_URL, MARTECH_<MODULE>_STORE_URL
    (duckdb:///FILE?memory_mb=512), MARTECH_REDIS_URL, MARTECH_BROKER_URL (carries events between
    hosts), MARTECH_MODULES, MARTECH_PEERS (who is elsewhere: MODULE=http://HOST:PORT,…) and
    MARTECH_PEER_SECRET (the same on every host), MARTECH_HOST, MARTECH_PORT,
    MARTECH_PUBLIC_URL (how the world reaches us: links in mails), MARTECH_LOG_LEVEL,
    MARTECH_MAX_REQUESTS, MARTECH_DRAIN_SECONDS, MARTECH_ISSUER_KEYS (public keys),
    MARTECH_KEY_SNAPSHOT (a file), MARTECH_OTLP_ENDPOINT and MARTECH_TRACE_RATIO (traces),
    MARTECH_FAILPOINTS (tests); and what modules read for themselves, such as
    MARTECH_DELIVERY_SMTP_URL: docs/modules lists it.
    """


for command in (
    *(serve, worker, migrate_, migration, contracts, extract_, move_data, nginx_),
    *(modules, tenant, key, audit_, parked_, replay_, republish_),
):
    main.add_command(command)


if __name__ == "__main__":
    main()
