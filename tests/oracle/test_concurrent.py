"""Several sessions write at once: their own writes are seen, views agree, and all end exact."""

import os
import threading
import time

import pytest
from psycopg import errors

from .compare import differences
from .shapes import SHAPES
from .test_oracle import create_views, database  # noqa: F401 (a fixture)
from .workload import Workload

SECONDS = float(os.environ.get("FRESHET_CONCURRENT_SECONDS", "10"))


class Threads:
    """Threads that run until the time is up; the first failure of any is the test's."""

    def __init__(self, seconds: float):
        self.deadline = time.monotonic() + seconds
        self.failures: list[BaseException] = []
        self.threads: list[threading.Thread] = []

    def goes_on(self) -> bool:
        return time.monotonic() < self.deadline and not self.failures

    def start(self, function, *arguments) -> None:
        def guarded():
            try:
                function(*arguments)
            except BaseException as failure:  # reported by join
                self.failures.append(failure)

        self.threads.append(threading.Thread(target=guarded))
        self.threads[-1].start()

    def join(self) -> None:
        for thread in self.threads:
            thread.join()
        if self.failures:
            raise self.failures[0]


def write(threads: Threads, connect, seed: int) -> None:
    """Transactions of a few statements; conflicts are retried by going on."""
    workload = Workload(seed, connect, writers=1)
    writer = workload.writers[0]
    while threads.goes_on():
        sql = workload.random.choice((workload.insert, workload.update, workload.delete))()
        if not writer.in_transaction and workload.random.random() < 0.3:
            writer.in_transaction = workload.execute(writer, "BEGIN")
        workload.execute(writer, sql)
        if writer.in_transaction and workload.random.random() < 0.3:
            workload.finish(writer, workload.random.choice(("COMMIT", "COMMIT", "ROLLBACK")))
    workload.settle()
    workload.close()


def read_own_writes(threads: Threads, connect, first: int) -> None:
    """A statement that starts after a commit returned sees that commit in every view.

    In a table of its own: other writers may delete any row of theirs.
    """
    connection = connect()
    number = first
    while threads.goes_on():
        number += 1
        connection.execute("INSERT INTO notes VALUES (%s, 'mine')", (number,))
        seen = connection.execute("SELECT count(*) FROM noted WHERE id = %s", (number,)).fetchone()[0]
        assert seen == 1, f"row {number} was committed and is not in the view"
        connection.execute("DELETE FROM notes WHERE id = %s", (number,))
        seen = connection.execute("SELECT count(*) FROM noted WHERE id = %s", (number,)).fetchone()[0]
        assert seen == 0, f"row {number} was deleted and is still in the view"
    connection.close()


def read_one_frontier(threads: Threads, connect) -> None:
    """In one statement, a view that lists rows and one that counts them show the same cut."""
    connection = connect()
    while threads.goes_on():
        listed, counted, over = connection.execute(
            "SELECT (SELECT count(*) FROM projection), (SELECT n FROM global), "
            "(SELECT coalesce(sum(n), 0) FROM by_customer)").fetchone()
        assert listed == counted == over
    connection.close()


@pytest.mark.timeout(SECONDS + 120)
def test_concurrent_writers(database):  # noqa: F811
    shapes = [shape for shape in SHAPES if shape.strategy == "A" and shape.name != "theta_join"]
    checker = database()
    create_views(checker, shapes)
    checker.execute("INSERT INTO orders SELECT g % 200, g % 21, g, g % 7, g, 'a', NULL, g % 2 = 0 "
                    "FROM generate_series(1, 300) g")
    checker.execute("CREATE TABLE notes (id int, note text)")
    checker.execute("CREATE MATERIALIZED VIEW noted AS SELECT id, upper(note) AS note FROM notes")
    threads = Threads(SECONDS)
    for seed in range(3):
        threads.start(write, threads, database, seed)
    threads.start(read_own_writes, threads, database, 1_000_000)
    threads.start(read_one_frontier, threads, database)
    threads.join()
    assert not differences(checker, shapes)
    checker.close()


@pytest.mark.timeout(120)
def test_views_made_while_others_write(database):  # noqa: F811
    """Creating a view neither blocks writers nor misses what commits meanwhile."""
    maker = database()
    shapes = [shape for shape in SHAPES if not shape.name.startswith("over_") and shape.name != "theta_join"]
    threads = Threads(60)

    def make():
        for shape in shapes:
            for attempt in range(20):
                try:
                    maker.execute(f"CREATE MATERIALIZED VIEW {shape.name} AS {shape.query}")
                    break
                except (errors.DeadlockDetected, errors.LockNotAvailable):
                    assert attempt < 19
        threads.deadline = time.monotonic()

    for seed in range(3):
        threads.start(write, threads, database, seed)
    threads.start(make)
    threads.join()
    assert not differences(maker, shapes)
    maker.close()


def test_cuts_beside_a_transaction_of_many_subtransactions(database):  # noqa: F811
    """What more than 64 subtransactions wrote is seen with their transaction; a cut costs what is new since the last."""
    connection, writer = database(), database()
    connection.execute("CREATE TABLE few (n int); CREATE TABLE many (n int)")
    connection.execute("CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM few")
    connection.execute("CREATE MATERIALIZED VIEW listed AS SELECT n FROM many")
    connection.execute("CREATE PROCEDURE burn(times int) LANGUAGE plpgsql AS "
                       "'BEGIN FOR i IN 1 .. times LOOP PERFORM txid_current(); COMMIT; END LOOP; END'")
    connection.execute("SET synchronous_commit = off")

    def looked_up() -> int:
        connection.execute("SELECT pg_stat_clear_snapshot()")
        return connection.execute("SELECT blks_hit FROM pg_stat_slru WHERE name = 'Subtrans'").fetchone()[0]

    def cuts(count: int) -> None:
        for _ in range(count):
            connection.execute("INSERT INTO few VALUES (1)")
            connection.execute("SELECT n FROM counted")

    writer.autocommit = False
    for number in range(100):
        writer.execute(f"SAVEPOINT s; INSERT INTO many VALUES ({number}); {'ROLLBACK TO s' if number % 7 == 0 else 'RELEASE s'}")
    connection.execute("CALL burn(20000)")
    cuts(5)

    def looked_up_by_cuts() -> int:
        before = looked_up()
        cuts(50)
        time.sleep(1.5)  # what processes looked up is told once a second
        cuts(1)
        return looked_up() - before

    # 51 times 20,000 otherwise; sessions look up as many as they meet rows of, and the first time also tells what was before
    assert min(looked_up_by_cuts() for _ in range(2)) < 200_000
    for number in range(100, 150):
        writer.execute(f"SAVEPOINT s; INSERT INTO many VALUES ({number}); RELEASE s")
        if number % 10 == 0:
            cuts(1)
    assert connection.execute("SELECT count(*) FROM listed").fetchone() == (0,)
    writer.commit()
    assert connection.execute("SELECT count(*) FROM listed").fetchone() == (135,)
    assert connection.execute("SELECT count(*) FROM many").fetchone() == (135,)
    assert connection.execute("SELECT freshet.verify('listed')").fetchone() == (0,)
    connection.close()
    writer.close()
