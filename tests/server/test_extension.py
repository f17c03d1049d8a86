"""A database gets the extension with its first view, or with whoever subscribes first; until then it is PostgreSQL's."""

import asyncio
import itertools
import subprocess
import threading

import psycopg
import pytest

from harness import system
from harness.paths import pg_bin
from harness.server import Freshet

_numbers = itertools.count(1)


class Database:
    """A new database on a server."""

    def __init__(self, server, template: str | None = None):
        self.server = server
        self.name = f"lazy{next(_numbers)}"
        self.opened = []
        self.administer(f"CREATE DATABASE {self.name}" + (f" TEMPLATE {template}" if template else ""))

    def administer(self, statement: str):
        with self.server.psycopg("native") as connection:
            connection.execute(statement)

    def connect(self, autocommit=True, door="postgres", **fields):
        connection = self.server.psycopg(door, autocommit, dbname=self.name, **fields)
        self.opened.append(connection)
        return connection

    def run(self, *statements, **fields):
        connection = self.connect(**fields)
        for statement in statements:
            connection.execute(statement)
        connection.close()

    def value(self, query: str):
        with self.server.psycopg("native", dbname=self.name) as connection:
            return connection.execute(query).fetchone()[0]

    def has_extension(self) -> bool:
        extension = self.value("SELECT count(*) FROM pg_extension WHERE extname = 'freshet'")
        schema = self.value("SELECT count(*) FROM pg_namespace WHERE nspname = 'freshet'")
        assert extension == schema
        return extension == 1

    def check_fresh(self, view: str = "v", table: str = "t"):
        """What is committed is in the view at once; without a worker this fails."""
        with self.server.psycopg("native", dbname=self.name) as connection:
            before = connection.execute(f"SELECT count(*) FROM {view}").fetchone()[0]
            connection.execute(f"INSERT INTO {table} SELECT FROM generate_series(1, 3)")
            assert connection.execute(f"SELECT count(*) FROM {view}").fetchone()[0] == before + 3
            assert connection.execute(f"SELECT freshet.verify('{view}')").fetchone()[0] == 0

    def drop(self):
        for connection in self.opened:
            connection.close()
        self.administer(f"DROP DATABASE {self.name} WITH (FORCE)")


@pytest.fixture
def database(freshet):
    database = Database(freshet)
    database.run("CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY)")
    yield database
    database.drop()


@pytest.fixture(scope="module")
def role(freshet):
    """A role without any right but to log in; it outlives the databases."""
    with freshet.psycopg("native") as connection:
        connection.execute("CREATE ROLE nobody_special LOGIN PASSWORD 'secret'")
    yield "nobody_special"
    with freshet.psycopg("native") as connection:
        connection.execute("DROP ROLE nobody_special")


VIEW = "CREATE MATERIALIZED VIEW v AS SELECT id FROM t"


def test_until_then_a_database_is_as_postgresql_makes_it(database):
    assert not database.has_extension()
    assert database.value("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'freshet worker'"
                          f" AND datname = '{database.name}'") == 0
    assert database.value("SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'freshet_' ||"
                          " (SELECT oid FROM pg_database WHERE datname = current_database())") == 0
    database.run("CREATE VIEW w AS SELECT 1", "CREATE TABLE made AS SELECT 1")
    assert not database.has_extension()


@pytest.mark.parametrize("statement", [
    VIEW,
    VIEW + " WITH NO DATA",
    f"EXPLAIN ANALYZE {VIEW}",
    f"DO $$ BEGIN {VIEW}; END $$",
    f"BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM t; {VIEW}; COMMIT",
])
def test_the_first_view_makes_it(database, statement):
    database.run(statement)
    assert database.has_extension()
    assert database.value("SELECT extowner FROM pg_extension WHERE extname = 'freshet'") == 10
    database.run("REFRESH MATERIALIZED VIEW v")
    database.check_fresh()


