"""A fresh view is a materialized view to everything that looks at one."""

import subprocess

import psycopg
import pytest
from harness import system
from harness.paths import pg_bin

SCHEMA = """
CREATE TABLE t (id int PRIMARY KEY, kind int, amount numeric);
INSERT INTO t SELECT g, g % 5, g FROM generate_series(1, 100) g;
CREATE MATERIALIZED VIEW listed AS SELECT id, amount FROM t;
CREATE MATERIALIZED VIEW grouped AS SELECT kind, count(*) AS n, sum(amount) AS amount FROM t GROUP BY kind;
CREATE MATERIALIZED VIEW whole AS SELECT DISTINCT amount FROM t;
CREATE MATERIALIZED VIEW parted AS SELECT t.id, s.n FROM t JOIN (SELECT kind, count(*) AS n FROM t GROUP BY kind) s
ON s.kind = t.kind WHERE t.amount > (SELECT avg(amount) FROM t);
CREATE MATERIALIZED VIEW empty AS SELECT id FROM t WITH NO DATA;
CREATE UNIQUE INDEX listed_id ON listed (id);
"""


def rows(connection, sql: str):
    return sorted(connection.execute(sql).fetchall())


def relations(connection) -> set[str]:
    return {row[0] for row in connection.execute(
        "SELECT relkind::text || ' ' || relname FROM pg_class WHERE relnamespace = 'public'::regnamespace")}


@pytest.fixture
def connection(pg_shared):
    with pg_shared.database("matview", SCHEMA) as name, pg_shared.psycopg(name) as connection:
        yield connection


def test_nothing_of_ours_in_the_users_schema(connection):
    assert relations(connection) == {"r t", "i t_pkey", "m listed", "m grouped", "m whole", "m parted", "m empty",
                                     "i listed_id"}
    columns = rows(connection, "SELECT attname FROM pg_attribute WHERE attrelid = 'grouped'::regclass AND attnum > 0")
    assert columns == [("amount",), ("kind",), ("n",)]


def test_not_populated_reads_as_in_postgresql(connection):
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
        connection.execute("SELECT * FROM empty")
    connection.execute("REFRESH MATERIALIZED VIEW empty")
    connection.execute("INSERT INTO t VALUES (101, 1, 1)")
    assert connection.execute("SELECT count(*) FROM empty").fetchone() == (101,)


def test_refresh_is_a_wait(connection):
    file = "SELECT pg_relation_filenode('listed')"
    before = connection.execute(file).fetchone()
    connection.execute("INSERT INTO t VALUES (101, 1, 1)")
    connection.execute("REFRESH MATERIALIZED VIEW listed")
    connection.execute("REFRESH MATERIALIZED VIEW CONCURRENTLY listed")
    assert connection.execute(file).fetchone() == before
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
        connection.execute("REFRESH MATERIALIZED VIEW CONCURRENTLY grouped")


def test_refresh_in_a_transaction_that_wrote(connection):
    """PostgreSQL's own: the transaction's data; afterwards the view is kept again."""
    with connection.transaction():
        connection.execute("INSERT INTO t VALUES (101, 1, 1)")
        connection.execute("REFRESH MATERIALIZED VIEW grouped")
        assert connection.execute("SELECT sum(n) FROM grouped").fetchone() == (101,)
    connection.execute("INSERT INTO t VALUES (102, 1, 1)")
    assert connection.execute("SELECT sum(n) FROM grouped").fetchone() == (102,)
    assert connection.execute("SELECT freshet.verify('grouped')").fetchone() == (0,)


def test_renamed_moved_and_dropped(connection):
    connection.execute("CREATE SCHEMA other")
    connection.execute("ALTER MATERIALIZED VIEW grouped RENAME TO totals")
    connection.execute("ALTER MATERIALIZED VIEW totals SET SCHEMA other")
    connection.execute("ALTER TABLE t RENAME COLUMN amount TO price")
    connection.execute("INSERT INTO t VALUES (101, 1, 1)")
    assert connection.execute("SELECT sum(n) FROM other.totals").fetchone() == (101,)
    connection.execute("DROP TABLE t CASCADE")
    assert connection.execute("SELECT count(*) FROM freshet.views").fetchone() == (0,)
    hidden = rows(connection, "SELECT relname FROM pg_class WHERE relnamespace = 'freshet'::regnamespace "
                              "AND relkind = 'r' AND relname NOT IN ('view', 'view_error', 'cut', 'made_index')")
    assert hidden == [], "hidden state of dropped views is left"


