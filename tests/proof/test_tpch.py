"""The 22 queries of TPC-H as views, under its refresh functions and updates of every table.

FRESHET_TPCH_SCALE is the scale factor, FRESHET_TPCH_ROUNDS the number of rounds.
"""

import os

import pytest

from .tpch import QUERIES, Tpch
from .views import Views

SCALE = float(os.environ.get("FRESHET_TPCH_SCALE", "0.01"))
ROUNDS = int(os.environ.get("FRESHET_TPCH_ROUNDS", "2"))

# How many are kept without running the whole query.
INCREMENTAL = 22


@pytest.mark.timeout(300 + SCALE * 20_000)
def test_tpch(pg_shared):
    assert len(QUERIES) == 22
    with pg_shared.database("tpch") as name, pg_shared.psycopg(name) as connection:
        tpch = Tpch(connection, SCALE)
        tpch.load()
        views = Views(connection, QUERIES)
        for _ in range(ROUNDS):
            tpch.rf1()
            views.assert_exact()
            tpch.rf2()
            views.assert_exact()
            views.follow(tpch.updates())
        views.assert_kept(f"TPC-H at scale factor {SCALE}", INCREMENTAL)
