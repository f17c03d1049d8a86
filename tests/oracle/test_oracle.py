"""Views stay exact under random interleaved transactions.

FRESHET_ORACLE_SEED repeats one seed, FRESHET_ORACLE_SECONDS bounds the time. A seed means nothing once the shapes or
the workload have changed: what one shows becomes a shape, or a test of its own.
"""

import os
import random
import time

import pytest

from .compare import differences
from .shapes import SCHEMA, SHAPES, creation_order
from .workload import Workload

SECONDS = float(os.environ.get("FRESHET_ORACLE_SECONDS", "30"))
SEED = os.environ.get("FRESHET_ORACLE_SEED")


@pytest.fixture
def database(pg_shared):
    """A new database with the tables; yields a function that connects to it.

    Tables this small are cheaper to read whole: that is off, or nothing but that would be tested.
    """
    admin = pg_shared.psycopg()
    admin.execute("ALTER SYSTEM SET freshet.enable_recompute = off")
    admin.execute("SELECT pg_reload_conf()")
    with pg_shared.database("oracle", SCHEMA) as name:
        yield lambda: pg_shared.psycopg(name)
        for (prepared,) in admin.execute("SELECT gid FROM pg_prepared_xacts WHERE database = %s", (name,)).fetchall():
            with pg_shared.psycopg(name) as connection:
                connection.execute(f"ROLLBACK PREPARED '{prepared}'")
    admin.execute("ALTER SYSTEM RESET freshet.enable_recompute")
    admin.execute("SELECT pg_reload_conf()")
    admin.close()


def create_views(connection, shapes):
    for shape in creation_order(shapes):
        connection.execute(f"CREATE MATERIALIZED VIEW {shape.name} AS {shape.query}")


def is_locked(connection) -> bool:
    """Whether an open transaction (TRUNCATE) keeps the query itself from being asked."""
    return connection.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'relation' "
                              "AND mode = 'AccessExclusiveLock' AND granted AND database = "
                              "(SELECT oid FROM pg_database WHERE datname = current_database()))").fetchone()[0]


def run(connect, seed: int, steps: int | None, seconds: float | None) -> int:
    """Steps until their number or the time is up; the number done."""
    print(f"oracle seed {seed}")
    workload = Workload(seed, connect)
    checker = connect()
    # Half of the views know an empty database, the others begin in the middle of things.
    early = [shape for shape in creation_order(SHAPES) if shape.name in ("join2", "by_customer")]
    others = [shape for shape in SHAPES if shape not in early]
    chooser = random.Random(seed)
    chooser.shuffle(others)
    half = len(others) // 2
    create_views(checker, early + others[:half])
    for _ in range(4):
        workload.step()
    if is_locked(checker):
        workload.settle()
    create_views(checker, others[half:])
    deadline = time.monotonic() + seconds if seconds else None
    done = 0
    while (steps is None or done < steps) and (deadline is None or time.monotonic() < deadline):
        workload.step()
        if done % 12 == 11 or is_locked(checker):
            workload.settle()
        if checker.execute("SELECT count(*) FROM join4").fetchone()[0] > 20_000:
            workload.settle()
            workload.execute(workload.writers[0], "TRUNCATE regions")
        wrong = differences(checker, SHAPES)
        if wrong:
            time.sleep(1)
            later = differences(checker, SHAPES)
            workload.settle()
            pytest.fail(f"seed {seed}, step {done}:\n" + "\n".join(wrong)
                        + "\na second later: " + ("\n".join(later) or "all exact") + "\nlast statements:\n"
                        + "\n".join(workload.journal[-40:]), pytrace=False)
        done += 1
    workload.settle()
    assert not differences(checker, SHAPES)
    workload.close()
    checker.close()
    return done


@pytest.mark.timeout(SECONDS + 180)
def test_random_transactions(database):
    seed = int(SEED) if SEED else random.SystemRandom().randrange(1 << 32)
    steps = run(database, seed, None, SECONDS)
    print(f"{steps} steps")


def test_strategies(database):
    """The shapes A is for are kept by A, and no query is refused."""
    connection = database()
    create_views(connection, SHAPES)
    for shape in SHAPES:
        connection.execute(f"SELECT count(*) FROM {shape.name}")
    rows = dict(connection.execute(
        "SELECT view::text, strategy || coalesce(' ' || error, '') FROM freshet.views WHERE maintained").fetchall())
    expected = {shape.name: shape.strategy for shape in SHAPES}
    assert rows == expected
