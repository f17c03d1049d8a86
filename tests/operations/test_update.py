"""ALTER EXTENSION UPDATE, and a library that meets the tables of another version."""

import os
import re
import shutil

import psycopg
import pytest
from harness import system
from harness.paths import pg_dir
from harness.postgres import Postgres

VERSION = re.search(r"default_version = '(.*)'",
                    (pg_dir("sharedir") / "extension" / "freshet.control").read_text()).group(1)
SCRIPT = (pg_dir("sharedir") / "extension" / f"freshet--{VERSION}.sql").read_text()

# The first two numbers of a version say which tables there are; what one before this may have lacked:
LAST_COLUMN = ",\n\tfingerprint int8 NOT NULL DEFAULT 0"
SCRIPTS = {
    "0.0": SCRIPT.replace(LAST_COLUMN, ""),
    f"0.0--{VERSION}": "ALTER TABLE freshet.view ADD COLUMN fingerprint int8 NOT NULL DEFAULT 0;",
    f"{VERSION}--{VERSION}.1": "CREATE FUNCTION freshet.addition() RETURNS int LANGUAGE sql AS 'SELECT 1';",
    f"{VERSION}--9.0": "CREATE FUNCTION freshet.addition() RETURNS int LANGUAGE sql AS 'SELECT 1';",
}

SCHEMA = """
CREATE TABLE t (id int PRIMARY KEY, kind int);
INSERT INTO t SELECT g, g % 5 FROM generate_series(1, 1000) g;
CREATE MATERIALIZED VIEW listed AS SELECT id, kind FROM t;
CREATE MATERIALIZED VIEW grouped AS SELECT kind, count(*) AS n FROM t GROUP BY kind;
"""


@pytest.fixture
def server():
    """PostgreSQL with more versions of the extension than there are: its directories, and ours in one place."""
    assert LAST_COLUMN in SCRIPT
    root = system.temp_dir("tree")
    common = os.path.commonpath([pg_dir(which) for which in ("bindir", "pkglibdir", "sharedir")])
    place = {which: root / os.path.relpath(pg_dir(which), common) for which in ("bindir", "pkglibdir", "sharedir")}
    extension = place["sharedir"] / "extension"
    for directory in (place["bindir"], place["pkglibdir"].parent, extension):
        directory.mkdir(parents=True, exist_ok=True)
    # a program finds the rest relative to where it is itself; postgres may be a script that runs the postgres.* beside it
    for program in pg_dir("bindir").glob("postgres*"):
        shutil.copy2(program, place["bindir"])
    place["pkglibdir"].symlink_to(pg_dir("pkglibdir"))
    for source, target in ((pg_dir("sharedir"), place["sharedir"]), (pg_dir("sharedir") / "extension", extension)):
        for entry in source.iterdir():
            if not (target / entry.name).exists():
                (target / entry.name).symlink_to(entry)
    for version, script in SCRIPTS.items():
        (extension / f"freshet--{version}.sql").write_text(script)
    server = Postgres(program=str(place["bindir"] / "postgres")).start()
    yield server
    server.stop()
    server.remove()
    system.remove(root)


def worker(connection) -> int | None:
    row = connection.execute("SELECT pid FROM pg_stat_activity WHERE backend_type = 'freshet worker'").fetchone()
    return row[0] if row else None


def exact(connection) -> None:
    rows = connection.execute("SELECT count(*) FROM t").fetchone()
    assert connection.execute("SELECT count(*) FROM listed").fetchone() == rows
    assert connection.execute("SELECT sum(n) FROM grouped").fetchone() == rows
    for view in ("listed", "grouped"):
        assert connection.execute("SELECT freshet.verify(%s::regclass)", (view,)).fetchone() == (0,)


def files(connection) -> list:
    """The views and what is hidden behind them."""
    return connection.execute("SELECT oid::regclass::text, relfilenode FROM pg_class WHERE relkind IN ('m', 'r') AND "
                              "relnamespace IN ('public'::regnamespace, 'freshet'::regnamespace) ORDER BY 1").fetchall()


def test_an_update_that_leaves_the_tables_as_they_are(server):
    connection = server.psycopg()
    connection.execute("CREATE EXTENSION freshet")
    connection.execute(SCHEMA)
    connection.execute("DELETE FROM t WHERE id < 10")
    exact(connection)
    pid, before = worker(connection), files(connection)
    connection.execute(f"ALTER EXTENSION freshet UPDATE TO '{VERSION}.1'")
    assert connection.execute("SELECT freshet.addition()").fetchone() == (1,)
    connection.execute("UPDATE t SET kind = kind + 1 WHERE id < 100")
    connection.execute("DELETE FROM t WHERE id < 20")
    exact(connection)
    assert worker(connection) == pid
    assert set(before) <= set(files(connection))
    connection.close()


def test_a_library_newer_than_its_tables(server):
    connection = server.psycopg()
    connection.execute("CREATE EXTENSION freshet VERSION '0.0'")
    connection.execute(SCHEMA)
    connection.execute("INSERT INTO t VALUES (2000, 1)")
    connection.execute("REFRESH MATERIALIZED VIEW listed")
    assert connection.execute("SELECT count(*) FROM listed").fetchone() == (1001,)
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="another version") as error:
        connection.execute("SELECT freshet.adopt('listed')")
    assert "ALTER EXTENSION freshet UPDATE" in error.value.diag.message_hint
    connection.execute("DROP MATERIALIZED VIEW grouped")
    connection.execute("CREATE MATERIALIZED VIEW grouped AS SELECT kind, count(*) AS n FROM t GROUP BY kind")
    system.wait_until(lambda: "is of another version" in server.log.read_text(), 10, what="the log says so")
    connection.execute("ALTER EXTENSION freshet UPDATE")
    connection.execute("SELECT freshet.adopt('listed'), freshet.adopt('grouped')")
    connection.execute("DELETE FROM t WHERE id < 20")
    exact(connection)
    connection.close()


def test_tables_newer_than_the_library(server):
    """Nobody who writes or reads is told; views stand still, and who asks for more learns why."""
    connection = server.psycopg()
    connection.execute("CREATE EXTENSION freshet")
    connection.execute(SCHEMA)
    exact(connection)
    connection.execute("ALTER EXTENSION freshet UPDATE TO '9.0'")
    connection.execute("DELETE FROM t WHERE id < 20")
    assert connection.execute("SELECT count(*) FROM listed").fetchone()[0] in (981, 1000)
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="another version"):
        connection.execute("SELECT freshet.adopt('listed')")
    system.wait_until(lambda: worker(connection) is None, 20, what="the worker leaves")
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    connection.execute("SELECT count(*) FROM listed")
    connection.execute("COMMIT")
    connection.execute("INSERT INTO t VALUES (3000, 1)")
    connection.execute("REFRESH MATERIALIZED VIEW listed")
    assert connection.execute("SELECT count(*) FROM listed").fetchone() == (982,)
    connection.execute("DROP EXTENSION freshet")  # this library does not know what it keeps
    connection.execute("CREATE EXTENSION freshet")
    connection.execute("SELECT freshet.adopt('listed'), freshet.adopt('grouped')")
    exact(connection)
    connection.close()
