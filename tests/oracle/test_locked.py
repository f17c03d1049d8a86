"""What a lock or an error in one place must not do to views elsewhere.

Each of these was a wrong read once: a view shown as up to date that was not.
"""

import contextlib
import os
import signal
import time

import pytest

from .compare import differences
from .shapes import Shape
from .test_oracle import create_views, database  # noqa: F401 (a fixture)

SHAPES = [
    Shape("listed", "A", "SELECT id, region FROM customers"),
    Shape("counted", "A", "SELECT region, count(*) AS n FROM customers GROUP BY region"),
    Shape("distinct_regions", "C", "SELECT DISTINCT region FROM customers"),
    Shape("listed_again", "A", "SELECT region, credit, id FROM customers"),
]
OTHER = Shape("names", "A", "SELECT name FROM regions")


@pytest.fixture
def connect(database):  # noqa: F811
    """Views over customers and one over regions, all adopted; connects."""
    connection = database()
    create_views(connection, SHAPES + [OTHER])
    connection.execute("INSERT INTO customers SELECT g, 'r' || g % 7, g FROM generate_series(1, 100) g")
    assert not differences(connection, SHAPES + [OTHER])
    # now rows have to be found: the views get their hidden tables
    connection.execute("DELETE FROM customers WHERE id = 5")
    assert not differences(connection, SHAPES + [OTHER])
    connection.close()
    return database


def worker_pid(connection) -> int | None:
    row = connection.execute("SELECT pid FROM pg_stat_activity WHERE backend_type = 'freshet worker' "
                             "AND datname = current_database()").fetchone()
    return row[0] if row else None


@contextlib.contextmanager
def stopped(pid: int):
    """The process does nothing meanwhile."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_table_that_changed_and_then_was_locked_stops_nobody(connect):
    checker, writer, locker = connect(), connect(), connect()
    pid = worker_pid(checker)
    with stopped(pid):
        writer.execute("INSERT INTO customers VALUES (1000, 'new', 0)")
        locker.execute("BEGIN")
        locker.execute("TRUNCATE customers")
        writer.execute("INSERT INTO regions VALUES ('first')")
    started = time.monotonic()
    for number in range(10):
        writer.execute("INSERT INTO regions VALUES (%s)", (f"region {number}",))
        assert not differences(checker, [OTHER])
    assert time.monotonic() - started < 5
    assert worker_pid(checker) == pid
    locker.execute("COMMIT")
    assert not differences(checker, SHAPES)
    for connection in (checker, writer, locker):
        connection.close()


def test_views_a_new_worker_cannot_load_are_not_fresh(connect):
    checker, writer, locker = connect(), connect(), connect()
    pid = worker_pid(checker)
    locker.execute("BEGIN")
    locker.execute("TRUNCATE customers")
    checker.execute("SELECT pg_terminate_backend(%s, 10000)", (pid,))
    writer.execute("INSERT INTO regions VALUES ('first')")
    assert not differences(checker, [OTHER])
    assert worker_pid(checker) not in (None, pid)
    locker.execute("COMMIT")
    assert not differences(checker, SHAPES)
    for connection in (checker, writer, locker):
        connection.close()


def test_what_an_undone_cycle_rebuilt_is_rebuilt_again(connect):
    """One view's hidden table is busy, as autovacuum makes it: the cycle that rebuilds all fails there."""
    checker, writer, locker = connect(), connect(), connect()
    hidden = checker.execute("SELECT format('freshet.rows_%s', 'listed_again'::regclass::oid)").fetchone()[0]
    locker.execute("BEGIN")
    locker.execute(f"LOCK TABLE {hidden} IN SHARE UPDATE EXCLUSIVE MODE")
    writer.execute("TRUNCATE customers")
    assert not differences(checker, SHAPES[:3])
    error = checker.execute("SELECT sqlstate FROM freshet.views WHERE view = 'listed_again'::regclass").fetchone()[0]
    assert error == "55P03"
    locker.execute("COMMIT")
    checker.execute("SELECT freshet.verify('listed_again')")
    assert not differences(checker, SHAPES)
    for connection in (checker, writer, locker):
        connection.close()
