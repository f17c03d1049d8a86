"""Where records end in the WAL makes no difference to what the worker reads."""

import os
import signal
import threading
import time

import pytest

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


def panics(server) -> str:
    return "\n".join(line for line in server.log.read_text().splitlines()
                     if "PANIC" in line or "request to flush past end" in line)


@pytest.mark.parametrize("load", ["none", "light", "heavy"])
def test_wal_switches(pg, load):
    """What comes next begins behind a page's header that is not there yet: nobody may ask for that much."""
    connection = pg.psycopg()
    connection.execute("CREATE TABLE numbers (n int)")
    connection.execute("CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM numbers")
    worker = worker_pid(connection)
    end = threading.Event()

    def write() -> None:
        with pg.psycopg() as writer:
            writer.execute("SET synchronous_commit = off")
            while not end.wait(0.01 if load == "light" else 0):
                writer.execute("INSERT INTO numbers VALUES (1)" if load == "light" else
                               "INSERT INTO numbers SELECT generate_series(1, 3000)")

    writers = [threading.Thread(target=write) for _ in range({"none": 0, "light": 1, "heavy": 2}[load])]
    for one in writers:
        one.start()
    try:
        for number in range(25):
            connection.execute("INSERT INTO numbers VALUES (1)")
            connection.execute("SELECT n FROM counted")
            if number % 8 == 0:
                connection.execute("SELECT pg_backup_start('test', true)")
                connection.execute("SELECT * FROM pg_backup_stop(false)")
            connection.execute("SELECT pg_switch_wal()")
            connection.execute("SELECT n FROM counted")
            # longer than the WAL writer and the worker look for what there is to do; 8: at once
            time.sleep((number % 9) * 0.01)
            connection.execute("SELECT n FROM counted")
    finally:
        end.set()
        for one in writers:
            one.join()
    time.sleep(0.5)
    assert panics(pg) == ""
    assert worker_pid(connection) == worker
    assert connection.execute("SELECT freshet.verify('counted')").fetchone()[0] == 0


def test_idle_at_a_page_boundary(pg):
    """Likewise where a record ends with its page."""
    connection = pg.psycopg()
    connection.execute("SET synchronous_commit = off")
    connection.execute("CREATE TABLE numbers (n int)")
    connection.execute("CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM numbers")
    worker = worker_pid(connection)
    hits = 0
    for number in range(20):
        os.kill(worker, signal.SIGSTOP)
        try:
            if number % 2:
                pad(connection, 600_000)  # enough to be read ahead
            hits += commit_at_page_end(connection, number)
        finally:
            os.kill(worker, signal.SIGCONT)
        time.sleep(0.05)
        connection.execute("SELECT n FROM counted")
    assert hits
    assert panics(pg) == ""
    assert worker_pid(connection) == worker


def test_readers_cost_no_wal(pg):
    """What a reader makes the worker read is written without being made longer."""
    connection = pg.psycopg()
    connection.execute("SET synchronous_commit = off")
    connection.execute("CREATE TABLE numbers (n int)")
    connection.execute("CREATE MATERIALIZED VIEW listed AS SELECT n FROM numbers")

    def grows(read: bool) -> float:
        connection.execute("SELECT count(*) FROM listed; CHECKPOINT; CHECKPOINT")
        before = position(connection)
        for number in range(500):
            connection.execute("INSERT INTO numbers VALUES (%s)", (number,))
            if read:
                connection.execute("SELECT 1 FROM listed LIMIT 1")
        return (position(connection) - before) / 500

    assert grows(True) < 2 * grows(False) + 700  # a cut and a row of the view, each time
