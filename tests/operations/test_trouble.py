"""A view in trouble keeps its last good content, says why, holds up nobody, and heals by itself."""

import os
import time

import pytest

SCHEMA = """
CREATE TABLE t (id int PRIMARY KEY, kind int, amount numeric);
INSERT INTO t SELECT g, g % 5, g FROM generate_series(1, 100) g;
CREATE MATERIALIZED VIEW healthy AS SELECT kind, count(*) AS n FROM t GROUP BY kind;
CREATE MATERIALIZED VIEW distinct_kinds AS SELECT DISTINCT kind FROM t;
"""


@pytest.fixture
def connect(pg_shared):
    with pg_shared.database("trouble", SCHEMA) as name:
        yield lambda: pg_shared.psycopg(name)


def state(connection, view: str) -> str | None:
    return connection.execute("SELECT sqlstate FROM freshet.views WHERE view = %s::regclass", (view,)).fetchone()[0]


def in_trouble(connection, view: str, sqlstate: str) -> None:
    """Until the worker has met the trouble; then everybody else is up to date at once."""
    deadline = time.monotonic() + 20
    while state(connection, view) != sqlstate:
        assert time.monotonic() < deadline, state(connection, view)
        time.sleep(0.02)
    started = time.monotonic()
    for number in range(5):
        connection.execute("INSERT INTO t VALUES (%s, 1, 1)", (10_000 + number,))
        assert connection.execute("SELECT sum(n) FROM healthy").fetchone() == \
            connection.execute("SELECT count(*) FROM t").fetchone()
        connection.execute("DELETE FROM t WHERE id >= 10000")
    assert time.monotonic() - started < 5


def healed(connection, view: str) -> None:
    deadline = time.monotonic() + 20
    while state(connection, view) is not None:
        assert time.monotonic() < deadline, state(connection, view)
        time.sleep(0.02)
    for name in (view, "healthy", "distinct_kinds"):
        assert connection.execute("SELECT freshet.verify(%s::regclass)", (name,)).fetchone() == (0,)


@pytest.mark.parametrize("query", [
    "SELECT id, 100 / amount AS share FROM t",
    "SELECT kind, sum(100 / amount) AS share FROM t GROUP BY kind",
    "SELECT DISTINCT 100 / amount AS share FROM t",
    "SELECT a.id, b.id AS other FROM t a LEFT JOIN t b ON 1 / a.amount = b.amount"])
def test_data_the_query_cannot_take(connect, query):
    connection = connect()
    connection.execute(f"CREATE MATERIALIZED VIEW poor AS {query}")
    before = connection.execute("SELECT count(*) FROM poor").fetchone()
    connection.execute("INSERT INTO t VALUES (1000, 1, 0)")
    in_trouble(connection, "poor", "22012")
    assert connection.execute("SELECT count(*) FROM poor").fetchone() == before
    connection.execute("DELETE FROM t WHERE id = 1000")
    healed(connection, "poor")
    connection.close()


def test_data_a_unique_index_forbids(connect):
    connection = connect()
    connection.execute("CREATE MATERIALIZED VIEW poor AS SELECT amount, id FROM t")
    connection.execute("CREATE UNIQUE INDEX ON poor (amount)")
    connection.execute("INSERT INTO t VALUES (1000, 1, 7)")
    in_trouble(connection, "poor", "23505")
    assert connection.execute("SELECT count(*) FROM poor WHERE amount = 7").fetchone() == (1,)
    connection.execute("UPDATE t SET amount = 7.5 WHERE id = 1000")
    healed(connection, "poor")
    assert connection.execute("SELECT id FROM poor WHERE amount = 7.5").fetchone() == (1000,)
    # values that change places are no violation
    connection.execute("UPDATE t SET amount = 101 - amount WHERE id <= 100")
    connection.execute("SELECT count(*) FROM poor")
    assert state(connection, "poor") is None
    healed(connection, "poor")
    connection.close()


def test_a_function_that_fails_to_be_planned(connect):
    connection = connect()
    connection.execute("CREATE FUNCTION f() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1'")
    connection.execute("CREATE MATERIALIZED VIEW poor AS SELECT id, f() AS f FROM t")
    connection.execute("SELECT count(*) FROM poor")
    connection.execute("CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1 / 0'")
    in_trouble(connection, "poor", "22012")
    assert connection.execute("SELECT DISTINCT f FROM poor").fetchall() == [(1,)]
    connection.execute("CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2'")
    assert connection.execute("SELECT DISTINCT f FROM poor").fetchall() == [(2,)]
    healed(connection, "poor")
    connection.close()


