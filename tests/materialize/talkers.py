"""Drivers, each as something that runs a statement with arguments and says what came: columns and rows, or an SQLSTATE.

Those of other languages are programs in talk/, which take one statement a line, its arguments behind tabs, and answer
with one line: column names, then rows.
"""

import asyncio
import contextlib
import pathlib
import re
import subprocess

import asyncpg
import psycopg
import psycopg2
from guides import toolchains

TALK = pathlib.Path(__file__).parent / "talk"


def lines(names, rows):
    return "".join("," + name for name in names) + "|" + "|".join(",".join(map(str, row)) for row in rows)


def positional(statement, place="%s"):
    return re.sub(r"\$\d", place, statement)


class Psycopg:
    """mode: how many times before it prepares, and whether rows come in binary."""

    def __init__(self, mode):
        self.mode = mode

    def open(self, port, schema):
        self.close()
        self.connection = psycopg.connect(host="127.0.0.1", port=port, user="postgres", dbname="materialize", autocommit=True,
                                          options=f"-csearch_path={schema},public", cursor_factory=psycopg.RawCursor)
        self.connection.prepare_threshold = {"once": 0, "binary": 2, "plain": 5}[self.mode]

    def run(self, statement, *arguments):
        try:
            with self.connection.cursor(binary=self.mode == "binary") as cursor:
                cursor.execute(statement, arguments or None)
                return lines([c.name for c in cursor.description], cursor.fetchall()) if cursor.description else ",|"
        except psycopg.Error as error:
            return f"error {error.sqlstate}"

    def close(self):
        with contextlib.suppress(AttributeError):
            self.connection.close()


class Psycopg2:
    """mode: whether the driver begins blocks."""

    def __init__(self, mode):
        self.mode = mode

    def open(self, port, schema):
        self.close()
        self.connection = psycopg2.connect(host="127.0.0.1", port=port, user="postgres", dbname="materialize",
                                           options=f"-csearch_path={schema},public")
        self.connection.autocommit = self.mode == "autocommit"

    def run(self, statement, *arguments):
        try:
            with self.connection.cursor() as cursor:
                cursor.execute(positional(statement), arguments or None)
                return lines([c.name for c in cursor.description], cursor.fetchall()) if cursor.description else ",|"
        except psycopg2.Error as error:
            return f"error {error.pgcode}"

    def close(self):
        with contextlib.suppress(AttributeError):
            self.connection.close()


class Asyncpg:
    """mode: fetch, or a cursor that prefetches where a block is open."""

    def __init__(self, mode):
        self.mode = mode
        self.loop = asyncio.new_event_loop()

    def open(self, port, schema):
        self.close()
        self.connection = self.loop.run_until_complete(asyncpg.connect(
            host="127.0.0.1", port=port, user="postgres", database="materialize",
            server_settings={"search_path": f"{schema},public"}))

    async def ask(self, statement, arguments):
        if self.mode == "portals" and self.connection.is_in_transaction() and statement.startswith(("SELECT", "SUBSCRIBE")):
            prepared = await self.connection.prepare(statement)
            # the cursor wants a transaction that the driver began itself
            self.connection._top_xact = self.connection._top_xact or self.connection.transaction()
            rows = [row async for row in prepared.cursor(*arguments, prefetch=2)]
            return lines([a.name for a in prepared.get_attributes()], [tuple(row) for row in rows])
        if not arguments and not statement.startswith(("SELECT", "SUBSCRIBE", "FETCH", "SHOW")):
            await self.connection.execute(statement)
            return ",|"
        prepared = await self.connection.prepare(statement) if not arguments else None
        rows = await (prepared.fetch() if prepared else self.connection.fetch(statement, *arguments))
        names = [a.name for a in prepared.get_attributes()] if prepared else list(rows[0].keys()) if rows else []
        return lines(names, [tuple(row) for row in rows])

    def run(self, statement, *arguments):
        try:
            return self.loop.run_until_complete(self.ask(statement, arguments))
        except asyncpg.PostgresError as error:
            return f"error {error.sqlstate}"
        except asyncpg.InterfaceError as error:
            return f"error {type(error).__name__}"

    def close(self):
        with contextlib.suppress(AttributeError):
            self.loop.run_until_complete(self.connection.close(timeout=10))


class Program:
    def __init__(self, command, mode):
        self.mode = mode
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def open(self, port, schema):
        self.process.stdin.write(f"open\t{self.mode}\t{port}\t{schema}\n")

    def run(self, statement, *arguments):
        self.process.stdin.write("\t".join([statement, *map(str, arguments)]) + "\n")
        answer = self.process.stdout.readline()
        assert answer, f"{self.process.args}: ended"
        return answer.rstrip("\n")

    def close(self):
        self.process.stdin.close()
        self.process.wait(20)


def program(build, file):
    return lambda mode: Program(build((TALK / file).read_text()), mode)


TALKERS = {
    "psycopg": (Psycopg, ["once", "binary", "plain"]),
    "psycopg2": (Psycopg2, ["autocommit", "blocks"]),
    "asyncpg": (Asyncpg, ["fetch", "portals"]),
    "go": (program(toolchains.go, "main.go"), ["pgx", "pq"]),
    "pgjdbc": (program(toolchains.java, "Main.java"), ["statements", "portals"]),
    "node-postgres": (program(toolchains.js, "main.mjs"), ["plain", "named"]),
}
