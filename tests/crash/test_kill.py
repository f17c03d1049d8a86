"""The server, the postmaster and the worker are killed under load and go on from the committed cut."""

import os
import random
import signal
import time

import psycopg
import pytest
from harness import system

from . import load

pytestmark = pytest.mark.timeout(240)


def worker_pid(connection) -> int | None:
    """The process that maintains this connection's database."""
    row = connection.execute(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
        "AND backend_type LIKE 'freshet%'").fetchone()
    return row and row[0]


def wait_for_connection(connect):
    """Connect once the server lets us in again."""
    made = []

    def enters():
        try:
            made.append(connect())
        except psycopg.OperationalError:
            return False
        return True

    system.wait_until(enters, 60, 0.1, "connections are accepted again")
    return made[0]


def wait_for_worker(connection) -> None:
    """Return once readers are not told any more that nobody maintains the views.

    They wait five seconds for a worker that has left, and under valgrind the next takes longer to start.
    """
    told = []
    connection.add_notice_handler(told.append)

    def maintained() -> bool:
        told.clear()
        connection.execute("SELECT freshet.wait_fresh()")
        return not told

    system.wait_until(maintained, 20, what="a worker maintains the views again")
    connection.remove_notice_handler(told.append)


def goes_on(connection, files: dict[str, int], written: load.Load, before: dict[str, int] | None = None) -> None:
    """Everything committed is there, views are exact, and none was built again.

    before: the counters of rows read so far, where they have not begun anew with a new server.
    """
    load.check(connection)
    written.check(connection)
    assert load.files(connection) == files, "a view was rewritten"
    read = load.rows_read(connection)
    for name in load.PURE_A:
        rows = read[name] - (before or {}).get(name, 0)
        assert rows < load.ROWS / 2, f"{name} read {rows} rows: it was computed anew"
    # and it is alive: the next commit is seen
    connection.execute("INSERT INTO events VALUES (0, 0, 1, 'after')")
    assert connection.execute("SELECT count(*) FROM listed WHERE id = 0").fetchone()[0] == 1
    connection.execute("DELETE FROM events WHERE id = 0")
    load.check(connection)


def test_whole_server_killed(fresh_server):
    connection = fresh_server.psycopg("postgres")
    files = load.prepare(connection)
    for round_ in range(3):
        written = load.Load(lambda: fresh_server.psycopg("postgres")).start(1 + round_ * 10_000_000)
        time.sleep(random.uniform(0.3, 1.5))
        fresh_server.kill()
        written.join()
        fresh_server.start()
        connection = fresh_server.psycopg("postgres")
        goes_on(connection, files, written)
        connection.close()


def test_postmaster_killed_below_the_server(fresh_server):
    """The server starts its PostgreSQL again."""
    connection = fresh_server.psycopg("postgres")
    files = load.prepare(connection)
    written = load.Load(lambda: fresh_server.psycopg("postgres")).start()
    time.sleep(1)
    os.kill(fresh_server.postmaster_pid(), signal.SIGKILL)
    written.join()
    connection = wait_for_connection(lambda: fresh_server.psycopg("postgres"))
    goes_on(connection, files, written)
    connection.close()


def test_postgres_killed_without_the_server(pg):
    connection = pg.psycopg()
    files = load.prepare(connection)
    for round_ in range(5):
        written = load.Load(pg.psycopg).start(1 + round_ * 10_000_000)
        time.sleep(random.uniform(0.1, 1.0))
        pg.kill()
        written.join()
        pg.start()
        connection = pg.psycopg()
        goes_on(connection, files, written)
        connection.close()


def test_worker_killed(pg):
    """PostgreSQL starts all over when the worker is killed, and so does the worker."""
    connection = pg.psycopg()
    files = load.prepare(connection)
    for round_ in range(3):
        written = load.Load(pg.psycopg).start(1 + round_ * 10_000_000)
        time.sleep(random.uniform(0.2, 0.8))
        os.kill(worker_pid(connection), signal.SIGKILL)
        written.join()
        connection = wait_for_connection(pg.psycopg)
        goes_on(connection, files, written)


VICTIMS = {
    "worker": worker_pid,
    "backend": lambda connection: connection.execute(
        "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() "
        "ORDER BY random() LIMIT 1").fetchone()[0],
    "checkpointer": lambda connection: connection.execute(
        "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'").fetchone()[0],
}


