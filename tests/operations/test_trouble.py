"""A view in trouble keeps its last good content, says why, holds up nobody, and heals by itself."""

import os
import signal
import threading
import time

import psycopg
import pytest
from harness import system
from harness.postgres import Postgres

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


@pytest.fixture
def brief_recursion(pg_shared):
    with pg_shared.psycopg("postgres") as connection:
        connection.execute("ALTER SYSTEM SET freshet.recursion_timeout = '200ms'")
        connection.execute("SELECT pg_reload_conf()")
        yield
        connection.execute("ALTER SYSTEM RESET freshet.recursion_timeout")
        connection.execute("SELECT pg_reload_conf()")


@pytest.mark.parametrize("union", ["UNION ALL", "UNION"])
def test_a_recursion_that_a_row_makes_endless(connect, brief_recursion, union):
    connection = connect()
    connection.execute("""
        CREATE TABLE edge (a int, b int);
        INSERT INTO edge VALUES (1, 2), (2, 3)""")
    connection.execute(f"""
        CREATE MATERIALIZED VIEW poor AS WITH RECURSIVE r (a, b, d) AS (
            SELECT a, b, 1 FROM edge WHERE a = 1 {union}
            SELECT r.a, e.b, r.d + 1 FROM r JOIN edge e ON e.a = r.b) SELECT a, b FROM r""")
    assert connection.execute("SELECT count(*) FROM poor").fetchone() == (2,)
    connection.execute("UPDATE edge SET b = 1 WHERE a = 2")
    in_trouble(connection, "poor", "57014")
    assert connection.execute("SELECT error FROM freshet.views WHERE view = 'poor'::regclass").fetchone() == \
        ("its recursion did not end within 200 ms",)
    connection.execute("UPDATE edge SET b = 3 WHERE a = 2")
    connection.execute("REFRESH MATERIALIZED VIEW poor")
    assert connection.execute("SELECT count(*) FROM poor").fetchone() == (2,)
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


CRASHES = """
CREATE FUNCTION crash(int) RETURNS text LANGUAGE internal IMMUTABLE STRICT AS 'textin';
CREATE MATERIALIZED VIEW poor AS SELECT kind, count(*) AS n, min(CASE WHEN id > 500 THEN crash(id) END) AS c FROM t GROUP BY kind;
"""


@pytest.fixture
def alone():
    """A cluster of the test's own, whose processes crash."""
    cluster = Postgres().start()
    connection = cluster.psycopg()
    connection.execute("CREATE EXTENSION freshet")
    connection.execute(SCHEMA)
    connection.close()
    yield cluster
    if system.is_running(cluster.pid):
        cluster.stop()
    cluster.remove()


def persistent(cluster: Postgres, statement: str):
    """What a statement returns, once the cluster lets us in and lets it through."""
    rows = []

    def runs() -> bool:
        try:
            with cluster.psycopg() as connection:
                rows[:] = connection.execute(statement).fetchall()
        except psycopg.OperationalError:
            return False
        return True

    system.wait_until(runs, 30, 0.1, statement)
    return rows


def worker_of(connection) -> int | None:
    row = connection.execute("SELECT pid FROM pg_stat_activity WHERE backend_type = 'freshet worker'").fetchone()
    return row and row[0]


def test_a_view_at_which_the_worker_dies(alone):
    """After the second crash the others go on without it; freshet.adopt tries again."""
    connection = alone.psycopg()
    connection.execute(CRASHES)
    connection.execute("SELECT count(*) FROM poor")
    connection.execute("INSERT INTO t VALUES (1000, 1, 0)")
    connection.close()
    system.wait_until(lambda: persistent(alone, "SELECT sqlstate, strategy FROM freshet.views WHERE view = 'poor'::regclass")
                      == [("57P02", "none")], 30, 0.2, "the view is left alone")
    assert alone.log.read_text().count("was terminated by signal 11") == 2
    connection = alone.psycopg()
    connection.execute("INSERT INTO t VALUES (1001, 1, 0)")
    assert connection.execute("SELECT sum(n) FROM healthy").fetchone() == (102,)
    assert connection.execute("SELECT sum(n) FROM poor").fetchone() == (100,)
    connection.execute("DELETE FROM t WHERE id > 500")
    connection.execute("SELECT freshet.adopt('poor')")
    assert connection.execute("SELECT sum(n) FROM poor").fetchone() == (100,)
    healed(connection, "poor")
    connection.close()