def test_rights_that_the_owner_lost(connect):
    connection = connect()
    role = f"poor_{os.urandom(4).hex()}"
    connection.execute(f"CREATE ROLE {role}")
    connection.execute(f"GRANT SELECT ON t TO {role}; GRANT CREATE ON SCHEMA public TO {role}")
    connection.execute("CREATE MATERIALIZED VIEW poor AS SELECT kind, max(amount) AS most FROM t GROUP BY kind")
    connection.execute(f"ALTER MATERIALIZED VIEW poor OWNER TO {role}")
    connection.execute("SELECT * FROM poor")
    connection.execute(f"REVOKE SELECT ON t FROM {role}")
    connection.execute("INSERT INTO t VALUES (1000, 1, 1000)")
    in_trouble(connection, "poor", "42501")
    assert connection.execute("SELECT max(most) FROM poor").fetchone() == (100,)
    connection.execute(f"GRANT SELECT ON t TO {role}")
    assert connection.execute("SELECT max(most) FROM poor").fetchone() == (1000,)
    healed(connection, "poor")
    connection.execute(f"DROP OWNED BY {role} CASCADE")
    connection.execute(f"DROP ROLE {role}")
    connection.close()


def test_trouble_outlives_the_worker(connect):
    connection = connect()
    connection.execute("CREATE MATERIALIZED VIEW poor AS SELECT id, 100 / amount AS share FROM t")
    connection.execute("SELECT count(*) FROM poor")
    connection.execute("INSERT INTO t VALUES (1000, 1, 0)")
    in_trouble(connection, "poor", "22012")
    connection.execute("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
                       "WHERE backend_type = 'freshet worker' AND datname = current_database()")
    in_trouble(connection, "poor", "22012")
    assert connection.execute("SELECT count(*) FROM poor").fetchone() == (100,)
    connection.execute("DELETE FROM t WHERE id = 1000")
    healed(connection, "poor")
    connection.close()


@pytest.mark.parametrize("relation", ["t", "poor"])
def test_a_lock_that_is_held(connect, relation):
    """Readers get what there is as long as the worker is kept out, and what is new right after."""
    connection, locker = connect(), connect()
    connection.execute("CREATE TABLE u (id int)")
    connection.execute("CREATE MATERIALIZED VIEW poor AS SELECT t.id FROM t JOIN u ON u.id = t.id")
    connection.execute("INSERT INTO u SELECT generate_series(1, 10)")
    assert connection.execute("SELECT count(*) FROM poor").fetchone() == (10,)
    locker.execute("BEGIN")
    locker.execute("LOCK TABLE t" if relation == "t" else "CREATE INDEX ON poor (id)")
    connection.execute("INSERT INTO u VALUES (11)")
    started = time.monotonic()
    assert connection.execute("SELECT count(*) FROM poor").fetchone() == (10,)
    assert time.monotonic() - started < 5
    locker.execute("COMMIT")
    assert connection.execute("SELECT count(*) FROM poor").fetchone() == (11,)
    healed(connection, "poor")
    connection.close()
    locker.close()


def test_an_index_that_is_locked(connect):
    """The view waits, nobody else notices, and who reads after the lock is gone sees what is new."""
    connection, locker = connect(), connect()
    connection.execute("CREATE TABLE u (id int)")
    connection.execute("CREATE MATERIALIZED VIEW poor AS SELECT t.id FROM t JOIN u ON u.id = t.id")
    connection.execute("CREATE TABLE v (id int)")
    connection.execute("CREATE MATERIALIZED VIEW rich AS SELECT count(*) AS n FROM v")
    connection.execute("INSERT INTO u SELECT generate_series(1, 10)")
    assert connection.execute("SELECT count(*) FROM poor").fetchone() == (10,)
    locker.execute("BEGIN")
    locker.execute("REINDEX INDEX t_pkey")
    connection.execute("INSERT INTO u VALUES (11)")
    started = time.monotonic()
    for number in range(20):
        connection.execute("INSERT INTO v VALUES (1)")
        assert connection.execute("SELECT n FROM rich").fetchone() == (number + 1,)
    assert time.monotonic() - started < 10
    assert state(connection, "poor") is None
    locker.execute("COMMIT")
    assert connection.execute("SELECT count(*) FROM poor").fetchone() == (11,)
    healed(connection, "poor")
    connection.close()
    locker.close()
