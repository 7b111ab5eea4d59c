"""What every test may ask for. Servers come from tests/servers.py, started once a run."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="guarantees at full size (make chaos)")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def full(request: pytest.FixtureRequest) -> bool:
    """Whether a guarantee is shown at full size (`make chaos`) or in its short form."""
    return bool(request.config.getoption("--full"))
