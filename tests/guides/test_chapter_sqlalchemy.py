"""The book chapter's SQLAlchemy model and query, Alembic migration, and FastAPI application."""

import json
import urllib.request

import pytest
from harness import system

from .application import ROWS


@pytest.fixture
def dashboard(myapp):
    """Migrated to the newest revision, and rows written after that."""
    myapp.run("-m", "alembic", "upgrade", "head")
    myapp.execute(ROWS.format(table="events"))
    return myapp


@pytest.mark.parametrize("driver", ["psycopg2", "psycopg"])
def test_model_and_refresh(dashboard, driver):
    file = dashboard.file()
    printed = dashboard.run("sqlalchemy_query.py", driver)
    day, yesterday = dashboard.execute("SELECT current_date::text, (current_date - 1)::text").fetchone()
    assert printed == [f"{day}: 2 users, $79.98", f"{yesterday}: 1 users, $5.00"] * 2
    assert dashboard.file() == file
    dashboard.assert_exact()


def test_async_engine(dashboard):
    file = dashboard.file()
    assert [line.partition(": ")[2] for line in dashboard.run("sqlalchemy_async.py")] == [
        "2 users, $79.98", "1 users, $5.00"]
    assert dashboard.file() == file
    dashboard.assert_exact()


def test_alembic(dashboard):
    views = "SELECT count(*) FROM pg_matviews WHERE matviewname = 'mv_dashboard'"
    assert "No new upgrade operations detected." in dashboard.run("-m", "alembic", "check")
    dashboard.assert_exact()
    dashboard.run("-m", "alembic", "downgrade", "-1")
    assert dashboard.value(views) == 0
    dashboard.run("-m", "alembic", "upgrade", "head")
    dashboard.execute("INSERT INTO events (id, user_id, event_type, amount) VALUES (100, 9, 'purchase', 1)")
    assert dashboard.value("SELECT sum(events) FROM mv_dashboard") == 5
    dashboard.assert_exact()
    dashboard.run("-m", "alembic", "downgrade", "base")
    assert dashboard.value("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
                           " AND relname !~ 'alembic'") == 0


def test_fastapi(dashboard, tmp_path):
    port = system.free_port()
    log = tmp_path / "uvicorn"
    with open(log, "w") as output:
        uvicorn = dashboard.start("-m", "uvicorn", "api:app", "--host", "127.0.0.1", "--port", str(port),
                                  output=output)
    try:
        system.wait_until(lambda: "Application startup complete" in log.read_text(), 20, what="uvicorn started")

        def get():
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/dashboard", timeout=10) as response:
                return json.load(response)

        day = str(dashboard.value("SELECT current_date"))
        assert get()[0] == {"day": day, "unique_users": 2, "revenue": 79.98}
        for number in range(20):
            dashboard.execute(f"INSERT INTO events VALUES ({100 + number}, {100 + number}, 'purchase', 1)")
            assert get()[0]["unique_users"] == 3 + number
        dashboard.assert_exact()
        uvicorn.terminate()
        assert uvicorn.wait(20) in (0, -15), log.read_text()
        assert "Application shutdown complete" in log.read_text()
    finally:
        if uvicorn.poll() is None:
            uvicorn.kill()
            uvicorn.wait()
