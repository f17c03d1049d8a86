"""A cut that cannot be read any more: the view keeps its content, says so, and is made anew."""

import os
import re
import signal
import threading

import pytest
from harness import system
from harness.postgres import Postgres

SCHEMA = """
CREATE EXTENSION freshet;
CREATE TABLE t (id int PRIMARY KEY, kind int);
INSERT INTO t SELECT g, g % 5 FROM generate_series(1, 1000) g;
CREATE MATERIALIZED VIEW listed AS SELECT id, kind FROM t;
CREATE MATERIALIZED VIEW grouped AS SELECT kind, count(*) AS n FROM t GROUP BY kind;
CREATE MATERIALIZED VIEW outer_joined AS SELECT a.id, b.kind FROM t a LEFT JOIN t b ON b.id = a.id + 1;
"""


@pytest.fixture
def cluster():
    started = []

    def start(settings: dict[str, str]) -> Postgres:
        started.append(Postgres(settings).start())
        return started[0]

    yield start
    for one in started:
        one.stop()
        one.remove()


def worker(connection) -> int:
    return connection.execute("SELECT pid FROM pg_stat_activity WHERE backend_type = 'freshet worker'").fetchone()[0]


def sqlstates(connection) -> set[str | None]:
    return {row[0] for row in connection.execute("SELECT sqlstate FROM freshet.views").fetchall()}


def exact(connection) -> None:
    rows = connection.execute("SELECT count(*) FROM t").fetchone()
    for view, count in (("listed", "count(*)"), ("grouped", "sum(n)"), ("outer_joined", "count(*)")):
        assert connection.execute(f"SELECT {count} FROM {view}").fetchone() == rows
        assert connection.execute("SELECT freshet.verify(%s::regclass)", (view,)).fetchone() == (0,)
    assert sqlstates(connection) == {None}


def test_the_slot_was_given_up(cluster):
    server = cluster({"max_slot_wal_keep_size": "'1MB'", "min_wal_size": "'32MB'", "max_wal_size": "'32MB'"})
    connection, locker, checkpointer = server.psycopg(), server.psycopg(), server.psycopg()
    connection.execute(SCHEMA)
    exact(connection)
    pid = worker(connection)
    os.kill(pid, signal.SIGSTOP)
    try:
        connection.execute("DELETE FROM t WHERE id <= 100")
        for _ in range(4):
            connection.execute("INSERT INTO t SELECT max(id) + 1, 1 FROM t")
            connection.execute("SELECT pg_switch_wal()")
        locker.execute("BEGIN")
        locker.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        # it waits for the worker to let go of the slot
        checkpoint = threading.Thread(target=lambda: checkpointer.execute("CHECKPOINT"))
        checkpoint.start()
        system.wait_until(lambda: re.search(rf"terminating process {pid} to release replication slot",
                                            server.log.read_text()), 20, what="the slot is too old")
    finally:
        os.kill(pid, signal.SIGCONT)
    checkpoint.join(20)
    system.wait_until(lambda: sqlstates(connection) == {"72000"}, 20, what="the views say so")
    assert connection.execute("SELECT count(*) FROM listed").fetchone() == (1000,)
    locker.execute("COMMIT")
    exact(connection)
    slot = connection.execute("SELECT wal_status FROM pg_replication_slots WHERE slot_name ~ '^freshet_'").fetchone()
    assert slot[0] != "lost"
    connection.execute("INSERT INTO t VALUES (0, 0)")
    exact(connection)
    for one in (connection, locker, checkpointer):
        one.close()


def test_the_slot_was_given_up_for_an_open_transaction(cluster):
    """The worker goes on while one transaction keeps the WAL it wrote; what that writes is not lost with the slot."""
    server = cluster({"max_slot_wal_keep_size": "'1MB'", "min_wal_size": "'32MB'", "max_wal_size": "'32MB'"})
    connection, writer = server.psycopg(), server.psycopg(autocommit=False)
    connection.execute(SCHEMA)
    exact(connection)
    writer.execute("DELETE FROM t WHERE id <= 100")
    pid = worker(connection)
    for number in range(4):
        connection.execute("INSERT INTO t VALUES (%s, 1)", (2000 + number,))
        connection.execute("SELECT count(*) FROM listed")
        connection.execute("SELECT pg_switch_wal()")
    connection.execute("CHECKPOINT")
    system.wait_until(lambda: re.search(rf"terminating process {pid} to release replication slot", server.log.read_text()),
                      20, what="the slot is too old")
    exact(connection)
    writer.execute("INSERT INTO t VALUES (0, 0)")
    writer.commit()
    exact(connection)
    for one in (connection, writer):
        one.close()
