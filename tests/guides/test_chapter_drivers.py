"""The book chapter's drivers: psycopg2, psycopg 3, asyncpg, their pools and loops, APScheduler.

Each script sees the view fresh before anything refreshes it, and no REFRESH rewrites it.
"""

import time

import pytest

from .application import EVENTS, ROWS


@pytest.fixture
def myapp(myapp):
    """With the chapter's table."""
    myapp.execute(EVENTS)
    return myapp


@pytest.fixture
def dashboard(myapp):
    """With the view, and rows written after it was made."""
    myapp.run("drivers.py", "psycopg2", "create")
    myapp.execute(ROWS.format(table="events"))
    return myapp


def today(application) -> str:
    return str(application.value("SELECT current_date"))


@pytest.mark.parametrize("driver", ["psycopg2", "psycopg"])
def test_psycopg(myapp, driver):
    assert myapp.run("drivers.py", driver, "create", "query") == []
    file = myapp.file()
    myapp.execute(ROWS.format(table="events"))
    day, yesterday = myapp.execute("SELECT current_date::text, (current_date - 1)::text").fetchone()
    expected = [f"{day}: 2 users, $79.98 revenue", f"{yesterday}: 1 users, $5.00 revenue"]
    assert myapp.run("drivers.py", driver, "query") == expected
    assert myapp.run("drivers.py", driver, "refresh", "query") == expected
    assert myapp.run("drivers.py", driver, "create", "refresh", "refresh", "query") == expected
    assert myapp.file() == file
    myapp.assert_exact()


def test_psycopg_async(dashboard):
    file = dashboard.file()
    printed = dashboard.run("psycopg_async.py")
    assert printed[0] == f"{today(dashboard)}: 2 users, $79.98 revenue"
    assert printed[2:] == ["seen by the last: 14", "each saw its own: True"]
    assert dashboard.file() == file
    dashboard.assert_exact()


def test_psycopg_pool(dashboard):
    file = dashboard.file()
    assert dashboard.run("psycopg_pool_threads.py") == ["seen by the last: 24"]
    assert dashboard.file() == file
    dashboard.assert_exact()


def test_asyncpg_pool(dashboard):
    file = dashboard.file()
    assert dashboard.run("asyncpg_pool.py")[0] == f"{today(dashboard)}: 2 users, $79.98"
    assert dashboard.file() == file
    dashboard.assert_exact()


def test_asyncpg_refresh_loop(dashboard):
    file = dashboard.file()
    assert dashboard.run("refresh_loop_beside_requests.py") == ["each request saw what it wrote"]
    assert dashboard.file() == file
    dashboard.assert_exact()


def test_apscheduler(dashboard):
    file = dashboard.file()
    seconds = 0.2
    assert dashboard.run("apscheduler_job.py", str(seconds / 60)) == ["refreshed "] * 3
    assert dashboard.file() == file
    dashboard.assert_exact()


def test_refresh_is_cheap(dashboard):
    """Where nothing has changed, REFRESH costs nothing like running the query, which is what it costs without us."""
    dashboard.execute("INSERT INTO events (user_id, event_type, amount)"
                      " SELECT g % 5000, 'purchase', 1 FROM generate_series(1, 200000) g")
    query = dashboard.value("SELECT pg_get_viewdef('mv_dashboard'::regclass)")
    dashboard.execute(f"SET freshet.maintain = off; CREATE MATERIALIZED VIEW plain AS {query}")
    dashboard.execute("CREATE UNIQUE INDEX ON plain (day)")
    dashboard.value("SELECT count(*) FROM mv_dashboard")

    def seconds(view):
        begun = time.monotonic()
        dashboard.execute(f"REFRESH MATERIALIZED VIEW CONCURRENTLY {view}")
        return time.monotonic() - begun

    assert min(seconds("mv_dashboard") for _ in range(5)) < min(seconds("plain") for _ in range(3)) / 5
    dashboard.assert_exact()
