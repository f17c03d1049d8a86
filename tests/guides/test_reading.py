"""A view is read in many ways, and each sees every commit that came before it.

One connection writes, another reads in the way under test; each write has returned before the read begins.
"""

import asyncio
import io

import asyncpg
import pytest

from .application import Application

QUERY = "SELECT sum(n)::bigint AS n FROM counts"
ROUNDS = 8

SCHEMA = f"""
CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, k int NOT NULL);
INSERT INTO t (k) SELECT g % 10 FROM generate_series(1, 1000) g;
CREATE MATERIALIZED VIEW counts AS SELECT k, count(*) AS n FROM t GROUP BY k;
CREATE UNIQUE INDEX ON counts (k);
CREATE VIEW total AS {QUERY};
CREATE TABLE notes (n bigint);
CREATE FUNCTION in_sql() RETURNS bigint LANGUAGE sql STABLE AS '{QUERY}';
CREATE FUNCTION in_plpgsql() RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN ({QUERY}); END';
CREATE FUNCTION in_execute() RETURNS bigint LANGUAGE plpgsql
    AS 'DECLARE result bigint; BEGIN EXECUTE ''{QUERY}'' INTO result; RETURN result; END';
CREATE PROCEDURE in_procedure(INOUT result bigint) LANGUAGE plpgsql AS 'BEGIN result := ({QUERY}); END';
"""

# One statement each, that returns the count.
STATEMENTS = {
    "select": QUERY,
    "view": "SELECT n FROM total",
    "subquery": f"SELECT ({QUERY})",
    "cte": f"WITH x AS MATERIALIZED ({QUERY}) SELECT n FROM x",
    "union": "SELECT sum(n)::bigint FROM (SELECT n FROM counts UNION ALL SELECT 0) u",
    "index": "SELECT sum((SELECT n FROM counts c WHERE c.k = g))::bigint FROM generate_series(0, 9) g",
    "tablesample": "SELECT sum(n)::bigint FROM counts TABLESAMPLE bernoulli (100)",
    "sql function": "SELECT in_sql()",
    "plpgsql function": "SELECT in_plpgsql()",
    "dynamic sql": "SELECT in_execute()",
    "procedure": "CALL in_procedure(NULL)",
    "insert": f"INSERT INTO notes {QUERY} RETURNING n",
    "update": f"WITH one AS (SELECT min(ctid) AS c FROM notes) UPDATE notes SET n = ({QUERY}) FROM one"
              " WHERE notes.ctid = one.c RETURNING n",
}


@pytest.fixture(scope="module")
def database(freshet):
    application = Application(freshet, "reading")
    application.execute(SCHEMA)
    application.execute("INSERT INTO notes VALUES (0)")
    yield application
    application.close()


@pytest.fixture
def write(database):
    """Writes a row and returns how many there are."""
    count = database.value("SELECT count(*) FROM t")

    def write_one():
        nonlocal count
        database.execute(f"INSERT INTO t (k) VALUES ({count % 10})")
        count += 1
        return count

    return write_one


@pytest.fixture
def psycopg3(database):
    connection = database.server.psycopg("postgres", dbname="reading")
    yield connection
    connection.close()


@pytest.fixture
def psycopg2(database):
    connection = database.server.psycopg2("postgres", dbname="reading")
    yield connection
    connection.close()


def first(cursor):
    return cursor.fetchone()[0]


@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=STATEMENTS)
def test_statements(psycopg3, psycopg2, write, statement):
    cursor = psycopg2.cursor()
    for _ in range(ROUNDS):
        expected = write()
        assert first(psycopg3.execute(statement, prepare=False)) == expected
        expected = write()
        assert first(psycopg3.execute(statement, prepare=True)) == expected
        expected = write()
        cursor.execute(statement)
        assert first(cursor) == expected


@pytest.mark.parametrize("mode", ["ISOLATION LEVEL READ COMMITTED", "ISOLATION LEVEL REPEATABLE READ",
                                  "ISOLATION LEVEL SERIALIZABLE", "READ ONLY"])
def test_transactions(psycopg3, write, mode):
    for _ in range(ROUNDS):
        expected = write()
        with psycopg3.transaction():
            psycopg3.execute(f"SET TRANSACTION {mode}")
            assert first(psycopg3.execute(QUERY)) == expected
            later = write()
            assert first(psycopg3.execute(QUERY)) == (later if "COMMITTED" in mode or mode == "READ ONLY" else expected)


