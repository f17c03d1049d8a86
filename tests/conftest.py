"""Fixtures: freshet (shared server), fresh_server (your own), pg (the extension alone)."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

from harness import postgres, system  # noqa: E402
from harness.postgres import Postgres  # noqa: E402
from harness.server import Freshet  # noqa: E402


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_protocol(item):
    """A test's time is patience too. pytest-timeout starts its timer in a wrapper as well: ours has to be the outer one."""
    limit = item.get_closest_marker("timeout")
    seconds = limit.args[0] if limit else float(item.config.getini("timeout"))
    item.add_marker(pytest.mark.timeout(system.patience(seconds)), append=False)
    yield


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """On failure, show what the servers the test used have logged."""
    report = (yield).get_result()
    if report.failed:
        for name in ("freshet", "fresh_server", "pg", "pg_shared"):
            target = item.funcargs.get(name) if hasattr(item, "funcargs") else None
            if target is not None:
                report.sections.append((f"log of {name}", target.log_tail()))


@pytest.fixture(scope="session")
def freshet():
    """A server for all tests that leave it as they found it."""
    server = Freshet().start()
    yield server
    server.stop()
    server.remove()


@pytest.fixture
def fresh_server():
    """A server of the test's own, to stop, kill and start again."""
    server = Freshet().start()
    yield server
    server.stop()
    server.remove()


def _with_extension(cluster: Postgres) -> Postgres:
    cluster.start()
    connection = cluster.psycopg2()
    connection.cursor().execute("CREATE EXTENSION freshet")
    connection.close()
    return cluster


@pytest.fixture(scope="session")
def pg_shared():
    """PostgreSQL with the extension and no server; make a database of your own in it."""
    cluster = _with_extension(Postgres())
    yield cluster
    cluster.stop()
    cluster.remove()


@pytest.fixture
def pg():
    """The same for one test, to kill and start again."""
    cluster = _with_extension(Postgres())
    yield cluster
    if system.is_running(cluster.pid):
        cluster.stop()
    cluster.remove()


@pytest.fixture(scope="session", autouse=True)
def _clean_template():
    yield
    postgres.remove_template()
