"""X6: the modules' own suites pass although no query knows its tenant."""

import os
import subprocess
import sys

import pytest

from tests import servers

pytestmark = pytest.mark.timeout(1800)


def forgetfully(*suites: str) -> "subprocess.CompletedProcess[str]":
    """They are run on PostgreSQL with queries that forget their tenant."""
    forgetful = [sys.executable, "-m", "pytest", "-p", "tests.chaos.forgetful", "-k", "postgresql"]
    return subprocess.run(
        [*forgetful, *suites],
        env={**os.environ, "MARTECH_TEST_POSTGRES_URL": servers.postgres().url},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_modules_suites_pass_on_postgresql_with_forgetful_queries(full: bool) -> None:
    run = forgetfully("tests/modules" if full else "tests/modules/tracking/test_counts.py")
    assert run.returncode == 0, run.stdout[-3000:]


@pytest.mark.planted
def test_a_suite_in_which_nothing_is_forgotten_is_found_out() -> None:
    """It passes, and never asks a database for a tenant."""
    run = forgetfully("tests/kernel/test_settings.py")
    assert run.returncode == pytest.ExitCode.TESTS_FAILED, run.stdout[-3000:]
    assert "No query forgot its tenant" in run.stderr
