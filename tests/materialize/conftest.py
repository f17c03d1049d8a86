"""A schema of each test's own, on a server shared by all of them."""

import itertools
import threading
import time

import pytest

_numbers = itertools.count(1)


class Place:
    """Connections whose search_path is the test's schema."""

    def __init__(self, server, schema: str):
        self.server = server
        self.schema = schema
        self.options = f"'-csearch_path={schema}'"
        self.opened = []

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

    def soon(self, *statements, seconds=0.3):
        """Run statements a little later."""
        timer = threading.Timer(seconds, self.run, statements)
        timer.start()
        return timer

    def wait_for(self, query, wanted, seconds=60):
        deadline = time.monotonic() + seconds
        while (found := self.value(query)) != wanted:
            assert time.monotonic() < deadline, f"{query}: {found!r}, not {wanted!r}"
            time.sleep(0.05)


@pytest.fixture
def place(freshet):
    name = f"mz{next(_numbers)}"
    admin = freshet.psycopg("postgres")
    admin.execute(f"CREATE SCHEMA {name}")
    place = Place(freshet, name)
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
