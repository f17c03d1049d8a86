"""What clients see of lists, in tables, views and subscriptions; APPEND_SECONDS and APPEND_SEED make it longer."""

import os
import threading
import time

import pytest

from .append import FOLLOWING, LEVELS, SCHEMA, TARGETS, Anomaly, Checker, Clients, Read, Transaction, subscribe

SECONDS = float(os.environ.get("APPEND_SECONDS", "2"))
SEED = int(os.environ.get("APPEND_SEED", "1"))
WORKER = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'freshet worker' AND datname = current_database()"


def kill_workers(connection, stopping: threading.Event, killed: list[int]) -> None:
    while not stopping.wait(0.5):
        for pid, in connection.execute(WORKER).fetchall():
            connection.execute("SELECT pg_terminate_backend(%s)", (pid,))
            killed.append(pid)


@pytest.mark.timeout(60 + 3 * SECONDS)
@pytest.mark.parametrize("killing", [False, True])
def test_no_anomaly(pg_shared, killing):
    with pg_shared.database("append", SCHEMA) as name:
        admin = pg_shared.psycopg(name)
        clients = Clients(lambda: pg_shared.psycopg(name), SEED)
        done, killed, subscriptions, failures = threading.Event(), [], {}, []

        def follow(target):
            try:
                with pg_shared.psycopg(name) as connection:
                    subscriptions[target] = subscribe(connection, target, done)
            except BaseException as failure:
                failures.append((target, failure))

        readers = [threading.Thread(target=follow, args=(target,)) for target in TARGETS]
        for thread in readers:
            thread.start()
        threads = clients.start(6)
        if killing:
            threads.append(threading.Thread(target=kill_workers, args=(admin, clients.stopping, killed)))
            threads[-1].start()
        time.sleep(SECONDS)
        clients.stopping.set()
        for thread in threads:
            thread.join()
        done.set()
        for thread in readers:
            thread.join()
        assert clients.failures == [] and failures == []
        checker = Checker(clients.transactions, dict(admin.execute("SELECT key, list FROM lists").fetchall()))
        reads, times = checker.check(), checker.check_subscriptions(subscriptions)
        print(f"{len(clients.transactions)} transactions, {reads} reads, {times} sums, refused: {dict(clients.refused)}, "
              f"killed: {len(killed)}")
        assert reads > 20 * SECONDS and times > 20 * SECONDS
        assert not killing or len(killed) > 1
        for view in FOLLOWING:
            assert admin.execute("SELECT freshet.verify(%s::regclass)", (view,)).fetchone() == (0,)
        admin.close()


def transaction(*reads: Read, at=1.0, level=LEVELS[0], appends=()) -> Transaction:
    return Transaction(level, at, list(appends), list(reads), True, at, at + 0.5)


def seen(at: float, **lists: list[list[int]]) -> Read:
    return Read(at, at + 0.1, frozenset(), {source: dict(enumerate(values + [[]] * (6 - len(values)))) for source, values in lists.items()})


WRITES = (transaction(at=1, appends=[(0, 1), (1, 2)]), transaction(at=2, appends=[(0, 3)]), transaction(at=2, appends=[(1, 4)]))


@pytest.mark.parametrize("reads", [
    [seen(3, shown=[[1, 3], [2]])],  # stale
    [seen(1.2, shown=[[1], []])],  # half of a transaction
    [seen(1.2, shown=[[1, 3], [2]])],  # before it was committed
    [seen(2.1, shown=[[1, 3], [2]], other=[[1], [2]])],  # two cuts
    [seen(2.1, shown=[[1, 3], [2]], lists=[[1], [2]])],  # ahead of the snapshot
    [seen(2.1, shown=[[3], [2]])],  # another order
    [seen(2.1, shown=[[1, 3], [2]]), seen(2.1, shown=[[1], [2, 4]])]])  # both orders
def test_the_checker_finds(reads):
    final = {key: values for key, values in enumerate([[1, 3], [2, 4], [], [], [], []])}
    assert Checker([*WRITES, transaction(seen(2.1, shown=[[1, 3], [2]], lists=[[1, 3], [2, 4]]), at=2.1)], final).check() == 1
    with pytest.raises(Anomaly):
        Checker([*WRITES, *(transaction(read, at=read.start) for read in reads)], final).check()
