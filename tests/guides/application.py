"""A database for the scripts of a guide, and what must hold of its views whatever they do.

The book chapter's scripts say "dbname=myapp" and "localhost", as their readers do; host and port come from libpq's
environment variables, which every driver here reads.
"""

import os
import pathlib
import subprocess
import sys

import psycopg
from harness.paths import pg_bin

SCRIPTS = pathlib.Path(__file__).parent / "dashboard"

EVENTS = """
CREATE TABLE events (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, user_id int NOT NULL,
    event_type varchar(20) NOT NULL, amount numeric(10,2) NOT NULL, created_at timestamptz NOT NULL DEFAULT now());
"""
ROWS = """
INSERT INTO {table} (user_id, event_type, amount, created_at)
VALUES (1, 'purchase', 49.99, now()), (2, 'purchase', 29.99, now()), (1, 'pageview', 0, now()),
       (3, 'purchase', 5, now() - interval '1 day'), (4, 'purchase', 7, now() - interval '200 days')
"""


class Application:
    """The database of one test, its scripts, and a connection to look from outside.

    The database is new and empty, or what a page's psql script makes of it; a page that makes its database
    otherwise gives an empty script, and connects once it is there.
    """

    def __init__(self, server, name: str = "myapp", script: str | None = None):
        self.server = server
        self.name = name
        self.admin = server.psycopg("postgres")
        self.admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        if script is None:
            self.admin.execute(f"CREATE DATABASE {name}")
        elif script != "":
            done = subprocess.run([pg_bin("psql"), "-Xq", "-v", "ON_ERROR_STOP=1", server.dsn("postgres"), "-f", "-"],
                                  input=script, capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, done.stderr
        self.connection = None
        if script != "":
            self.connect()
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")} | {
            "PGHOST": "127.0.0.1", "PGPORT": str(server.ports["postgres"]), "PGUSER": "postgres",
            "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}

    def connect(self) -> None:
        self.connection = self.server.psycopg("postgres", dbname=self.name)

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
        self.admin.execute(f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)")
        self.admin.close()

    def run(self, *command: str, cwd: pathlib.Path = SCRIPTS, timeout: float = 60, **environment) -> list[str]:
        """The lines a Python program prints, which must end well."""
        done = subprocess.run([sys.executable, *command], cwd=cwd, env=self.environment | environment,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout)
        assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done.stdout.splitlines()

    def start(self, *command: str, cwd: pathlib.Path = SCRIPTS, output, **environment) -> subprocess.Popen:
        """A Python program that goes on until it is stopped."""
        return subprocess.Popen([sys.executable, *command], cwd=cwd, env=self.environment | environment,
                                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)

    def execute(self, sql: str) -> psycopg.Cursor:
        return self.connection.execute(sql)

    def value(self, sql: str):
        return self.execute(sql).fetchone()[0]

    def file(self, view: str = "mv_dashboard") -> int:
        """The view's file; PostgreSQL's own REFRESH would replace it."""
        return self.value(f"SELECT pg_relation_filenode('{view}')")

    def assert_exact(self, view: str = "mv_dashboard") -> None:
        """Maintained, and equal to its own query by row image and by freshet.verify."""
        assert self.value(f"SELECT count(*) FROM freshet.views WHERE view = '{view}'::regclass") == 1
        query = self.value(f"SELECT rtrim(pg_get_viewdef('{view}'::regclass), ';')")
        different = self.value(f"""
            WITH have AS MATERIALIZED (SELECT v::text AS row FROM {view} v),
                 want AS MATERIALIZED (SELECT q::text AS row FROM ({query}) q)
            SELECT count(*) FROM ((SELECT * FROM have EXCEPT ALL SELECT * FROM want)
                        UNION ALL (SELECT * FROM want EXCEPT ALL SELECT * FROM have)) x""")
        assert different == 0
        assert self.value(f"SELECT freshet.verify('{view}'::regclass)") == 0