def by_server_cursor(connection):
    with connection.transaction(), connection.cursor("c") as cursor:
        cursor.execute(QUERY)
        return first(cursor)


def by_held_cursor(connection):
    connection.execute(f"DECLARE held CURSOR WITH HOLD FOR {QUERY}")
    found = first(connection.execute("FETCH held"))
    connection.execute("CLOSE held")
    return found


def by_copy(connection):
    with connection.cursor().copy(f"COPY ({QUERY}) TO STDOUT") as copy:
        return int(b"".join(copy).decode())


def by_pipeline(connection):
    with connection.pipeline():
        connection.execute("SELECT 1")
        return first(connection.execute(QUERY))


def by_several_statements(connection):
    cursor = connection.execute("SELECT 1; " + QUERY)
    cursor.nextset()
    return first(cursor)


def by_create_table_as(connection):
    connection.execute(f"CREATE TEMPORARY TABLE made AS {QUERY}")
    found = first(connection.execute("SELECT n FROM made"))
    connection.execute("DROP TABLE made")
    return found


def by_do(connection):
    connection.execute("DO $$ BEGIN PERFORM set_config('my.n', (SELECT sum(n)::text FROM counts), false); END $$")
    return int(first(connection.execute("SELECT current_setting('my.n')")))


def by_merge(connection):
    connection.execute(f"MERGE INTO notes USING ({QUERY}) x ON false WHEN NOT MATCHED THEN INSERT VALUES (x.n)")
    return first(connection.execute("SELECT max(n) FROM notes"))


@pytest.mark.parametrize("way", [by_server_cursor, by_held_cursor, by_copy, by_pipeline, by_several_statements,
                                 by_create_table_as, by_do, by_merge])
def test_psycopg(psycopg3, write, way):
    for _ in range(ROUNDS):
        expected = write()
        assert way(psycopg3) == expected


def test_own_commit_in_one_message(psycopg3, write):
    for _ in range(ROUNDS):
        expected = write()
        cursor = psycopg3.execute("BEGIN; INSERT INTO t (k) VALUES (1); DELETE FROM t WHERE id = (SELECT max(id) FROM t);"
                                  " COMMIT; " + QUERY)
        for _ in range(4):
            cursor.nextset()
        assert first(cursor) == expected


def test_own_commit_in_a_pipeline(psycopg3, write):
    for _ in range(ROUNDS):
        expected = write()
        with psycopg3.pipeline() as pipeline:
            psycopg3.execute("DELETE FROM t WHERE id = (SELECT max(id) FROM t)")
            pipeline.sync()
            assert first(psycopg3.execute(QUERY)) == expected - 1
        psycopg3.execute("INSERT INTO t (k) VALUES (1)")


def test_psycopg2_copy_and_named_cursor(psycopg2, write):
    for _ in range(ROUNDS):
        expected = write()
        out = io.StringIO()
        psycopg2.cursor().copy_expert(f"COPY ({QUERY}) TO STDOUT", out)
        assert int(out.getvalue()) == expected
        expected = write()
        psycopg2.autocommit = False
        with psycopg2.cursor("named") as cursor:
            cursor.execute(QUERY)
            assert first(cursor) == expected
        psycopg2.rollback()
        psycopg2.autocommit = True


def test_asyncpg(database, write):
    async def by_cursor(connection, _):
        async with connection.transaction():
            async for row in connection.cursor(QUERY):
                return row[0]

    async def by_copy_out(connection, _):
        out = []

        async def output(data):
            out.append(data)

        await connection.copy_from_query(QUERY, output=output)
        return int(b"".join(out))

    async def by_repeatable_read(connection, _):
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            return await connection.fetchval(QUERY)

    ways = [lambda connection, _: connection.fetchval(QUERY), lambda _, statement: statement.fetchval(),
            lambda connection, _: connection.fetchval("SELECT n + $1 FROM total", 0),
            by_cursor, by_copy_out, by_repeatable_read]

    async def main():
        connection = await asyncpg.connect(
            f"postgresql://postgres@127.0.0.1:{database.server.ports['postgres']}/reading")
        statement = await connection.prepare(QUERY)
        for _ in range(ROUNDS):
            for way in ways:
                expected = write()
                assert await way(connection, statement) == expected, way
        await connection.close()

    asyncio.run(main())


def test_exact(database):
    database.assert_exact("counts")
