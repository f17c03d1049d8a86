"""What a transaction sees at its isolation level, of views that are quick to keep and of one that is not."""

import pytest

ROWS = 100_000

# slow is computed as a whole, which takes long enough for the worker to rest in between
SCHEMA = f"""
CREATE TABLE t (id int, kind int);
INSERT INTO t SELECT g, g % 1000 FROM generate_series(1, {ROWS}) g;
CREATE MATERIALIZED VIEW quick AS SELECT id FROM t;
CREATE MATERIALIZED VIEW slow AS SELECT id, rank() OVER (PARTITION BY kind ORDER BY id) AS place FROM t;
"""


@pytest.fixture
def database(pg_shared):
    with pg_shared.database("isolation", SCHEMA) as name:
        yield lambda: pg_shared.psycopg(name)


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
