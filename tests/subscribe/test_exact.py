"""What a subscriber adds up is what is there, whatever happened on the way."""

import random
import threading
import time
from collections import Counter

import psycopg2
import pytest

SECONDS = 6
ROWS = 500

SCHEMA = """
CREATE TABLE t (id int, v numeric, s text);
CREATE TABLE u (id int PRIMARY KEY, g int);
CREATE TABLE p (id int PRIMARY KEY, g int, pad text) PARTITION BY RANGE (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (500);
CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (500) TO (1000);
INSERT INTO t SELECT i, i * 1.0, repeat('x', i % 50) FROM generate_series(1, 500) i;
INSERT INTO u SELECT i, i % 5 FROM generate_series(1, 200) i;
INSERT INTO p SELECT i, i % 7, repeat('y', i) FROM generate_series(1, 900) i;
CREATE VIEW joined AS SELECT u.g, count(*) AS n, sum(t.v) AS v FROM u JOIN t USING (id) GROUP BY u.g;
CREATE MATERIALIZED VIEW kept AS SELECT id % 10 AS d, count(*) AS n, sum(v) AS v, max(s) AS s FROM t GROUP BY 1;
CREATE MATERIALIZED VIEW projected AS SELECT id, v + 1 AS v FROM t WHERE id > 100;
"""

TARGETS = ["t", "u", "p", "p1", "joined", "kept", "projected",
           "(SELECT id, count(*), max(s) FROM t GROUP BY id)"]

MAINTENANCE = ["VACUUM t", "VACUUM FULL t", "ANALYZE", "VACUUM p1",
               "CREATE INDEX CONCURRENTLY IF NOT EXISTS t_id ON t (id)",
               "REINDEX INDEX CONCURRENTLY u_pkey", "CLUSTER u USING u_pkey", "VACUUM FULL p1",
               "DROP INDEX IF EXISTS t_id", "VACUUM"]


@pytest.fixture
def database(pg_shared):
    """A database of the test's own; gives its name."""
    with pg_shared.database("exact", SCHEMA) as name:
        yield name


class Run:
    """The threads of a test, told to stop together; what failed in them."""

    def __init__(self, server, database):
        self.connect = lambda autocommit=True: server.psycopg2(database, autocommit)
        self.stopping = threading.Event()
        self.written = threading.Event()   # nobody writes any more
        self.failures = []
        self.received = Counter()

    def guard(self, function, *arguments):
        def run():
            try:
                function(*arguments)
            except BaseException as failure:
                self.failures.append((arguments, failure))

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def write(self, seed):
        """Random transactions: bulk and single, taken back, with savepoints, out of line."""
        chance = random.Random(seed)
        connection = self.connect(autocommit=False)
        cursor = connection.cursor()
        while not self.stopping.is_set():
            try:
                for _ in range(chance.randint(1, 4)):
                    i = chance.randint(1, ROWS + 100)
                    statement = chance.choices(
                        ["INSERT INTO t VALUES (%(i)s, %(i)s * 1.5, 'new')",
                         "DELETE FROM t WHERE ctid IN (SELECT ctid FROM t WHERE id = %(i)s LIMIT 1)",
                         "UPDATE t SET v = v + 1, s = 'm' WHERE id = %(i)s",
                         "UPDATE t SET s = repeat('z', 5000) WHERE id = %(i)s",
                         "UPDATE p SET id = (id + 400) %% 1000 WHERE id = %(i)s"
                         " AND NOT EXISTS (SELECT FROM p WHERE id = (%(i)s + 400) %% 1000)",
                         "UPDATE p SET g = g + 1 WHERE id = %(i)s",
                         "UPDATE u SET g = (g + 1) %% 5 WHERE id = %(i)s %% 200",
                         "SAVEPOINT a; UPDATE t SET v = -v WHERE id = %(i)s; ROLLBACK TO a",
                         "SAVEPOINT a; UPDATE t SET v = v * 2 WHERE id = %(i)s; RELEASE a"],
                        [20, 15, 20, 3, 10, 10, 10, 5, 5])[0]
                    cursor.execute(statement, {"i": i})
                if chance.random() < 0.2:
                    connection.rollback()
                else:
                    connection.commit()
            except (psycopg2.errors.DeadlockDetected, psycopg2.errors.UniqueViolation):
                connection.rollback()
            time.sleep(0.2 if chance.random() < 0.02 else 0.004)
        connection.close()

    def maintain(self):
        """What an administrator does meanwhile."""
        connection = self.connect()
        turn = 0
        while not self.stopping.is_set():
            connection.cursor().execute(MAINTENANCE[turn % len(MAINTENANCE)])
            turn += 1
            time.sleep(0.2)
        connection.close()

    def subscribe(self, target):
        """Add up the changes of a target; at the end compare with the target itself."""
        connection = self.connect()
        cursor = connection.cursor()
        cursor.execute("SELECT freshet.subscribe('s', %s)", (target,))
        columns = cursor.fetchone()[0]
        state = Counter()
        latest = 0
        last = False
        while True:
            cursor.execute("CALL freshet.wait('s', 500, NULL, NULL, NULL)")
            pending, frontier, _ = cursor.fetchone()
            if not pending:
                if last:
                    break
                if self.written.is_set():
                    cursor.execute("SELECT freshet.wait_fresh()")
                    last = True
                continue
            cursor.execute("SELECT * FROM freshet.changes('s') AS"
                           f" (mz_timestamp numeric, mz_diff bigint, {columns})")
            for at, diff, *row in cursor.fetchall():
                assert at >= latest
                latest = at
                row = tuple(row)
                state[row] += diff
                assert state[row] >= 0, f"{row} taken out and never put in"
                if state[row] == 0:
                    del state[row]
            self.received[target] += 1
        cursor.execute(f"SELECT * FROM {target if target[0] != '(' else target + ' q'}")
        assert Counter(cursor.fetchall()) == state
        connection.close()


@pytest.mark.parametrize("maintenance", [False, True])
def test_sum_of_changes(pg_shared, database, maintenance):
    run = Run(pg_shared, database)
    readers = [run.guard(run.subscribe, target) for target in TARGETS]
    writers = [run.guard(run.write, seed) for seed in range(4)]
    if maintenance:
        writers.append(run.guard(run.maintain))
    time.sleep(SECONDS)
    run.stopping.set()
    for thread in writers:
        thread.join()
    run.written.set()
    for thread in readers:
        thread.join()
    assert run.failures == []
    assert all(run.received[target] > 10 for target in TARGETS), run.received
