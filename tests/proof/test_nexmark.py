"""Nexmark's 23 queries as views, while events come and some are corrected or taken back.

FRESHET_NEXMARK_EVENTS is the number of events at the start, FRESHET_NEXMARK_ROUNDS that of batches.
"""

import os

import pytest
from oracle.compare import differences
from oracle.shapes import Shape

from .nexmark import QUERIES, Nexmark
from .report import report, strategies

EVENTS = int(os.environ.get("FRESHET_NEXMARK_EVENTS", "5000"))
ROUNDS = int(os.environ.get("FRESHET_NEXMARK_ROUNDS", "3"))

# How many are kept without running the whole query.
INCREMENTAL = 23


@pytest.mark.timeout(300)
def test_nexmark(pg_shared):
    with pg_shared.psycopg() as admin:
        admin.execute("CREATE DATABASE nexmark")
    connection = pg_shared.psycopg("nexmark")
    connection.execute("CREATE EXTENSION freshet")
    nexmark = Nexmark(connection)
    nexmark.load(EVENTS)
    for name, query in QUERIES.items():
        connection.execute(f"CREATE MATERIALIZED VIEW {name} AS {query}")
    shapes = [Shape(name, "", query) for name, query in QUERIES.items()]
    assert not differences(connection, shapes)
    empty = [name for name in QUERIES if not connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]]
    assert not empty, "a view without rows proves nothing"
    for _ in range(ROUNDS):
        nexmark.add(EVENTS // 30)
        assert not differences(connection, shapes)
        for number, statement in enumerate(nexmark.changes()):
            connection.execute(statement)
            if number % 4 == 3:
                assert not differences(connection, shapes), statement
        assert not differences(connection, shapes)
    print(report(connection, f"Nexmark, {nexmark.events} events", list(QUERIES)))
    kept = strategies(connection, list(QUERIES))
    assert len(kept) == 23
    assert sum(strategy in ("A", "B") for strategy in kept.values()) >= INCREMENTAL
    connection.close()
    with pg_shared.psycopg() as admin:
        admin.execute("DROP DATABASE nexmark WITH (FORCE)")
