"""Nexmark's 23 queries as views, while events come and some are corrected or taken back.

FRESHET_NEXMARK_EVENTS is the number of events at the start, FRESHET_NEXMARK_ROUNDS that of batches.
"""

import os

import pytest

from .nexmark import QUERIES, Nexmark
from .views import Views

EVENTS = int(os.environ.get("FRESHET_NEXMARK_EVENTS", "5000"))
ROUNDS = int(os.environ.get("FRESHET_NEXMARK_ROUNDS", "3"))

# How many are kept without running the whole query.
INCREMENTAL = 23


@pytest.mark.timeout(300)
def test_nexmark(pg_shared):
    assert len(QUERIES) == 23
    with pg_shared.database("nexmark") as name, pg_shared.psycopg(name) as connection:
        nexmark = Nexmark(connection)
        nexmark.load(EVENTS)
        views = Views(connection, QUERIES)
        for _ in range(ROUNDS):
            nexmark.add(EVENTS // 30)
            views.assert_exact()
            views.follow(nexmark.changes())
        views.assert_kept(f"Nexmark, {nexmark.events} events", INCREMENTAL)
