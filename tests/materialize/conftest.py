"""A schema of each test's own, on a server shared by all of them."""

import itertools
import threading
import time

import pytest

_numbers = itertools.count(1)


class Place:
    """Connections whose search_path is the test's schema."""

    def __init__(self, server, schema: str, begun):
        self.server = server
        self.schema = schema
        self.options = f"'-csearch_path={schema}'"
        self.opened = []
        self.begun = begun

    def psycopg(self, autocommit=True, door="materialize", **more):
        connection = self.server.psycopg(door, autocommit, options=self.options, **more)
        self.opened.append(connection)
        return connection

    def psycopg2(self, autocommit=False, door="materialize"):
        connection = self.server.psycopg2(door, autocommit, options=self.options)
        self.opened.append(connection)
        return connection

    async def asyncpg(self, door="materialize"):
        return await self.server.asyncpg(door, server_settings={"search_path": self.schema})

    def run(self, *statements):
        connection = self.server.psycopg(options=self.options)
        try:
            for statement in statements:
                connection.execute(statement)
        finally:
            connection.close()

    def value(self, query, *parameters):
        connection = self.server.psycopg(options=self.options)
        try:
            return connection.execute(query, parameters).fetchone()[0]
        finally:
            connection.close()

    def soon(self, *statements):
        """Run statements when a session of the test's listens to a subscription."""
        def run():
            self.wait_for("SELECT count(*) > 0 FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%%freshet.wait(%%'"
                          " AND pid <> pg_backend_pid() AND backend_start > %s", True, parameters=(self.begun,))
            self.run(*statements)

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def wait_for(self, query, wanted, seconds=60, parameters=None):
        deadline = time.monotonic() + seconds
        while (found := self.value(query, *parameters or ())) != wanted:
            assert time.monotonic() < deadline, f"{query}: {found!r}, not {wanted!r}"
            time.sleep(0.05)


@pytest.fixture
def place(freshet):
    name = f"mz{next(_numbers)}"
    admin = freshet.psycopg("postgres")
    admin.execute(f"CREATE SCHEMA {name}")
    place = Place(freshet, name, admin.execute("SELECT clock_timestamp()").fetchone()[0])
    yield place
    for connection in place.opened:
        connection.close()
    for (source,) in admin.execute(
            "SELECT DISTINCT name FROM (SELECT xpath('//name/text()', query_to_xml(CASE WHEN"
            " to_regclass('freshet_server.source') IS NULL THEN 'SELECT WHERE false' ELSE"
            " 'SELECT name FROM freshet_server.source WHERE schema::text = ' || quote_literal(%s) END,"
            " false, false, '')) AS found) x, unnest(found::text[]) AS name", (name,)).fetchall():
        admin.execute(f"DROP SOURCE {name}.{source} CASCADE")
    admin.execute(f"DROP SCHEMA {name} CASCADE")
    admin.close()


@pytest.fixture(scope="module")
def ground(freshet):
    """What conversations are about: the same for a door and for PostgreSQL itself, but for where they write."""
    admin = freshet.psycopg()
    admin.execute("CREATE TABLE conversed (k int PRIMARY KEY, v text)")
    admin.execute("INSERT INTO conversed SELECT g, 'v' || g FROM generate_series(1, 4) g")
    admin.execute("CREATE EXTENSION IF NOT EXISTS freshet")
    for side in ("dialect", "native"):
        admin.execute(f"CREATE SCHEMA {side}")
        admin.execute(f"CREATE TABLE {side}.scratch (a int)")
    yield freshet
    admin.execute("DROP SCHEMA dialect, native CASCADE")
    admin.execute("DROP TABLE conversed")
    admin.close()
