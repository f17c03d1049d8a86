"""SQLAlchemy-PGView's page, with what PyPI has of its kind: SQLAlchemy-Utils' views and alembic_utils.

Models and queries are the page's; the statements sent are the same: CREATE MATERIALIZED VIEW in create_all, REFRESH
with and without CONCURRENTLY, by hand and after each commit, and views compared with the catalogs.
"""

import shutil

import pytest

from .application import SCRIPTS

PROJECT = SCRIPTS.parent / "user_stats"

# What views a view reads, as dbt, SQLAlchemy-PGView and others ask.
DEPENDENCIES = """
    SELECT DISTINCT v.relname::text, t.relname::text FROM pg_depend d
    JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
    JOIN pg_class v ON v.oid = r.ev_class AND v.relkind IN ('v', 'm')
    JOIN pg_class t ON d.refclassid = 'pg_class'::regclass AND t.oid = d.refobjid AND t.oid <> v.oid
    WHERE v.relnamespace = 'public'::regnamespace ORDER BY 1, 2
"""


@pytest.mark.parametrize("driver", ["psycopg2", "psycopg"])
def test_quick_start(myapp, driver):
    printed = myapp.run("quick_start.py", driver, cwd=PROJECT)
    first = ["ann is active", "ann: 1 orders, $20.00", "bob: 0 orders, $0"]
    assert printed == [f"before: {line}" for line in first] + [f"refreshed: {line}" for line in first] + [
        "after: ann is active", "after: ann: 2 orders, $120.00", "after: bob: 1 orders, $5.00"]
    myapp.assert_exact("user_stats")


def test_asyncpg_engine(myapp):
    myapp.run("asynchronous.py", cwd=PROJECT)
    assert myapp.value("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace") == 0


def test_dependencies(myapp):
    myapp.run("quick_start.py", "psycopg", cwd=PROJECT)
    myapp.execute("CREATE MATERIALIZED VIEW best AS SELECT max(total_spent) FROM user_stats")
    assert myapp.execute(DEPENDENCIES).fetchall() == [
        ("active_users", "users"), ("best", "user_stats"), ("user_stats", "orders"), ("user_stats", "users")]
    myapp.assert_exact("best")


def test_alembic_autogenerate(myapp, tmp_path):
    project = shutil.copytree(PROJECT, tmp_path / "project", ignore=shutil.ignore_patterns("__pycache__"))
    (project / "alembic" / "versions").mkdir(exist_ok=True)
    total = "coalesce(sum(o.total), 0)"

    def alembic(*command):
        return "\n".join(myapp.run("-m", "alembic", *command, cwd=project, TOTAL=total))

    alembic("revision", "--autogenerate", "-m", "tables", "--rev-id", "0001")
    migration = next((project / "alembic" / "versions").glob("0001_*")).read_text()
    assert "op.create_table" in migration
    alembic("upgrade", "head")
    myapp.execute("INSERT INTO users VALUES (1, 'ann', true); INSERT INTO orders VALUES (1, 1, 5)")
    alembic("revision", "--autogenerate", "-m", "views", "--rev-id", "0002")
    alembic("upgrade", "head")
    assert myapp.execute("SELECT * FROM user_stats").fetchone() == (1, "ann", 1, 5)
    myapp.assert_exact("user_stats")

    # compared by making the views in a transaction that is rolled back: nothing differs
    alembic("check")
    assert myapp.execute("SELECT count(*) FROM user_stats").fetchone() == (1,)

    total = "max(o.total)"
    alembic("revision", "--autogenerate", "-m", "changed", "--rev-id", "0003")
    alembic("upgrade", "head")
    myapp.execute("INSERT INTO orders VALUES (2, 1, 7)")
    assert myapp.execute("SELECT * FROM user_stats").fetchone() == (1, "ann", 2, 7)
    myapp.assert_exact("user_stats")
    alembic("downgrade", "0002")
    assert myapp.execute("SELECT * FROM user_stats").fetchone() == (1, "ann", 2, 12)
    myapp.assert_exact("user_stats")
    alembic("downgrade", "base")
    assert myapp.value("SELECT count(*) FROM pg_matviews") == 0
