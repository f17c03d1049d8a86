"""Empty databases, on Freshet and on PostgreSQL alone, for the packages in python/."""

import json
import os
import sys
from contextlib import contextmanager

import psycopg
import pytest
from harness.paths import ROOT
from harness.postgres import Postgres

SOURCES = [str(ROOT / "python" / name / "src") for name in ("freshet", "sqlalchemy_pgview")]
sys.path[:0] = SOURCES
os.environ["PYTHONPATH"] = os.pathsep.join([*SOURCES, *filter(None, [os.environ.get("PYTHONPATH")])])

SERVERS = "FRESHET_TEST_SERVERS"        # ports of servers that run, for tests run by a test
DRIVERS = ("psycopg2", "psycopg", "asyncpg")


class Database:
    """An empty database: its address for libpq and for SQLAlchemy."""

    def __init__(self, kind: str, host: str, port: int, name: str):
        self.kind, self.host, self.port, self.name = kind, host, port, name

    @property
    def dsn(self) -> str:
        return f"postgresql://postgres@{self.host}:{self.port}/{self.name}"

    def url(self, driver: str = "psycopg") -> str:
        return self.dsn.replace("postgresql:", f"postgresql+{driver}:")

    def connect(self) -> psycopg.Connection:
        return psycopg.connect(self.dsn, autocommit=True)

    def value(self, sql: str):
        with self.connect() as conn:
            return conn.execute(sql).fetchone()[0]

    def execute(self, sql: str) -> None:
        with self.connect() as conn:
            conn.execute(sql)


@contextmanager
def new_database(kind: str, port: int):
    name = f"python_{os.urandom(4).hex()}"
    with psycopg.connect(f"postgresql://postgres@127.0.0.1:{port}/postgres", autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        try:
            yield Database(kind, "127.0.0.1", port, name)
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def plain_postgres():
    """PostgreSQL without the extension."""
    cluster = Postgres({"shared_preload_libraries": "''"}).start()
    yield cluster
    cluster.stop()
    cluster.remove()


@pytest.fixture(params=["freshet", "postgresql"])
def database(request):
    """On each of the two."""
    kind = request.param
    given = json.loads(os.environ.get(SERVERS, "{}"))
    if given:
        port = given[kind]
    elif kind == "freshet":
        port = request.getfixturevalue("freshet").ports["postgres"]
    else:
        port = request.getfixturevalue("plain_postgres").port
    with new_database(kind, port) as made:
        yield made


@pytest.fixture
def fresh_database(freshet):
    """On Freshet."""
    with new_database("freshet", freshet.ports["postgres"]) as made:
        yield made