def test_anything_killed(pg):
    """The worker, a writer's backend, a process of PostgreSQL or all of it, again and again at random instants."""
    connection = pg.psycopg()
    files = load.prepare(connection)
    for round_, victim in enumerate(random.sample(("worker", "backend", "checkpointer", "everything") * 2, 6)):
        written = load.Load(pg.psycopg).start(1 + round_ * 10_000_000)
        time.sleep(random.uniform(0.05, 0.6))
        if victim == "everything":
            pg.kill()
            pg.start()
        else:
            os.kill(VICTIMS[victim](connection), signal.SIGKILL)
        written.join()
        connection = wait_for_connection(pg.psycopg)
        print(f"{victim} killed after {len(written.committed)} transactions")
        goes_on(connection, files, written)


def test_worker_terminated(pg):
    """pg_terminate_backend is no reason to stop for good, and writers notice nothing."""
    connection = pg.psycopg()
    files = load.prepare(connection)
    before = load.rows_read(connection)
    written = load.Load(pg.psycopg).start()
    for _ in range(3):
        time.sleep(0.3)
        pid = system.wait_until(lambda: worker_pid(connection), 20, what="a worker runs")
        connection.execute("SELECT pg_terminate_backend(%s)", (pid,))
    written.stop()
    wait_for_worker(connection)
    goes_on(connection, files, written, before)


def test_numbers_of_cuts_never_go_back(pg):
    """Nor do those of cuts that were published without being committed, as they changed nothing in a view."""
    connection = pg.psycopg()
    connection.execute("CREATE TABLE read (id int); CREATE TABLE unread (id int)")
    connection.execute("CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM read")

    def written(table: str) -> int:
        """The number of the committed cut once a row is in the table, and in the view's cut."""
        connection.execute(f"INSERT INTO {table} VALUES (1)")
        connection.execute("SELECT FROM counted")
        return connection.execute("SELECT number FROM freshet.cut").fetchone()[0]

    before = written("read")
    for _ in range(20):
        written("unread")
    connection.execute("SELECT pg_terminate_backend(%s, 10000)", (worker_pid(connection),))
    assert written("read") > before + 20
    assert connection.execute("SELECT n FROM counted").fetchone() == (2,)


def test_cut_stays_readable(pg):
    """The worker is held still while rows come, change, go and are vacuumed; then it catches up exactly.

    Its last committed cut must still be readable after all that, or it could only build the views anew.
    """
    connection = pg.psycopg()
    files = load.prepare(connection)
    before = load.rows_read(connection)
    pid = worker_pid(connection)
    os.kill(pid, signal.SIGSTOP)
    try:
        connection.execute("DELETE FROM events WHERE id % 10 = 0")
        connection.execute("UPDATE events SET kind = kind % 7, amount = 1.50 WHERE id % 10 = 1")
        connection.execute("INSERT INTO events SELECT g, g % 20, 1, 'late' FROM generate_series(1, 500) g")
        connection.execute("DELETE FROM events WHERE id BETWEEN 1 AND 100")
        for _ in range(3):
            connection.execute("VACUUM events")
        connection.execute("CHECKPOINT")
        connection.execute("SELECT pg_switch_wal()")
    finally:
        os.kill(pid, signal.SIGCONT)
    load.check(connection)
    assert load.files(connection) == files
    read = load.rows_read(connection)
    assert read["listed"] - before["listed"] < load.ROWS / 2


def test_cut_stays_readable_over_a_crash(pg):
    """The same, with a crash between the changes and the catching up."""
    connection = pg.psycopg()
    files = load.prepare(connection)
    os.kill(worker_pid(connection), signal.SIGSTOP)
    connection.execute("DELETE FROM events WHERE id % 10 = 0")
    connection.execute("VACUUM events")
    connection.execute("INSERT INTO events SELECT g, g % 20, 1, 'late' FROM generate_series(1, 500) g")
    connection.execute("CHECKPOINT")
    pg.kill()
    pg.start()
    connection = pg.psycopg()
    connection.execute("VACUUM events")
    goes_on(connection, files, load.Load(pg.psycopg))
