"""Views over tables that logical replication writes."""

import time

import pytest
from harness.postgres import Postgres


@pytest.fixture
def cluster():
    cluster = Postgres({"wal_level": "logical"}).start()
    yield cluster
    cluster.stop()
    cluster.remove()


def test_a_view_over_a_subscribed_table(cluster):
    admin = cluster.psycopg()
    for name in ("source", "target"):
        admin.execute(f"CREATE DATABASE {name}")
    source, target = cluster.psycopg("source"), cluster.psycopg("target")
    for connection in (source, target):
        connection.execute("CREATE TABLE t (id int PRIMARY KEY, kind int, amount numeric)")
    source.execute("INSERT INTO t SELECT g, g % 5, g FROM generate_series(1, 100) g")
    source.execute("CREATE PUBLICATION p FOR TABLE t")
    source.execute("SELECT pg_create_logical_replication_slot('s', 'pgoutput')")
    target.execute("CREATE EXTENSION freshet")
    target.execute("CREATE MATERIALIZED VIEW listed AS SELECT id, amount FROM t")
    target.execute("CREATE MATERIALIZED VIEW grouped AS SELECT kind, count(*) AS n, sum(amount) AS amount "
                   "FROM t GROUP BY kind")
    target.execute("CREATE MATERIALIZED VIEW kinds AS SELECT DISTINCT kind FROM t")
    target.execute(f"CREATE SUBSCRIPTION s CONNECTION '{cluster.dsn('source')}' PUBLICATION p "
                   "WITH (create_slot = false, slot_name = 's')")
    for change in (None, "INSERT INTO t SELECT g, g % 7, g FROM generate_series(101, 300) g",
                   "UPDATE t SET amount = amount + 1 WHERE id % 3 = 0", "UPDATE t SET id = id + 1000 WHERE id < 5",
                   "DELETE FROM t WHERE kind = 6", "TRUNCATE t", "INSERT INTO t VALUES (1, 1, 1)"):
        if change:
            source.execute(change)
        wanted = source.execute("SELECT id, kind, amount FROM t ORDER BY id").fetchall()
        deadline = time.monotonic() + 30
        while target.execute("SELECT id, kind, amount FROM t ORDER BY id").fetchall() != wanted:
            assert time.monotonic() < deadline, change
            time.sleep(0.02)
        assert target.execute("SELECT id, amount FROM listed ORDER BY id").fetchall() == \
            [(row[0], row[2]) for row in wanted], change
        assert target.execute("SELECT coalesce(sum(n), 0), sum(amount) FROM grouped").fetchone() == \
            source.execute("SELECT count(*), sum(amount) FROM t").fetchone(), change
        for view in ("listed", "grouped", "kinds"):
            assert target.execute("SELECT freshet.verify(%s::regclass)", (view,)).fetchone() == (0,), change
    target.execute("DROP SUBSCRIPTION s")
    for connection in (source, target, admin):
        connection.close()
