"""A worker in the middle of a long query gives way to who waits for its locks, and ends with the postmaster."""

import os
import signal
import time

import pytest
from harness import system

SCHEMA = """
CREATE TABLE pause (seconds float8);
INSERT INTO pause VALUES (0);
CREATE FUNCTION slowly(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
    'BEGIN PERFORM pg_sleep(seconds) FROM pause; RETURN $1; END';
CREATE TABLE t (id int);
INSERT INTO t VALUES (1);
CREATE TABLE u (id int);
CREATE MATERIALIZED VIEW slow AS SELECT rank() OVER (ORDER BY id) AS place, slowly(id) AS id FROM t;
CREATE MATERIALIZED VIEW quick AS SELECT count(*) AS n FROM u;
"""


@pytest.fixture
def connection(pg):
    connection = pg.psycopg()
    connection.execute(SCHEMA)
    connection.execute("SELECT * FROM slow, quick")
    yield connection
    connection.close()


def worker(connection) -> int:
    return connection.execute("SELECT pid FROM pg_stat_activity WHERE backend_type = 'freshet worker'").fetchone()[0]


def in_the_query(connection) -> bool:
    return connection.execute("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'freshet worker' "
                              "AND wait_event = 'PgSleep'").fetchone() == (1,)


def make_long(connection) -> None:
    """The worker is in a query that takes a minute; the next one may be made short again."""
    connection.execute("UPDATE pause SET seconds = 60")
    connection.execute("INSERT INTO t SELECT max(id) + 1 FROM t")
    system.wait_until(lambda: in_the_query(connection), 20, what="the worker runs the query")


def sqlstate(connection) -> str | None:
    return connection.execute("SELECT sqlstate FROM freshet.views WHERE view = 'slow'::regclass").fetchone()[0]


def exact(connection) -> None:
    system.wait_until(lambda: connection.execute("SELECT count(*) FROM slow").fetchone() ==
                      connection.execute("SELECT count(*) FROM t").fetchone(), 20, what="the view is up to date again")
    system.wait_until(lambda: sqlstate(connection) is None, 20, what="and says so")
    for view in ("slow", "quick"):
        assert connection.execute("SELECT freshet.verify(%s::regclass)", (view,)).fetchone() == (0,)


def test_ddl_does_not_wait_for_the_query(pg, connection):
    pid = worker(connection)
    make_long(connection)
    connection.execute("UPDATE pause SET seconds = 0")
    started = time.monotonic()
    connection.execute("ALTER TABLE t ADD COLUMN more int")
    assert time.monotonic() - started < 10
    connection.execute("INSERT INTO u VALUES (1)")
    assert connection.execute("SELECT n FROM quick").fetchone() == (1,)
    exact(connection)
    assert worker(connection) == pid
    assert "canceling statement" not in pg.log.read_text()


def test_a_view_that_never_gets_through_says_so(pg, connection):
    """Its readers do not wait for it any more then, and it heals when it is left in peace."""
    make_long(connection)
    deadline = time.monotonic() + 60
    while sqlstate(connection) is None:
        assert time.monotonic() < deadline
        system.wait_until(lambda: in_the_query(connection) or sqlstate(connection), 20, what="it is tried again")
        started = time.monotonic()
        with connection.transaction():
            connection.execute("LOCK TABLE t")
        assert time.monotonic() - started < 10
    assert sqlstate(connection) == "55P03"
    assert connection.execute("SELECT count(*) FROM slow").fetchone() == (1,)
    assert "broken off" in connection.execute(
        "SELECT error FROM freshet.views WHERE view = 'slow'::regclass").fetchone()[0]
    connection.execute("UPDATE pause SET seconds = 0")
    exact(connection)
    assert "canceling statement" not in pg.log.read_text()


def test_the_worker_ends_with_the_postmaster(pg, connection):
    pid = worker(connection)
    make_long(connection)
    connection.execute("UPDATE pause SET seconds = 0")
    os.kill(pg.pid, signal.SIGKILL)
    system.wait_until(lambda: not system.is_running(pid), 5, what="the worker is gone")
    system.wait_until(lambda: not system.descendants(pg.pid), 5, what="and all others")
    pg.start()
    again = pg.psycopg()
    exact(again)
    again.close()
