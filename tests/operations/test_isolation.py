"""What a transaction sees at its isolation level, of views that are quick to keep and of one that is not."""

import os

import pytest

ROWS = 100_000


@pytest.fixture
def database(pg_shared):
    name = f"isolation_{os.urandom(4).hex()}"
    admin = pg_shared.psycopg()
    admin.execute(f"CREATE DATABASE {name}")
    connection = pg_shared.psycopg(name)
    connection.execute("CREATE EXTENSION freshet")
    connection.execute("CREATE TABLE t (id int, kind int)")
    connection.execute(f"INSERT INTO t SELECT g, g % 1000 FROM generate_series(1, {ROWS}) g")
    connection.execute("CREATE MATERIALIZED VIEW quick AS SELECT id FROM t")
    # computed as a whole, which takes long enough for the worker to rest in between
    connection.execute("CREATE MATERIALIZED VIEW slow AS "
                       "SELECT id, rank() OVER (PARTITION BY kind ORDER BY id) AS place FROM t")
    yield lambda: pg_shared.psycopg(name)
    connection.close()
    admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    admin.close()


@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_what_was_committed_before_is_seen(database, level):
    writer, reader = database(), database()
    for number in range(1, 6):
        writer.execute("INSERT INTO t VALUES (%s, 1)", (ROWS + number,))
        reader.execute(f"BEGIN ISOLATION LEVEL {level}")
        for view in ("quick", "slow"):
            seen = reader.execute(f"SELECT count(*) FROM {view}").fetchone()[0]
            assert seen == ROWS + number, f"{view} in {level}"
        reader.execute("COMMIT")
    writer.close()
    reader.close()


def test_repeatable_read_keeps_its_snapshot(database):
    writer, reader = database(), database()
    reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    before = reader.execute("SELECT count(*) FROM quick").fetchone()
    writer.execute("INSERT INTO t VALUES (0, 0)")
    assert writer.execute("SELECT count(*) FROM quick").fetchone() != before
    assert reader.execute("SELECT count(*) FROM quick").fetchone() == before
    assert reader.execute("SELECT count(*) FROM t").fetchone() == before
    reader.execute("COMMIT")
    assert reader.execute("SELECT count(*) FROM quick").fetchone() != before
    writer.close()
    reader.close()