def test_drop_extension_leaves_plain_matviews(connection):
    connection.execute("SELECT sum(n) FROM grouped")
    with pytest.raises(psycopg.errors.DependentObjectsStillExist):
        connection.execute("DROP EXTENSION freshet")
    settings = rows(connection, "SELECT view::text, settings::text FROM freshet.view WHERE maintain ORDER BY 1")
    connection.execute("DROP EXTENSION freshet CASCADE")
    assert {"m listed", "m grouped", "m whole", "m parted", "m empty"} <= relations(connection)
    connection.execute("INSERT INTO t VALUES (101, 1, 1)")
    assert connection.execute("SELECT sum(n) FROM grouped").fetchone() == (100,)
    connection.execute("REFRESH MATERIALIZED VIEW grouped")
    assert connection.execute("SELECT sum(n) FROM grouped").fetchone() == (101,)
    connection.execute("DROP MATERIALIZED VIEW whole")
    connection.execute("SET TimeZone = 'Asia/Tokyo'; CREATE EXTENSION freshet; RESET TimeZone")
    assert rows(connection, "SELECT view::text, settings::text FROM freshet.view WHERE maintain ORDER BY 1") == \
        [row for row in settings if row[0] != "whole"]
    connection.execute("INSERT INTO t VALUES (102, 1, 1)")
    assert connection.execute("SELECT sum(n) FROM grouped").fetchone() == (102,)
    with pytest.raises(psycopg.errors.WrongObjectType):
        connection.execute("SECURITY LABEL FOR freshet ON MATERIALIZED VIEW grouped IS 'anything'")
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        connection.execute("SECURITY LABEL FOR freshet ON MATERIALIZED VIEW grouped IS 'fresh {TimeZone=Nowhere}'")


def test_release_and_adopt(connection):
    connection.execute("SELECT freshet.release('listed')")
    connection.execute("INSERT INTO t VALUES (101, 1, 1)")
    assert connection.execute("SELECT count(*) FROM listed").fetchone() == (100,)
    connection.execute("SELECT freshet.adopt('listed')")
    assert connection.execute("SELECT count(*) FROM listed").fetchone() == (101,)


def test_dump_and_restore(connection, pg_shared):
    """pg_dump writes what it writes for matviews; restored ones are kept from then on."""
    source = connection.info.dbname
    connection.execute("SELECT freshet.wait_fresh()")
    assert connection.execute("SELECT count(*) > 0 FROM pg_tables WHERE tablename ~ '^part1_'").fetchone() == (True,)
    dump = subprocess.run([pg_bin("pg_dump"), "-Fc", pg_shared.dsn(source)], capture_output=True, check=True)
    contents = subprocess.run([pg_bin("pg_restore"), "-l"], input=dump.stdout, capture_output=True, check=True).stdout
    assert b"part1_" not in contents and b"groups_" not in contents
    target = source + "_restored"
    admin = pg_shared.psycopg()
    admin.execute(f"CREATE DATABASE {target}")
    try:
        restore = subprocess.run([pg_bin("pg_restore"), "--exit-on-error", "-d", pg_shared.dsn(target)],
                                 input=dump.stdout, capture_output=True)
        assert restore.returncode == 0, restore.stderr.decode()
        restored = pg_shared.psycopg(target)
        assert rows(restored, "SELECT * FROM grouped") == rows(connection, "SELECT * FROM grouped")
        restored.execute("INSERT INTO t VALUES (101, 1, 1)")
        assert restored.execute("SELECT sum(n) FROM grouped").fetchone() == (101,)
        for view in ("listed", "grouped", "whole", "parted"):
            assert restored.execute("SELECT freshet.verify(%s::regclass)", (view,)).fetchone() == (0,)
        restored.close()
    finally:
        admin.execute(f"DROP DATABASE {target} WITH (FORCE)")
        admin.close()