def test_a_worker_that_is_killed_is_not_the_view_s_fault(alone):
    """Deaths count while nothing of the view is committed between them, and only those at work on it."""
    for _ in range(3):
        connection = alone.psycopg()
        system.wait_until(lambda: worker_of(connection), 20, what="a worker")
        connection.execute("UPDATE t SET amount = amount + 1")
        os.kill(worker_of(connection), signal.SIGKILL)
        connection.close()
        assert persistent(alone, "SELECT sum(n) FROM healthy") == [(100,)]
        assert persistent(alone, "SELECT count(*) FROM freshet.views WHERE strategy = 'none'") == [(0,)]


def test_a_worker_that_is_ended_comes_back_at_once(alone):
    connection = alone.psycopg()
    for number in range(6):
        pid = worker_of(connection)
        connection.execute("SELECT pg_terminate_backend(%s, 10000)", (pid,))
        started = time.monotonic()
        system.wait_until(lambda: worker_of(connection) not in (None, pid), 20, 0.02, "another worker")
        assert time.monotonic() - started < system.patience(1)
    connection.close()


@pytest.mark.parametrize("busy", ["query", "sleep", "lock"])
def test_the_server_stops_while_the_worker_is_busy(alone, busy):
    connection = alone.psycopg()
    connection.execute("CREATE TABLE u (id int); CREATE TABLE w (id int)")
    connection.execute("CREATE FUNCTION slow(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS "
                       "'BEGIN PERFORM pg_sleep(120) WHERE $1 > 0; RETURN $1; END'")
    connection.execute({
        "query": "CREATE MATERIALIZED VIEW poor AS SELECT count(*) AS n FROM u, generate_series(1, u.id) a, generate_series(1, u.id) b",
        "sleep": "CREATE MATERIALIZED VIEW poor AS SELECT slow(id) FROM u",
        "lock": "CREATE MATERIALIZED VIEW poor AS SELECT count(*) AS n FROM u, w"}[busy])
    connection.execute("SELECT count(*) FROM poor")
    if busy == "lock":
        locker = alone.psycopg(autocommit=False)
        locker.execute("LOCK TABLE w")
    connection.execute("INSERT INTO u VALUES (100000)")
    reader = alone.psycopg()
    reading = threading.Thread(target=lambda: pytest.raises(psycopg.Error, reader.execute, "SELECT count(*) FROM poor"))
    if busy != "lock":
        reading.start()
        time.sleep(0.5)
    started = time.monotonic()
    alone.stop()
    assert time.monotonic() - started < system.patience(5)
    if busy != "lock":
        reading.join()


def test_a_reader_does_not_wait_beyond_lock_timeout(connect):
    connection = connect()
    connection.execute("SELECT count(*) FROM healthy")
    pid = connection.execute("SELECT pid FROM pg_stat_activity WHERE backend_type = 'freshet worker' AND datname = current_database()"
                             ).fetchone()[0]
    os.kill(pid, signal.SIGSTOP)
    try:
        connection.execute("INSERT INTO t VALUES (1000, 1, 1)")
        connection.execute("SET lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            connection.execute("SELECT sum(n) FROM healthy")
    finally:
        os.kill(pid, signal.SIGCONT)
    connection.execute("RESET lock_timeout")
    assert connection.execute("SELECT sum(n) FROM healthy").fetchone() == (101,)
    connection.close()
