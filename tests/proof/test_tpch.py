"""The 22 queries of TPC-H as views, under its refresh functions and updates of every table.

FRESHET_TPCH_SCALE is the scale factor, FRESHET_TPCH_ROUNDS the number of rounds.
"""

import os

import pytest
from oracle.compare import differences
from oracle.shapes import Shape

from .report import report, strategies
from .tpch import QUERIES, Tpch

SCALE = float(os.environ.get("FRESHET_TPCH_SCALE", "0.01"))
ROUNDS = int(os.environ.get("FRESHET_TPCH_ROUNDS", "3"))

# How many are kept without running the whole query.
INCREMENTAL = 22


@pytest.mark.timeout(300 + SCALE * 20_000)
def test_tpch(pg_shared):
    with pg_shared.psycopg() as admin:
        admin.execute("CREATE DATABASE tpch")
    connection = pg_shared.psycopg("tpch")
    connection.execute("CREATE EXTENSION freshet")
    tpch = Tpch(connection, SCALE)
    tpch.load()
    for name, query in QUERIES.items():
        connection.execute(f"CREATE MATERIALIZED VIEW {name} AS {query}")
    shapes = [Shape(name, "", query) for name, query in QUERIES.items()]
    assert not differences(connection, shapes)
    empty = [name for name in QUERIES if not connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]]
    assert not empty, "a view without rows proves nothing"
    for _ in range(ROUNDS):
        tpch.rf1()
        assert not differences(connection, shapes)
        tpch.rf2()
        assert not differences(connection, shapes)
        for number, statement in enumerate(tpch.updates()):
            connection.execute(statement)
            if number % 4 == 3:
                assert not differences(connection, shapes), statement
        assert not differences(connection, shapes)
    print(report(connection, f"TPC-H at scale factor {SCALE}", list(QUERIES)))
    kept = strategies(connection, list(QUERIES))
    assert len(kept) == 22
    assert sum(strategy in ("A", "B") for strategy in kept.values()) >= INCREMENTAL
    connection.close()
    with pg_shared.psycopg() as admin:
        admin.execute("DROP DATABASE tpch WITH (FORCE)")