def test_the_way_django_pgviews_migrates(connection):
    """In one transaction: a _temp view without data, definitions compared, then drop and create."""
    with connection.transaction():
        connection.execute("CREATE MATERIALIZED VIEW grouped_temp AS SELECT kind, count(*) AS n, "
                           "sum(amount) AS amount FROM t GROUP BY kind WITH NO DATA")
        texts = rows(connection, "SELECT definition FROM pg_matviews WHERE matviewname IN ('grouped', 'grouped_temp')")
        assert texts[0] == texts[1]
        connection.execute("DROP MATERIALIZED VIEW IF EXISTS grouped_temp CASCADE")
        connection.execute("DROP MATERIALIZED VIEW IF EXISTS grouped CASCADE")
        connection.execute("CREATE MATERIALIZED VIEW grouped AS SELECT kind, count(*) AS n FROM t GROUP BY kind WITH DATA")
        connection.execute("CREATE UNIQUE INDEX grouped_kind_index ON grouped (kind)")
        connection.execute("INSERT INTO t VALUES (101, 1, 1)")
        connection.execute("REFRESH MATERIALIZED VIEW CONCURRENTLY grouped")
    connection.execute("INSERT INTO t VALUES (102, 1, 1)")
    assert connection.execute("SELECT sum(n) FROM grouped").fetchone() == (102,)


def test_an_error_belongs_to_the_view(connection):
    """Writers never see it; the view keeps its last good content, says why, and heals."""
    connection.execute("CREATE MATERIALIZED VIEW divided AS SELECT id, 100 / kind AS share FROM t WHERE kind > 0 OR id > 100")
    good = rows(connection, "SELECT * FROM divided")
    connection.execute("INSERT INTO t VALUES (101, 0, 1)")

    def error():
        return connection.execute("SELECT error FROM freshet.views WHERE view = 'divided'::regclass").fetchone()[0]

    system.wait_until(error, 10, what="the view says what is wrong")
    assert "division by zero" in error()
    assert rows(connection, "SELECT * FROM divided") == good
    connection.execute("INSERT INTO t VALUES (102, 1, 1)")
    assert connection.execute("SELECT count(*) FROM listed").fetchone() == (102,), "other views go on"
    connection.execute("DELETE FROM t WHERE id = 101")
    system.wait_until(lambda: not error(), 30, 0.1, "the view heals")
    assert connection.execute("SELECT freshet.verify('divided')").fetchone() == (0,)
    assert connection.execute("SELECT count(*) FROM divided").fetchone() == (len(good) + 1,)


def test_a_locked_view_falls_behind_alone(connection, pg_shared):
    other = pg_shared.psycopg(connection.info.dbname, autocommit=False)
    other.execute("CREATE INDEX ON grouped (n)")  # a lock the worker has to wait for
    connection.execute("INSERT INTO t VALUES (101, 1, 1)")
    assert connection.execute("SELECT count(*) FROM listed").fetchone() == (101,)
    other.rollback()
    other.close()
    assert connection.execute("SELECT sum(n) FROM grouped").fetchone() == (101,)


def test_autovacuum_knows_of_changes(connection):
    """What the worker changes is counted while it lives, so that dead rows go."""
    connection.execute("UPDATE t SET amount = amount + 1")
    assert connection.execute("SELECT count(*) FROM listed").fetchone() == (100,)
    system.wait_until(lambda: connection.execute(
        "SELECT n_dead_tup >= 100 OR autovacuum_count > 0 FROM pg_stat_user_tables WHERE relname = 'listed'"
        ).fetchone()[0], 10, 0.1, "the view's dead rows are counted")


def test_staleness_is_the_readers_choice(connection):
    connection.execute("SET freshet.max_staleness = -1")
    connection.execute("INSERT INTO t VALUES (101, 1, 1)")
    connection.execute("SELECT count(*) FROM listed")  # whatever is there
    system.wait_until(lambda: connection.execute("SELECT count(*) FROM listed").fetchone() == (101,), 5,
                      what="it comes by itself")
    connection.execute("SET freshet.max_staleness = '5s'")
    connection.execute("SELECT count(*) FROM listed")
    with pytest.raises(psycopg.Error):
        connection.execute("SET freshet.max_staleness = 'soon'")