def test_the_server_s_own_database_has_it_from_the_start(fresh_server):
    connection = fresh_server.psycopg()
    assert connection.execute("SELECT count(*) FROM freshet.views").fetchone()[0] == 0


def test_it_goes_with_its_transaction(database):
    connection = database.connect(autocommit=False)
    connection.execute(VIEW)
    assert connection.execute("SELECT maintained FROM freshet.views").fetchone()[0]
    connection.rollback()
    assert not database.has_extension()

    connection.execute("SAVEPOINT s")
    connection.execute(VIEW)
    connection.execute("ROLLBACK TO s")
    connection.execute("CREATE MATERIALIZED VIEW other AS SELECT id FROM t")
    connection.commit()
    database.check_fresh("other")


def test_it_comes_with_a_prepared_transaction(database):
    connection = database.connect()
    for statement in ("BEGIN", VIEW, "PREPARE TRANSACTION 'lazy'"):
        connection.execute(statement)
    assert not database.has_extension()
    connection.execute("COMMIT PREPARED 'lazy'")
    database.check_fresh()


def test_many_at_once(database):
    problems = []
    start = threading.Barrier(8)

    def make(number):
        try:
            connection = database.connect(autocommit=number % 2 == 0)
            start.wait()
            if number == 0:
                connection.execute("CREATE EXTENSION IF NOT EXISTS freshet")
            connection.execute(f"CREATE MATERIALIZED VIEW v{number} AS SELECT id FROM t")
            connection.commit()
        except psycopg.Error as error:
            problems.append(error)

    threads = [threading.Thread(target=make, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert problems == []
    for number in range(8):
        database.check_fresh(f"v{number}")


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_the_second_waits_for_the_first(database, end):
    first = database.connect(autocommit=False)
    first.execute("CREATE MATERIALIZED VIEW other AS SELECT id FROM t")
    second = database.connect()
    pid = second.info.backend_pid
    thread = threading.Thread(target=second.execute, args=(VIEW,))
    thread.start()
    system.wait_until(lambda: database.value(f"SELECT wait_event_type FROM pg_stat_activity WHERE pid = {pid}") == "Lock",
                      20, 0.02, "the second session waits")
    getattr(first, end)()
    thread.join(30)
    assert not thread.is_alive()
    database.check_fresh()


def test_whoever_may_make_the_view(database, role):
    """No right in the database but to make objects in a schema."""
    database.run(f"CREATE SCHEMA theirs AUTHORIZATION {role}", f"GRANT SELECT ON t TO {role}",
                 f"REVOKE CREATE, TEMPORARY ON DATABASE {database.name} FROM PUBLIC")
    connection = database.connect(user=role, password="secret")
    connection.execute("SET search_path = theirs, public")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("CREATE EXTENSION freshet")
    connection.execute(VIEW)
    assert connection.execute("SELECT current_user").fetchone()[0] == role
    assert connection.execute("SELECT view::text, maintained FROM freshet.views").fetchall() == [("v", True)]
    assert database.value("SELECT extowner FROM pg_extension WHERE extname = 'freshet'") == 10
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("DROP EXTENSION freshet")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("DELETE FROM freshet.view")
    database.check_fresh("theirs.v")


def test_a_tablespace_of_the_session_s_is_not_where_it_lives(database, role):
    database.run(f"GRANT CREATE ON SCHEMA public TO {role}", f"GRANT SELECT ON t TO {role}")
    database.run("SET allow_in_place_tablespaces = on", "CREATE TABLESPACE elsewhere LOCATION ''",
                 f"GRANT CREATE ON TABLESPACE elsewhere TO {role}")
    try:
        database.run("SET default_tablespace = elsewhere", VIEW, user=role, password="secret")
        assert database.value("SELECT reltablespace FROM pg_class WHERE oid = 'v'::regclass") != 0
        assert database.value("SELECT count(*) FROM pg_class WHERE relnamespace = 'freshet'::regnamespace"
                              " AND reltablespace <> 0") == 0
        database.check_fresh()
        database.run("DROP MATERIALIZED VIEW v")
    finally:
        database.administer("DROP TABLESPACE elsewhere")


def test_a_schema_of_that_name_is_left_alone(database):
    database.run("CREATE SCHEMA freshet", "CREATE TABLE freshet.view (mine int)")
    connection = database.connect()
    notices = []
    connection.add_notice_handler(lambda notice: notices.append(notice.message_primary))
    connection.execute(VIEW)
    assert len(notices) == 1 and "is not kept fresh" in notices[0]
    connection.execute("INSERT INTO t SELECT FROM generate_series(1, 2)")
    assert connection.execute("SELECT count(*) FROM v").fetchone()[0] == 0
    connection.execute("REFRESH MATERIALIZED VIEW v")
    assert connection.execute("SELECT count(*) FROM v").fetchone()[0] == 2
    connection.execute("ALTER SCHEMA freshet RENAME TO mine")
    connection.execute("CREATE EXTENSION freshet")
    connection.execute("SELECT freshet.adopt('v')")
    database.check_fresh()


def test_none_is_made_for_plain_views(database):
    database.run("SET freshet.maintain = off", VIEW)
    assert not database.has_extension()
    database.run("INSERT INTO t DEFAULT VALUES")
    assert database.value("SELECT count(*) FROM v") == 0
    database.run("CREATE EXTENSION freshet", "SELECT freshet.adopt('v')")
    database.check_fresh()


def test_none_is_made_where_the_setting_is_off(database):
    database.administer(f"ALTER DATABASE {database.name} SET freshet.create_extension = off")
    database.run(VIEW)
    assert not database.has_extension()
    with pytest.raises(psycopg.errors.UndefinedObject) as raised:
        database.connect().execute("SUBSCRIBE t")
    assert raised.value.diag.message_hint == "Run CREATE EXTENSION freshet."


def test_after_it_was_dropped_the_next_view_makes_it_again(database):
    database.run(VIEW)
    database.check_fresh()
    with pytest.raises(psycopg.errors.DependentObjectsStillExist, match="keeps 1 materialized view fresh"):
        database.run("DROP EXTENSION freshet")
    database.run("DROP EXTENSION freshet CASCADE")
    database.run("CREATE MATERIALIZED VIEW other AS SELECT id FROM t")
    database.check_fresh("other")
    database.check_fresh()
    assert database.value("SELECT count(*) FROM pg_seclabel") == 0


def test_a_copy_of_a_database(freshet, database):
    database.run(VIEW)
    database.check_fresh()
    for connection in database.opened:
        connection.close()
    copy = Database(freshet, template=database.name)
    try:
        assert copy.has_extension()
        copy.check_fresh()
    finally:
        copy.drop()


def archive(database, path, *options):
    subprocess.run([pg_bin("pg_dump"), "-d", database.server.dsn("native", database.name), "-Fc", "-f", str(path), *options],
                   check=True, capture_output=True, text=True)


def restore(database, path, *options):
    done = subprocess.run([pg_bin("pg_restore"), "-d", database.server.dsn("native", database.name), *options, str(path)],
                          check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("options", [["-j", "3"], ["--single-transaction"]])
@pytest.mark.parametrize("with_extension", [True, False])
def test_dump_and_restore(freshet, database, with_extension, options, tmp_path):
    """A dump has CREATE EXTENSION if its database had it; else the first view restored makes it."""
    database.run("INSERT INTO t SELECT FROM generate_series(1, 5)", f"SET freshet.maintain = {'on' if with_extension else 'off'}",
                 VIEW, "CREATE MATERIALIZED VIEW above AS SELECT count(*) FROM v", "CREATE UNIQUE INDEX ON v (id)")
    assert database.has_extension() == with_extension
    archive(database, tmp_path / "dump")
    target = Database(freshet)
    try:
        restore(target, tmp_path / "dump", *options)
        assert target.value("SELECT count(*) FROM v") == 5
        assert target.value("SELECT count(*) FROM freshet.views WHERE maintained") == 2
        target.check_fresh()
        assert target.value("SELECT * FROM above") == 8
    finally:
        target.drop()


def test_dump_and_restore_by_the_owner(freshet, database, role, tmp_path):
    """Who owns a database needs nobody's help to move it."""
    database.run(f"ALTER DATABASE {database.name} OWNER TO {role}", f"ALTER TABLE t OWNER TO {role}")
    database.run("SET TimeZone = 'Asia/Tokyo'", VIEW, "CREATE MATERIALIZED VIEW plain AS SELECT id FROM t",
                 "SELECT freshet.release('plain')", user=role, password="secret")
    target = Database(freshet)
    target.administer(f"ALTER DATABASE {target.name} OWNER TO {role}")
    try:
        for program, place, options in (("pg_dump", database, ["-Fc", "-f", str(tmp_path / "dump")]),
                                        ("pg_restore", target, ["--exit-on-error", str(tmp_path / "dump")])):
            done = subprocess.run([pg_bin(program), "-d", freshet.dsn("postgres", place.name, role, password="secret"), *options],
                                  check=False, capture_output=True, text=True)
            assert (done.returncode, done.stderr) == (0, "")
        query = "SELECT string_agg(view::text || maintained, ' ' ORDER BY view::text) FROM freshet.views"
        assert target.value(query) == database.value(query) == "plainfalse vtrue"
        assert "TimeZone=Asia/Tokyo" in target.value("SELECT settings FROM freshet.view WHERE view = 'v'::regclass")
        target.check_fresh()
        with freshet.psycopg("native", dbname=target.name) as connection:
            connection.execute("CREATE MATERIALIZED VIEW theirs AS SELECT 1 AS id")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            target.run("INSERT INTO freshet.view (view, maintain, settings, adopted)"
                       " VALUES ('theirs', true, '{search_path=mine}', false)", user=role, password="secret")
    finally:
        target.drop()


def first(database, **fields):
    """The first row of a subscription to t, in a session of its own."""
    connection = database.connect(**fields)
    stream = connection.cursor().stream("SUBSCRIBE t")
    row = next(stream)
    stream.close()
    connection.close()
    return row[1:]


@pytest.mark.parametrize("door", ["postgres", "materialize"])
def test_subscribe_first(database, door):
    database.run("INSERT INTO t DEFAULT VALUES")
    assert first(database, door=door) == (1, 1)
    assert database.has_extension()
    assert first(database, door=door) == (1, 1)


def test_subscribe_first_in_a_block(database):
    connection = database.connect(autocommit=False)
    connection.execute("DECLARE c CURSOR FOR SUBSCRIBE t")
    database.run("INSERT INTO t DEFAULT VALUES")
    assert connection.execute("FETCH ALL c").fetchone()[1:] == (1, 1)
    connection.rollback()
    assert database.has_extension()


def test_subscribe_in_the_block_of_the_first_view(database):
    """No worker can say what changes before the extension is committed: that is said, not waited for."""
    connection = database.connect(autocommit=False)
    connection.execute(VIEW)
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState) as raised:
        connection.execute("DECLARE c CURSOR FOR SUBSCRIBE v")
    assert raised.value.diag.message_hint == "Commit before you subscribe."
    connection.rollback()
    assert not database.has_extension()
    database.run("INSERT INTO t DEFAULT VALUES")
    connection.execute("DECLARE c CURSOR FOR SUBSCRIBE t")
    assert connection.execute("FETCH ALL c").fetchone()[1:] == (1, 1)


def test_subscribe_after_it_was_dropped(database):
    database.run("INSERT INTO t DEFAULT VALUES")
    connection = database.connect()
    next(connection.cursor().stream("SUBSCRIBE t"))
    database.run("DROP EXTENSION freshet CASCADE")
    with pytest.raises(psycopg.errors.InvalidSchemaName):
        next(connection.cursor().stream("SUBSCRIBE t"))
    assert next(connection.cursor().stream("SUBSCRIBE t"))[1:] == (1, 1)


def test_subscribe_first_by_a_prepared_statement(database):
    database.run("INSERT INTO t DEFAULT VALUES")

    async def follow():
        connection = await database.server.asyncpg("postgres", database=database.name)
        async with connection.transaction():
            async for row in connection.cursor("SUBSCRIBE t", prefetch=1):
                break
        await connection.close()
        return tuple(row)[1:]

    assert asyncio.run(follow()) == (1, 1)


def test_subscribe_first_by_who_may_only_read(database, role):
    database.run(f"GRANT SELECT ON t TO {role}", "INSERT INTO t DEFAULT VALUES")
    assert first(database, user=role, password="secret") == (1, 1)
    database.run(f"REVOKE SELECT ON t FROM {role}")


def test_many_subscribe_first(database):
    database.run("INSERT INTO t DEFAULT VALUES")
    rows = []
    threads = [threading.Thread(target=lambda: rows.append(first(database))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert rows == [(1, 1)] * 6


@pytest.mark.parametrize("block", [True, False])
def test_cancel_while_another_makes_it(database, block):
    """Somebody makes the extension and does not commit: who subscribes meanwhile waits, and may cease to."""
    other = database.connect(autocommit=False)
    other.execute(VIEW)
    connection = database.connect(autocommit=not block)
    raised = []

    def subscribe():
        try:
            connection.execute("DECLARE c CURSOR FOR SUBSCRIBE t" if block else "SUBSCRIBE t")
        except psycopg.Error as error:
            raised.append(error.sqlstate)

    thread = threading.Thread(target=subscribe)
    thread.start()
    system.wait_until(lambda: database.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                                             f" AND datname = '{database.name}'") == 1, 20, 0.02, "the server waits")
    connection.cancel()
    thread.join(20)
    assert raised == ["57014"]
    connection.rollback()
    assert connection.execute("SELECT 1").fetchone() == (1,)
    other.rollback()


def test_source_first(database):
    connection = database.connect(door="materialize")
    connection.execute("CREATE SOURCE counter FROM LOAD GENERATOR COUNTER (TICK INTERVAL '10ms')")
    assert not database.has_extension()
    connection.execute("CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM counter")
    assert database.has_extension()
    system.wait_until(lambda: database.value("SELECT n FROM counted") > 5, 20, 0.05, "the view follows the source")
    connection.execute("DROP SOURCE counter CASCADE")


def test_an_existing_postgres_makes_none_by_itself(pg):
    server = Freshet(ports={"native": 0}, arguments=[
        "--postgres", f"host=127.0.0.1 port={pg.port} user=postgres dbname=postgres"]).start()
    try:
        pg.psycopg().execute("CREATE DATABASE plain")
        connection = server.psycopg("postgres", dbname="plain")
        connection.execute("CREATE TABLE t AS SELECT 1 AS id")
        connection.execute(VIEW)
        assert connection.execute("SELECT count(*) FROM pg_extension WHERE extname = 'freshet'").fetchone()[0] == 0
        with pytest.raises(psycopg.errors.UndefinedObject) as raised:
            connection.execute("SUBSCRIBE t")
        assert raised.value.diag.message_hint == "Run CREATE EXTENSION freshet."
        connection.execute("CREATE EXTENSION freshet")
        connection.execute("SELECT freshet.adopt('v')")
        row = next(connection.cursor().stream("SUBSCRIBE v"))
        assert row[1:] == (1, 1)
    finally:
        server.stop()
        server.remove()
