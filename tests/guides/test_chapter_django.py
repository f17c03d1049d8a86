"""The book chapter's Django sections: model, migrations, querysets, REST framework, tests, the native
connection pool, Celery with Redis, and django-pgviews-redux.
"""

import re
import shutil
import subprocess
import sys

import pytest
from harness import system

from .application import ROWS, SCRIPTS

PROJECT = SCRIPTS / "django"
VIEWS = "SELECT array_agg(matviewname::text ORDER BY matviewname) FROM pg_matviews WHERE schemaname = 'public'"


@pytest.fixture
def dashboard(myapp):
    """Migrated, and rows written after that."""
    myapp.run("manage.py", "migrate", cwd=PROJECT)
    myapp.execute(ROWS.format(table="myapp_events"))
    return myapp


def test_model_querysets_and_pool(dashboard):
    file = dashboard.file()
    printed = dashboard.run("queryset.py", cwd=PROJECT)
    day, yesterday = dashboard.execute("SELECT current_date::text, (current_date - 1)::text").fetchone()
    assert printed[:5] == [f"{day}: 2 users 79.98", f"{yesterday}: 1 users 5.00",
                           "{'events__sum': 4, 'revenue__max': Decimal('79.98')}", "seen by the last: 104",
                           printed[4]]
    assert 1 < int(printed[4].removeprefix("connections: ")) <= 10
    assert dashboard.file() == file
    dashboard.assert_exact()


def test_migrations_up_and_down(dashboard):
    assert "No changes detected" in dashboard.run("manage.py", "makemigrations", "--check", cwd=PROJECT)
    dashboard.assert_exact()
    dashboard.run("manage.py", "migrate", "myapp", "0001", cwd=PROJECT)
    assert dashboard.value(VIEWS) is None
    dashboard.run("manage.py", "migrate", "myapp", cwd=PROJECT)
    dashboard.assert_exact()
    dashboard.execute("DELETE FROM myapp_events WHERE user_id = 2")
    assert dashboard.execute("SELECT unique_users FROM mv_dashboard ORDER BY day DESC").fetchone() == (1,)
    dashboard.assert_exact()


def test_django_tests(myapp):
    """TransactionTestCase, TestCase and REST framework, in the database Django makes for its tests."""
    done = subprocess.run([sys.executable, "manage.py", "test", "--noinput"], cwd=PROJECT, capture_output=True,
                          env=myapp.environment, text=True, timeout=90)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"Ran 4 tests.*\nOK\n", done.stderr, re.DOTALL), done.stderr


@pytest.fixture
def redis(tmp_path):
    """A broker of the test's own."""
    port = system.free_port()
    log = tmp_path / "redis"
    with open(log, "w") as output:
        process = subprocess.Popen(
            ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
            cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
    system.wait_until(lambda: not system.port_is_free(port), 10, what="redis listens")
    yield f"redis://127.0.0.1:{port}/0"
    process.terminate()
    process.wait(20)


def test_celery_beat(dashboard, redis, tmp_path):
    """A worker with beat refreshes on schedule, while the view is fresh anyway."""
    file = dashboard.file()
    log = tmp_path / "celery"
    with open(log, "w") as output:
        celery = dashboard.start("-m", "celery", "-A", "mysite", "worker", "--beat", "--concurrency", "2",
                                 "--loglevel", "info", "--schedule", str(tmp_path / "schedule"),
                                 cwd=PROJECT, output=output, BROKER=redis, REFRESH_SECONDS="0.2")

    def refreshed():
        return log.read_text().count("Dashboard MV refreshed successfully")

    try:
        for number in range(5):
            before = refreshed()
            dashboard.execute("INSERT INTO myapp_events (user_id, event_type, amount, created_at)"
                              f" VALUES ({100 + number}, 'purchase', 1, now())")
            assert dashboard.execute("SELECT unique_users FROM mv_dashboard ORDER BY day DESC").fetchone() == (
                3 + number,)
            system.wait_until(lambda: refreshed() > before, 30, what=f"celery refreshes:\n{log.read_text()}")
        celery.terminate()
        assert celery.wait(30) == 0
    finally:
        system.kill_tree(celery.pid)
        celery.wait()
    assert "Dashboard MV refresh failed" not in log.read_text()
    assert dashboard.file() == file
    dashboard.assert_exact()


@pytest.fixture
def project(tmp_path):
    """A copy of the project with django-pgviews-redux, because makemigrations writes into it."""
    return shutil.copytree(SCRIPTS / "django_pgviews", tmp_path / "project",
                           ignore=shutil.ignore_patterns("__pycache__"))


def test_django_pgviews(myapp, project):
    def manage(*command):
        return "\n".join(myapp.run("manage.py", *command, cwd=project))

    def indexes(view):
        return myapp.value(f"SELECT array_agg(indexname::text ORDER BY indexname) FROM pg_indexes"
                           f" WHERE tablename = '{view}'")

    # Generated migrations; migrate makes the views, those that others depend on first.
    manage("makemigrations", "myapp")
    manage("migrate")
    assert myapp.value(VIEWS) == ["mv_dashboard", "mv_weekly"]
    assert indexes("mv_dashboard") == ["idx_mv_dashboard_day_desc", "mv_dashboard_day_index"]
    files = myapp.file(), myapp.file("mv_weekly")

    myapp.execute(ROWS.format(table="myapp_events"))
    assert myapp.value("SELECT sum(events) FROM mv_weekly") == 4
    assert myapp.value("SELECT sum(revenue) FROM mv_weekly") == myapp.value("SELECT sum(revenue) FROM mv_dashboard")
    assert myapp.value("SELECT count(*) FROM purchases") == 4

    # Nothing has changed: no view is made again, no index dropped, no file rewritten.
    manage("sync_pgviews")
    manage("migrate")
    manage("refresh_pgviews", "--concurrently")
    manage("refresh_pgviews")
    assert (myapp.file(), myapp.file("mv_weekly")) == files
    assert indexes("mv_dashboard") == ["idx_mv_dashboard_day_desc", "mv_dashboard_day_index"]
    myapp.assert_exact()
    myapp.assert_exact("mv_weekly")

    # A definition that changed is made anew, and what depends on it with it.
    models = project / "myapp" / "models.py"
    models.write_text(models.read_text().replace("INTERVAL '90 days'", "INTERVAL '300 days'"))
    manage("sync_pgviews")
    assert myapp.file() != files[0]
    assert myapp.value("SELECT sum(events) FROM mv_weekly") == 5
    myapp.execute("DELETE FROM myapp_events WHERE user_id = 4")
    assert myapp.value("SELECT sum(events) FROM mv_weekly") == 4
    myapp.assert_exact()
    myapp.assert_exact("mv_weekly")

    # A class that is removed becomes a migration that drops its view.
    text = models.read_text()
    start, end = text.index("class WeeklyMetrics"), text.index("class Purchases")
    models.write_text(text[:start] + text[end:])
    assert "WeeklyMetrics" in manage("makemigrations", "myapp")
    manage("migrate")
    assert myapp.value(VIEWS) == ["mv_dashboard"]
    manage("clear_pgviews")
    assert myapp.value(VIEWS) is None
