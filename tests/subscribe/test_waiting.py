"""Waiting for changes costs nobody anything, and ends when it should."""

import os
import signal
import threading
import time

import psycopg2
import pytest

from harness.postgres import Postgres

WAIT = "CALL freshet.wait(%s, %s, NULL, NULL, NULL)"
CHANGES = "SELECT * FROM freshet.changes(%s) AS (mz_timestamp numeric, mz_diff bigint, id int)"


@pytest.fixture
def table(pg_shared):
    """An autocommit connection beside a table t (id int) with one row."""
    connection = pg_shared.psycopg2()
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE t (id int); INSERT INTO t VALUES (1)")
    yield cursor
    cursor.execute("DROP TABLE t")
    connection.close()


def until(condition, seconds: float = 10):
    """Poll a condition that another process makes true."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.01)
    return result


def activity(cursor, pid: int):
    """(state, wait event, backend_xmin, number of locks on relations of the user's) of a backend."""
    cursor.execute(
        """SELECT state, wait_event, backend_xmin::text,
                  (SELECT count(*) FROM pg_locks l WHERE l.pid = a.pid AND relation >= 16384)
             FROM pg_stat_activity a WHERE pid = %s""",
        (pid,),
    )
    return cursor.fetchone()


class Waiter(threading.Thread):
    """Subscribes on a connection of its own, reads the snapshot, and waits for more.

    Its result is the rows that came, None if none came in time, or the error. That something may have
    changed is said more often than it has: the target was altered, or just subscribed to.
    """

    def __init__(self, server, target: str, in_block: bool, timeout_ms: int):
        super().__init__()
        self.connection = server.psycopg2()
        self.pid = self.connection.info.backend_pid
        self.cursor = self.connection.cursor()
        if in_block:
            self.cursor.execute("BEGIN")
        self.cursor.execute("SELECT freshet.subscribe('s', %s)", (target,))
        self.cursor.execute(CHANGES, ("s",))
        self.cursor.fetchall()
        self.timeout_ms = timeout_ms
        self.result = None
        self.start()

    def run(self):
        try:
            while not self.result:
                self.cursor.execute(WAIT, ("s", self.timeout_ms))
                if not self.cursor.fetchone()[0]:
                    break
                self.cursor.execute(CHANGES, ("s",))
                self.result = [row[1:] for row in self.cursor.fetchall()]
        except psycopg2.Error as error:
            self.result = error


@pytest.mark.parametrize("in_block", [False, True])
@pytest.mark.parametrize("target", ["t", "(SELECT id FROM t WHERE id > 0)"])
def test_idle_holds_nothing(pg_shared, table, target, in_block):
    waiter = Waiter(pg_shared, target, in_block, -1)
    until(lambda: activity(table, waiter.pid)[:2] == ("active", "Extension"))
    for _ in range(150):
        state, event, xmin, locks = activity(table, waiter.pid)
        assert (state, xmin, locks) == ("active", None, 0)
        time.sleep(0.01)
    # what it reads can be altered meanwhile; a query's tree is another one then
    table.execute("SET lock_timeout = '5s'; ALTER TABLE t ADD COLUMN note text; RESET lock_timeout")
    table.execute("ALTER TABLE t DROP COLUMN note")
    table.execute("INSERT INTO t VALUES (2)")
    waiter.join(10)
    if target == "t":
        assert waiter.result == [(1, 2)]
    else:
        assert waiter.result.pgcode == "55000"
    waiter.connection.close()


def test_wakes_at_once(pg_shared, table):
    waiter = Waiter(pg_shared, "t", False, 10000)
    until(lambda: activity(table, waiter.pid)[:2] == ("active", "Extension"))
    started = time.monotonic()
    table.execute("INSERT INTO t VALUES (3)")
    waiter.join(10)
    assert waiter.result == [(1, 3)]
    assert time.monotonic() - started < 1
    waiter.connection.close()


def test_timeout_and_frontier(pg_shared, table):
    connection = pg_shared.psycopg2()
    cursor = connection.cursor()
    cursor.execute("SELECT freshet.subscribe('s', 't', snapshot => false)")
    started = time.monotonic()
    cursor.execute(WAIT, ("s", 300))
    pending, frontier, finished = cursor.fetchone()
    assert 0.3 <= time.monotonic() - started < 2
    assert (pending, finished) == (False, False)
    # time passes for a subscriber although nothing happens
    cursor.execute(WAIT, ("s", 300))
    assert cursor.fetchone()[1] > frontier
    # and no later row is from before
    frontier = int(time.time() * 1000)
    cursor.execute(WAIT, ("s", 100))
    reached = cursor.fetchone()[1]
    table.execute("INSERT INTO t VALUES (4)")
    cursor.execute(WAIT, ("s", 10000))
    cursor.execute(CHANGES, ("s",))
    assert cursor.fetchone()[0] >= reached
    connection.close()


def test_cancel(pg_shared, table):
    waiter = Waiter(pg_shared, "t", False, -1)
    until(lambda: activity(table, waiter.pid)[1] == "Extension")
    table.execute("SELECT pg_cancel_backend(%s)", (waiter.pid,))
    waiter.join(10)
    assert waiter.result.pgcode == "57014"
    # the subscription has outlived it
    waiter.cursor.execute(WAIT, ("s", 0))
    assert waiter.cursor.fetchone()[0] is False
    waiter.connection.close()


def test_vanished_client_is_noticed(pg_shared, table):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        connection = pg_shared.psycopg2()
        cursor = connection.cursor()
        cursor.execute("SELECT freshet.subscribe('s', 't', snapshot => false)")
        os.write(writer, str(connection.info.backend_pid).encode() + b"\n")
        cursor.execute(WAIT, ("s", -1))
        os._exit(0)
    pid = int(os.read(reader, 20))
    os.close(reader)
    os.close(writer)
    until(lambda: activity(table, pid)[1] == "Extension")
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    started = time.monotonic()
    until(lambda: activity(table, pid) is None)
    assert time.monotonic() - started < 2
    # its pin and its watch are gone with it: subscribing works on
    table.execute("SELECT freshet.subscribe('s', 't', snapshot => false)")
    table.execute("SELECT freshet.unsubscribe('s')")


def test_dropped_target_ends_the_wait(pg_shared, table):
    waiter = Waiter(pg_shared, "t", False, -1)
    until(lambda: activity(table, waiter.pid)[1] == "Extension")
    started = time.monotonic()
    table.execute("DROP TABLE t")
    waiter.join(10)
    assert time.monotonic() - started < 2
    assert waiter.result.pgcode == "42P01"
    waiter.connection.close()
    table.execute("CREATE TABLE t (id int)")


def test_left_behind():
    """A subscription that is not read for longer than freshet.max_cut_age ends with an error."""
    server = Postgres({"freshet.max_cut_age": "'2s'"})
    server.start()
    try:
        writer = server.psycopg2()
        cursor = writer.cursor()
        cursor.execute("CREATE EXTENSION freshet; CREATE TABLE t (id int); INSERT INTO t VALUES (1)")
        slow = server.psycopg2()
        slow_cursor = slow.cursor()
        slow_cursor.execute("SELECT freshet.subscribe('s', 't')")
        idle = Waiter(server, "t", False, 60000)
        for i in range(40):
            cursor.execute("CREATE TABLE IF NOT EXISTS other (id int); INSERT INTO other VALUES (1)")
            time.sleep(0.1)
        # who waits is never left behind
        assert idle.is_alive()
        cursor.execute("INSERT INTO t VALUES (2)")
        idle.join(10)
        assert idle.result == [(1, 2)]
        with pytest.raises(psycopg2.Error) as error:
            slow_cursor.execute(CHANGES, ("s",))
        assert error.value.pgcode == "72000"
        slow_cursor.execute("SELECT freshet.unsubscribe('s')")
        slow_cursor.execute("SELECT freshet.subscribe('s', 't')")
        slow_cursor.execute(CHANGES, ("s",))
        assert sorted(row[2] for row in slow_cursor.fetchall()) == [1, 2]
    finally:
        server.stop()
        server.remove()
