"""Loads of many rows: views stay exact, whatever happens while a load runs and after it."""

import time
from typing import NamedTuple

import psycopg
import pytest

from .compare import differences
from .test_oracle import database  # noqa: F401 (a fixture)

SCHEMA = """
CREATE TABLE facts (id bigserial PRIMARY KEY, k int NOT NULL, name text, amount int, price numeric, at timestamp);
CREATE TABLE dims (k int PRIMARY KEY, label text);
INSERT INTO dims SELECT g, 'label ' || g % 40 FROM generate_series(0, 4999) g;
"""

class View(NamedTuple):
    name: str
    query: str


VIEWS = [
    View("counted", "SELECT k, count(*) AS n, sum(amount) AS amount, avg(price) AS price FROM facts GROUP BY k"),
    View("indexed", "SELECT k, count(*) AS n, sum(amount) AS amount FROM facts GROUP BY k"),
    View("named", "SELECT name, count(amount) AS n, min(at) AS first, max(name || amount) AS last, stddev(amount) AS d "
                   "FROM facts WHERE amount > 10 GROUP BY name HAVING count(*) > 3"),
    View("scaled", "SELECT price, count(*) AS n FROM facts GROUP BY price"),
    View("total", "SELECT count(*) AS n, sum(price) AS price, max(k) AS k FROM facts"),
    View("wide", "SELECT k / 100 AS k, string_agg(DISTINCT name, ',' ORDER BY name) AS names FROM facts GROUP BY 1"),
    View("plain", "SELECT id, name, amount FROM facts WHERE k % 2 = 0"),
    View("joined", "SELECT f.id, d.label, f.amount FROM facts f JOIN dims d USING (k)"),
    View("labelled", "SELECT d.label, count(*) AS n, sum(f.price) AS price FROM facts f JOIN dims d USING (k) "
                      "GROUP BY d.label"),
    View("above", "SELECT n, count(*) AS groups FROM counted GROUP BY n"),
    View("quotient", "SELECT k % 7 AS k, sum(1000 / (amount + 1)) AS q FROM facts GROUP BY 1"),
]

ROWS = 15_000


def line(number: int, groups: int, amount: int | None = None) -> str:
    price = f"{number % 97}.{'0' * (number % 3)}"
    amount = number % 50 if amount is None else amount
    return (f"{number * 7919 % groups}\tname {number % 300}\t{amount}\t{price or 0}0\t"
            f"2024-01-01 00:{number // 60 % 60:02}:{number % 60:02}\n")


def copy(connection: psycopg.Connection, rows: range, groups: int = 5000, pause: float = 0) -> None:
    """Load rows; with a pause in the middle, long enough for the worker to look at what is there."""
    with connection.cursor().copy("COPY facts (k, name, amount, price, at) FROM STDIN") as load:
        for number in rows:
            load.write(line(number, groups))
            if pause and number == (rows.start + rows.stop) // 2:
                time.sleep(pause)


@pytest.fixture
def loaded(database):  # noqa: F811
    connection = database()
    connection.execute(SCHEMA)
    copy(connection, range(1000))
    for view in VIEWS:
        connection.execute(f"CREATE MATERIALIZED VIEW {view.name} AS {view.query}")
    connection.execute("CREATE UNIQUE INDEX ON indexed (k)")
    connection.execute("CREATE INDEX ON indexed (amount)")
    assert differences(connection, VIEWS) == []
    yield database, connection
    connection.close()


def check(connection, what: str) -> None:
    assert differences(connection, VIEWS) == [], what


def test_loads_updates_and_deletions(loaded):
    _, connection = loaded
    for round_number in range(3):
        copy(connection, range(ROWS), pause=0.3 if round_number else 0)
        check(connection, f"load {round_number}")
    connection.execute("INSERT INTO facts (k, name, amount, price) "
                       "SELECT g % 5000, 'more ' || g % 10, g % 60, g % 5 FROM generate_series(1, 20000) g")
    check(connection, "INSERT ... SELECT")
    connection.execute("UPDATE facts SET amount = amount + 1 WHERE id % 2 = 0")
    check(connection, "half of the rows updated")
    connection.execute("DELETE FROM facts WHERE k < 2500")
    check(connection, "half of the groups deleted")
    connection.execute("VACUUM facts, counted, indexed, named, plain")
    copy(connection, range(ROWS), pause=0.3)
    check(connection, "a load into pages that were emptied")


