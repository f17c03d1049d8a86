"""Views that compare rows with the clock stay right while time passes, with and without writes."""

import random
import time

import pytest

from .test_oracle import database  # noqa: F401 (a fixture)

VIEWS = {
    "recent": "SELECT id, at FROM events WHERE at > now() - interval '1 second'",
    "in_between": "SELECT id FROM events WHERE at BETWEEN CURRENT_TIMESTAMP AND now() + interval '2 seconds'",
    "negated": "SELECT id FROM events WHERE NOT (at > now()) OR at IS NULL",
    "expression": "SELECT id FROM events WHERE at + interval '1 second' < now()",
    "local": "SELECT id FROM events WHERE at::timestamp >= LOCALTIMESTAMP - interval '700 ms'",
    "shown": "SELECT id, at <= now() AS past FROM events",
    "joined": "SELECT e.id, k.name FROM events e JOIN kinds k USING (kind) WHERE e.at > now()",
    "left_joined": "SELECT k.name, e.id FROM kinds k LEFT JOIN events e ON e.kind = k.kind AND e.at > now()",
    "two_leaves": "SELECT a.id, b.id AS other FROM events a JOIN events b ON a.kind = b.kind AND a.id < b.id "
                  "WHERE a.at > now() - interval '1 second' AND b.at > now() - interval '2 seconds'",
    "grouped": "SELECT kind, count(*) AS n, max(at) AS last FROM events WHERE at <= now() GROUP BY kind",
    "filtered": "SELECT kind, count(*) AS n, count(*) FILTER (WHERE at <= now()) AS past FROM events GROUP BY kind",
    "collected": "SELECT kind, array_agg(id ORDER BY id) AS ids FROM events WHERE at > now() GROUP BY kind",
    "not_just_now": "SELECT name FROM kinds k WHERE NOT EXISTS (SELECT 1 FROM events e WHERE e.kind = k.kind "
              "AND e.at BETWEEN now() - interval '300 ms' AND now())",
    "correlated": "SELECT name, (SELECT count(*) FROM events e WHERE e.kind = k.kind AND e.at > now()) AS n "
                  "FROM kinds k",
    "over_plain": "SELECT id FROM shown_events WHERE moment > now() - interval '1 second'",
    "days": "SELECT id FROM events WHERE day >= CURRENT_DATE - INTERVAL '90 days'",
    "ranked": "SELECT id, rank() OVER (PARTITION BY kind ORDER BY at, id) AS place FROM events WHERE at > now()",
}
# What is not a comparison of a row with the clock is run anew from time to time.
WHOLE = {"age": "SELECT id, age(CURRENT_DATE, day) > interval '1 month' AS old FROM events"}


def wrong(connection, names) -> dict[str, int]:
    return {name: rows for name in names
            if (rows := connection.execute("SELECT freshet.verify(%s::regclass)", (name,)).fetchone()[0])}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("indexed", (True, False))
def test_time_passes(database, indexed):  # noqa: F811
    connection = database()
    connection.execute("CREATE TABLE kinds (kind int, name text)")
    connection.execute("CREATE TABLE events (id int, kind int, at timestamptz, day date)")
    connection.execute("CREATE VIEW shown_events AS SELECT id, at AS moment FROM events WHERE kind IS NOT NULL")
    if indexed:
        connection.execute("CREATE INDEX ON events (at)")
    connection.execute("INSERT INTO kinds SELECT k, 'kind ' || k FROM generate_series(0, 6) k")
    connection.execute("INSERT INTO events SELECT i, i % 5, now() + interval '97 ms' * (i - 30), CURRENT_DATE - i "
                       "FROM generate_series(1, 120) i")
    for name, query in (VIEWS | WHOLE).items():
        connection.execute(f"CREATE MATERIALIZED VIEW {name} AS {query}")
    connection.execute("SELECT count(*) FROM recent")
    kept = dict(connection.execute("SELECT view::text, strategy FROM freshet.views").fetchall())
    assert kept == dict.fromkeys(VIEWS, "B") | dict.fromkeys(WHOLE, "C")

    # nobody writes: the worker wakes by itself, before a reader asks
    for _ in range(4):
        time.sleep(0.4)
        past = connection.execute("SELECT count(*) FROM events WHERE at <= now() - interval '100 ms'").fetchone()[0]
        assert connection.execute("SELECT count(*) FROM shown WHERE past").fetchone()[0] >= past
        assert not wrong(connection, VIEWS)

    rng = random.Random(5)
    for step in range(25):
        number = 1000 + step
        connection.execute(rng.choice((
            f"INSERT INTO events VALUES ({number}, {step % 7}, now() + interval '1 ms' * {rng.randint(-900, 900)}, "
            f"CURRENT_DATE - {rng.randint(80, 100)})",
            f"UPDATE events SET at = at + interval '31 ms' WHERE id % 11 = {rng.randint(0, 10)}",
            f"UPDATE events SET kind = {rng.randint(0, 6)}, at = NULL WHERE id % 23 = {rng.randint(0, 22)}",
            f"DELETE FROM events WHERE id % 31 = {rng.randint(0, 30)}",
            f"UPDATE kinds SET name = 'named {step}' WHERE kind = {rng.randint(0, 6)}")))
        assert not wrong(connection, VIEWS), step
    assert not wrong(connection, WHOLE)
    assert not connection.execute("SELECT view FROM freshet.views WHERE error IS NOT NULL").fetchall()
    connection.close()


@pytest.mark.timeout(60)
def test_time_passes_while_the_server_is_down(pg):
    """What the clock passed meanwhile is caught up from the stored cut."""
    connection = pg.psycopg()
    connection.execute("CREATE TABLE events (id int PRIMARY KEY, at timestamptz)")
    connection.execute("CREATE INDEX ON events (at)")
    connection.execute("INSERT INTO events SELECT i, now() + interval '20 ms' * i FROM generate_series(-100, 400) i")
    connection.execute("CREATE MATERIALIZED VIEW ahead AS SELECT id FROM events WHERE at > now()")
    before = connection.execute("SELECT count(*) FROM ahead").fetchone()[0]
    connection.close()
    pg.kill()
    time.sleep(0.5)
    pg.start()
    connection = pg.psycopg()
    connection.execute("SELECT count(*) FROM ahead")
    assert not wrong(connection, ["ahead"])
    assert connection.execute("SELECT count(*) FROM ahead").fetchone()[0] < before
    connection.close()
