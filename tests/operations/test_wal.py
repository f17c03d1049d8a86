"""Where records end in the WAL makes no difference to what the worker reads."""

import os
import signal

from crash.test_kill import worker_pid

PAGE = 8192
COMMIT = 40  # a commit record of nothing but its time
LONG = 300  # a record with so much in it has the longer form of length


def position(connection) -> int:
    """Where the next record will begin."""
    return int(connection.execute("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn").fetchone()[0])


def pad(connection, length: int) -> int:
    """Write a record with so many bytes in it; how long it is, where no page ends within it."""
    before = position(connection)
    connection.execute("SELECT pg_logical_emit_message(false, 'pad', repeat('x', %s::int))", (length,))
    return position(connection) - before


def commit_at_page_end(connection, number: int) -> bool:
    """Commit a row with a commit record that ends where a page does; False if something else was written meanwhile."""
    connection.execute("BEGIN")
    connection.execute("INSERT INTO numbers VALUES (%s)", (number,))
    pad(connection, PAGE - position(connection) % PAGE)  # into the next page
    more = pad(connection, LONG) - LONG
    pad(connection, PAGE - position(connection) % PAGE - COMMIT - more)
    connection.execute("COMMIT")
    return position(connection) % PAGE in (24, 40)  # behind a page's header


def test_records_that_end_with_a_page(pg):
    """A cut whose changes were read up to the end of a page: the next ones begin behind the next page's header."""
    connection = pg.psycopg()
    connection.execute("SET freshet.max_staleness = -1")
    reader = pg.psycopg()
    connection.execute("CREATE TABLE numbers (n int)")
    connection.execute("CREATE MATERIALIZED VIEW doubled AS SELECT n * 2 AS n FROM numbers")
    assert reader.execute("SELECT count(*) FROM doubled").fetchone()[0] == 0
    worker = worker_pid(connection)
    hits = 0
    for number in range(20):
        # still, so that nothing it writes is between ours
        os.kill(worker, signal.SIGSTOP)
        try:
            hits += commit_at_page_end(connection, number)
        finally:
            os.kill(worker, signal.SIGCONT)
        assert reader.execute("SELECT count(*) FROM doubled").fetchone()[0] == number + 1
        assert reader.execute("SELECT freshet.verify('doubled')").fetchone()[0] == 0
    assert hits
    assert worker_pid(connection) == worker
