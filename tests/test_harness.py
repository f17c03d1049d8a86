"""The server and the extension come up, answer every driver, and go down with status 0."""

import asyncio

import pytest


@pytest.mark.parametrize("door", ["postgres", "materialize"])
def test_every_driver_gets_in(freshet, door):
    for connect in (freshet.psycopg2, freshet.psycopg):
        connection = connect(door)
        cursor = connection.cursor()
        cursor.execute("SELECT 1, current_database()")
        assert cursor.fetchone() == (1, "materialize")
        connection.close()

    async def by_asyncpg():
        connection = await freshet.asyncpg(door)
        row = await connection.fetchrow("SELECT $1::int AS n, current_database()::text AS db", 1)
        await connection.close()
        return tuple(row)

    assert asyncio.run(by_asyncpg()) == (1, "materialize")


def test_psql_gets_in(freshet):
    result = freshet.psql("-c", "SELECT 41 + 1")
    assert result.stdout.strip() == "42", result.stderr


def test_extension_alone(pg_shared):
    connection = pg_shared.psycopg2()
    cursor = connection.cursor()
    cursor.execute("SELECT extname FROM pg_extension WHERE extname = 'freshet'")
    assert cursor.fetchone() == ("freshet",)
    connection.close()
