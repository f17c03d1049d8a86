"""Views, a load on them that remembers what was committed, and what must hold after a crash."""

import threading

import psycopg
from harness import system

ROWS = 30_000

SCHEMA = f"""
CREATE TABLE events (id bigint PRIMARY KEY, kind int, amount numeric, note text);
CREATE TABLE kinds (kind int PRIMARY KEY, name text);
INSERT INTO kinds SELECT g, 'kind ' || g FROM generate_series(0, 19) g;
INSERT INTO events SELECT -g, g % 20, g % 100, 'before' FROM generate_series(1, {ROWS}) g;
"""

VIEWS = {
    "listed": "SELECT id, amount * 2 AS twice FROM events",
    "joined": "SELECT e.id, k.name FROM events e JOIN kinds k ON k.kind = e.kind",
    "grouped": "SELECT kind, count(*) AS n, sum(amount) AS amount FROM events GROUP BY kind",
    "over": "SELECT name, count(*) AS n FROM joined GROUP BY name",
    "busy": "WITH sizes AS (SELECT kind, count(*) AS n FROM events GROUP BY kind) "
            "SELECT k.name, s.n FROM sizes s JOIN kinds k ON k.kind = s.kind WHERE s.n >= (SELECT avg(n) FROM sizes)",
    "latest": "SELECT id, note FROM events ORDER BY id DESC LIMIT 5",
    "outer_joined": "SELECT k.kind, k.name, e.id FROM kinds k LEFT JOIN events e ON e.kind = k.kind AND e.amount > 97",
    "without": "SELECT kind, name FROM kinds k WHERE NOT EXISTS (SELECT FROM events e WHERE e.kind = k.kind AND e.id > 0)",
    "noted": "SELECT DISTINCT kind, note FROM events",
    "highest": "SELECT kind, id, amount FROM (SELECT kind, id, amount, row_number() OVER "
               "(PARTITION BY kind ORDER BY amount DESC, id) AS place FROM events) e WHERE place <= 3",
    "per_count": "SELECT n, count(*) AS kinds FROM (SELECT kind, count(*) AS n FROM events GROUP BY kind) g GROUP BY n",
}
PURE_A = ("listed", "joined", "grouped", "busy")


def prepare(connection: psycopg.Connection) -> dict[str, int]:
    """Make the tables and views and wait until they are kept; their files, by name."""
    connection.execute(SCHEMA)
    for name, query in VIEWS.items():
        connection.execute(f"CREATE MATERIALIZED VIEW {name} AS {query}")
    check(connection)
    return files(connection)


def files(connection: psycopg.Connection) -> dict[str, int]:
    return {name: connection.execute("SELECT pg_relation_filenode(%s::regclass)", (name,)).fetchone()[0]
            for name in VIEWS}


def check(connection: psycopg.Connection) -> None:
    """Every view is fresh and exact."""
    for name, query in VIEWS.items():
        listed = connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
        wanted = connection.execute(f"SELECT count(*) FROM ({query}) q").fetchone()[0]
        assert listed == wanted, f"{name} has {listed} rows, its query {wanted}"
        assert connection.execute("SELECT freshet.verify(%s::regclass)", (name,)).fetchone()[0] == 0, name
    errors = connection.execute("SELECT view::text, error FROM freshet.views WHERE error IS NOT NULL").fetchall()
    assert not errors


def rows_read(connection: psycopg.Connection) -> dict[str, int]:
    """How many changed rows each view has taken in since the server started."""
    return dict(connection.execute("SELECT view::text, rows_in FROM freshet.views").fetchall())


class Load:
    """Writers in threads. `committed` holds every id whose COMMIT returned.

    They pause after each transaction: what they change has to stay small beside ROWS, so that a view
    computed anew stands out in the number of rows read.
    """

    def __init__(self, connect, writers: int = 3):
        self.connect = connect
        self.committed: set[int] = set()
        self.unknown: set[int] = set()
        self.deleted: set[int] = set()
        self.unexpected: list[BaseException] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(number,)) for number in range(writers)]

    def start(self, first: int = 1) -> "Load":
        """Return once something was committed: what is killed then is killed under load, however slow it is."""
        self.first = first
        for thread in self._threads:
            thread.start()
        system.wait_until(lambda: self.committed or self.unexpected, 10, what="a writer has committed")
        return self

    def _write(self, number: int) -> None:
        try:
            connection = self.connect()
            identifier = self.first + number * 1_000_000
            while not self._stop.wait(0.002):
                identifier += 1
                doomed = identifier - 5
                self.unknown |= {identifier, doomed}
                with connection.transaction():
                    connection.execute("INSERT INTO events VALUES (%s, %s, %s, 'under load')",
                                       (identifier, identifier % 20, identifier % 7))
                    connection.execute("UPDATE events SET amount = amount + 1 WHERE id = %s", (-(identifier % ROWS),))
                    if identifier % 3 == 0:
                        connection.execute("DELETE FROM events WHERE id = %s", (doomed,))
                self.committed.add(identifier)
                if identifier % 3 == 0:
                    self.deleted.add(doomed)
                self.unknown -= {identifier, doomed}
        except psycopg.OperationalError:
            pass  # the server died under it, as it was meant to
        except BaseException as failure:
            self.unexpected.append(failure)

    def stop(self) -> None:
        self._stop.set()
        self.join()

    def join(self) -> None:
        for thread in self._threads:
            thread.join(60)
        if self.unexpected:
            raise self.unexpected[0]

    def check(self, connection: psycopg.Connection) -> None:
        """What was acknowledged is there, in the table and in the view."""
        for relation in ("events", "listed"):
            there = {row[0] for row in connection.execute(f"SELECT id FROM {relation} WHERE id > 0").fetchall()}
            certain = self.committed - self.deleted - self.unknown
            assert certain <= there, f"{relation} lost {sorted(certain - there)[:5]}"
            gone = self.deleted - self.unknown
            assert not gone & there, f"{relation} still has {sorted(gone & there)[:5]}"