def test_what_happens_while_a_load_runs(loaded):
    database, connection = loaded  # noqa: F811
    other = database()
    connection.execute("BEGIN")
    copy(connection, range(ROWS // 2), pause=0.3)
    connection.execute("SAVEPOINT a")
    copy(connection, range(ROWS // 2), pause=0.3)
    connection.execute("ROLLBACK TO a")
    other.execute("INSERT INTO facts (k, name, amount, price) VALUES (1, 'other', 20, 1.50)")
    check(other, "a row while a load runs")
    connection.execute("SAVEPOINT b")
    copy(connection, range(ROWS // 2, ROWS), pause=0.3)
    connection.execute("RELEASE b")
    other.execute("UPDATE facts SET amount = 30 WHERE name = 'other'")
    other.execute("UPDATE dims SET label = label || '!' WHERE k < 100")
    check(other, "changes of others while a load runs")
    connection.execute("COMMIT")
    check(other, "committed")

    connection.execute("BEGIN")
    copy(connection, range(ROWS), pause=0.3)
    connection.execute("DELETE FROM facts WHERE id % 100 = 0")
    time.sleep(0.3)
    connection.execute("UPDATE facts SET price = price + 0.001 WHERE id % 101 = 0")
    connection.execute("COMMIT")
    check(connection, "a load that changes its own rows")

    connection.execute("BEGIN")
    copy(connection, range(ROWS), pause=0.3)
    connection.execute("ROLLBACK")
    check(connection, "a load that was rolled back")

    connection.execute("BEGIN")
    copy(connection, range(ROWS), pause=0.3)
    other.execute("CREATE MATERIALIZED VIEW late AS SELECT k % 10 AS k, count(*) AS n FROM facts GROUP BY 1")
    other.execute("SELECT FROM late")
    other.execute("ALTER TABLE dims ADD COLUMN more int DEFAULT 1")
    time.sleep(0.3)
    copy(connection, range(ROWS), pause=0.3)
    connection.execute("COMMIT")
    assert differences(other, [*VIEWS, View("late", "SELECT k % 10 AS k, count(*) AS n FROM facts GROUP BY 1")]) == []
    other.close()


def test_two_loads_and_writers_at_once(loaded):
    database, connection = loaded  # noqa: F811
    others = [database() for _ in range(3)]
    connection.execute("BEGIN")
    others[0].execute("BEGIN")
    for part in range(4):
        copy(connection, range(part * ROWS // 4, (part + 1) * ROWS // 4), groups=400)
        copy(others[0], range(part * ROWS // 4, (part + 1) * ROWS // 4))
        time.sleep(0.25)
        others[1].execute("INSERT INTO facts (k, name, amount, price) "
                          "SELECT g, 'trickle', g, g FROM generate_series(1, 20) g")
    others[1].execute("BEGIN; DELETE FROM facts WHERE id < 500")
    connection.execute("COMMIT")
    others[2].execute("DELETE FROM facts WHERE k = 3")
    others[0].execute("COMMIT")
    others[2].execute("UPDATE facts SET amount = 5 WHERE k = 4")
    check(others[2], "two loads")
    others[1].execute("COMMIT")
    check(others[2], "and a deletion")
    for other in others:
        other.close()


def test_a_load_that_a_view_cannot_take(loaded):
    """A division by zero in rows that nobody has committed is nobody's error."""
    _, connection = loaded
    connection.execute("BEGIN")
    with connection.cursor().copy("COPY facts (k, name, amount, price, at) FROM STDIN") as load:
        for number in range(ROWS):
            load.write(line(number, 5000, amount=-1 if number == ROWS - 100 else None))
    time.sleep(0.4)
    errors = connection.execute("SELECT count(*) FROM freshet.views WHERE error IS NOT NULL").fetchone()[0]
    assert errors == 0
    connection.execute("ROLLBACK")
    check(connection, "rolled back")


def test_a_function_that_changes_while_a_load_runs(database):  # noqa: F811
    """Rows folded with the function as it was must not count once it is another."""
    connection, other = database(), database()
    connection.execute(SCHEMA)
    connection.execute("CREATE FUNCTION class(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1 % 5; END'")
    view = View("classes", "SELECT class(k) AS class, count(*) AS n FROM facts GROUP BY 1")
    connection.execute(f"CREATE MATERIALIZED VIEW {view.name} AS {view.query}")
    connection.execute("BEGIN")
    copy(connection, range(ROWS), pause=0.4)
    other.execute("CREATE OR REPLACE FUNCTION class(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1 % 3; END'")
    other.execute("INSERT INTO facts (k) VALUES (1)")
    assert differences(other, [view]) == []
    copy(connection, range(ROWS), pause=0.4)
    connection.execute("COMMIT")
    assert differences(other, [view]) == []
    other.close()
    connection.close()


def test_changes_beyond_the_memory(pg_shared, database):  # noqa: F811
    """Rows that come and go, and rows compared with a query's, when they have to be sorted on disk."""
    connection = database()
    settings = {"maintenance_work_mem": "1MB", "work_mem": "64kB", "log_temp_files": "0"}
    views = [
        View("keyed", "SELECT id, name, amount FROM facts"),
        View("keyless", "SELECT k, name, price FROM facts"),
        View("unique_keyed", "SELECT id, amount + 1 AS more FROM facts"),
        View("outer_joined", "SELECT f.id, d.label, f.amount FROM facts f LEFT JOIN dims d USING (k)"),
        View("recomputed", "SELECT id, amount, row_number() OVER (ORDER BY amount, id) AS place FROM facts"),
    ]
    connection.execute(SCHEMA)
    for name, value in settings.items():
        connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
    connection.execute("SELECT pg_reload_conf()")
    try:
        copy(connection, range(ROWS))
        for view in views:
            connection.execute(f"CREATE MATERIALIZED VIEW {view.name} AS {view.query}")
        connection.execute("CREATE UNIQUE INDEX ON unique_keyed (id)")
        for statement in ("UPDATE facts SET amount = amount + 1, name = name || ' and more' WHERE id % 5 > 0",
                          "UPDATE facts SET k = 5000 + k WHERE k % 3 = 0",
                          "DELETE FROM facts WHERE id % 4 = 0",
                          "UPDATE facts SET id = -id, price = NULL"):
            connection.execute(statement)
            assert differences(connection, views) == [], statement
        assert "freshet worker LOG:  temporary file" in pg_shared.log_tail(1000)
    finally:
        for name in settings:
            connection.execute(f"ALTER SYSTEM RESET {name}")
        connection.execute("SELECT pg_reload_conf()")
        connection.close()


def test_cuts_while_a_load_runs(database):  # noqa: F811
    """A page of a load is read partly ahead of a cut, partly for one, and ahead again."""
    connection = database()
    connection.execute("CREATE TABLE few (n int); CREATE TABLE many (n int)")
    connection.execute("CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM many")
    connection.execute("CREATE MATERIALIZED VIEW others AS SELECT count(*) AS n FROM few")

    def written() -> int:
        return int(connection.execute("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn").fetchone()[0])

    def cut() -> None:
        connection.execute("INSERT INTO few VALUES (1)")
        connection.execute("SELECT n FROM others")

    with database() as loader:
        loader.autocommit = False
        for _ in range(6):
            cut()
            # WAL is read ahead half a MiB at a time: a little more than that, and some rows of a page remain
            end = written() + 512 * 1024 + 4000
            while written() < end:
                loader.execute("INSERT INTO many SELECT generate_series(1, 20)")
            connection.execute("SELECT pg_switch_wal()")  # flushed
            time.sleep(0.2)  # long enough for the worker to look at it
            loader.execute("INSERT INTO many SELECT generate_series(1, 3)")
            cut()
            loader.execute("INSERT INTO many SELECT generate_series(1, 3)")
        loader.commit()
    assert connection.execute("SELECT n FROM counted").fetchone() == connection.execute("SELECT count(*) FROM many").fetchone()
    connection.close()
