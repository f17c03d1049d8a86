"""Views that compare rows with the clock stay right while time passes, with and without writes."""

import datetime
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
    # above groups, partitions, DISTINCT, LIMIT and set operations
    "having_live": "SELECT kind, count(*) AS n FROM events GROUP BY kind HAVING max(at) > now() - interval '1 second'",
    "having_rows": "SELECT kind, count(*) AS n FROM events GROUP BY kind HAVING count(*) FILTER (WHERE at <= now()) > 3",
    "over_groups": "SELECT kind, n, last < now() AS ended FROM (SELECT kind, count(*) AS n, max(at) AS last FROM events "
                   "GROUP BY kind) g",
    "group_shown": "SELECT kind, CASE WHEN max(at) > now() THEN 'live' ELSE 'dead' END AS state FROM events GROUP BY kind",
    "grouped_by": "SELECT kind, at > now() AS ahead, count(*) AS n FROM events GROUP BY kind, at > now()",
    "joined_groups": "SELECT k.name, g.n FROM kinds k LEFT JOIN (SELECT kind, count(*) AS n, max(at) AS last FROM events "
                     "GROUP BY kind) g ON g.kind = k.kind AND g.last > now() + interval '1 second'",
    "collected_part": "SELECT kind, array_agg(id ORDER BY id) FILTER (WHERE at > now()) AS ids FROM events GROUP BY kind",
    "distinct_kinds": "SELECT DISTINCT kind, at > now() AS ahead FROM events",
    "distinct_on": "SELECT DISTINCT ON (kind) kind, id, at > now() AS ahead FROM events ORDER BY kind, at > now() DESC, id",
    "distinct_count": "SELECT kind, count(DISTINCT day) AS n FROM events WHERE at > now() GROUP BY kind",
    "united": "SELECT kind FROM events WHERE at > now() UNION SELECT kind FROM kinds WHERE kind > 5",
    "united_all": "SELECT id, 1 AS side FROM events WHERE at > now() UNION ALL SELECT kind, 2 FROM kinds",
    "except_recent": "SELECT kind FROM kinds EXCEPT SELECT kind FROM events WHERE at BETWEEN now() - interval '300 ms' AND now()",
    "rollup": "SELECT kind, day, count(*) AS n FROM events WHERE at > now() GROUP BY ROLLUP (kind, day)",
    "next_three": "SELECT id, at FROM events WHERE at > now() ORDER BY at, id LIMIT 3",
    "top_groups": "SELECT kind, count(*) AS n FROM events WHERE at <= now() GROUP BY kind ORDER BY count(*) DESC, kind LIMIT 2",
    "window_marked": "SELECT id, row_number() OVER (PARTITION BY kind ORDER BY at > now(), id) AS place, at > now() AS ahead "
                     "FROM events",
    "window_compared": "SELECT id, lag(at) OVER (PARTITION BY kind ORDER BY id) < now() AS follows FROM events",
    "over_windows": "SELECT id, n FROM (SELECT id, at, row_number() OVER (PARTITION BY kind ORDER BY id) AS n FROM events) w "
                    "WHERE n < 9 AND at > now()",
    "scalar_count": "SELECT name, (SELECT count(*) FROM events WHERE at > now()) AS n FROM kinds",
    "in_recent": "SELECT name FROM kinds WHERE kind IN (SELECT kind FROM events GROUP BY kind HAVING max(at) < now() + interval '3 seconds')",
    "used_twice": "WITH live AS (SELECT kind, count(*) AS n FROM events WHERE at > now() GROUP BY kind) "
                  "SELECT a.kind, b.kind AS other FROM live a JOIN live b ON a.n = b.n AND a.kind < b.kind",
    # the time passed since
    "younger": "SELECT id FROM events WHERE now() - at < interval '1 second'",
    "older": "SELECT id FROM events WHERE interval '500 ms' <= now() - at",
    "time_left": "SELECT id FROM events WHERE at - now() > interval '0'",
    "local_age": "SELECT id FROM events WHERE LOCALTIMESTAMP - at::timestamp >= interval '-1 second'",
    "seconds_old": "SELECT id FROM events WHERE extract(epoch FROM now() - at) < 1",
    "old_style": "SELECT id FROM events WHERE date_part('epoch', now() - at)::int / 60 >= 0",
    "whole_days": "SELECT id FROM events WHERE CURRENT_DATE - day < 90",
    "days_ago": "SELECT id FROM events WHERE CURRENT_DATE - day = 7",
    "days_field": "SELECT id FROM events WHERE extract(day FROM now() - day::timestamptz) > 30",
    "aged": "SELECT id FROM events WHERE age(at) < interval '1 day'",
    "aged_months": "SELECT id FROM events WHERE age(day) > interval '2 mons 10 days'",
    "joined_age": "SELECT k.name, count(*) AS n FROM kinds k JOIN events e USING (kind) WHERE now() - e.at < interval '400 ms' GROUP BY k.name",
    "grouped_age": "SELECT kind FROM events GROUP BY kind HAVING now() - max(at) < interval '-1 s'",
    # ranges
    "during": "SELECT id FROM events WHERE tstzrange(at, at + interval '400 ms') @> now()",
    "during_ends": "SELECT id FROM events WHERE now() <@ tstzrange(at - interval '1 s', at, '[]') OR at IS NULL",
    "during_open": "SELECT id, tsrange(NULL, at::timestamp) @> LOCALTIMESTAMP AS open FROM events",
    "during_days": "SELECT id FROM events WHERE daterange(day, day + 30) @> CURRENT_DATE AND NOT tstzrange(at, at) @> now()",
    # other sides of the clock
    "month_before": "SELECT id FROM events WHERE day > now() - interval '1 month 1 day'",
    "epoch": "SELECT id FROM events WHERE extract(epoch FROM at) > extract(epoch FROM now() - interval '1 second')",
    "epoch_ms": "SELECT id FROM events WHERE ms > (extract(epoch FROM now()) * 1000)::bigint",
    "zone": "SELECT id FROM events WHERE at AT TIME ZONE 'Asia/Kathmandu' > now() AT TIME ZONE 'Asia/Kathmandu' - interval '1 second'",
    "same_second": "SELECT id FROM events WHERE date_trunc('second', at) = date_trunc('second', now())",
    "two_tables": "SELECT e.id FROM kinds k JOIN events e USING (kind) WHERE e.at + k.lasts < now()",
    "constant": "SELECT id FROM kinds k JOIN events e USING (kind) WHERE now() > '2020-01-01' AND k.kind = 3",
    "today_again": "SELECT id, age(CURRENT_DATE, day) > interval '1 month' AS old FROM events",
}
# Where the moment of the next change cannot be looked up, it is looked for with each second.
LOOKED_FOR = {"outer_row": "SELECT k.name FROM kinds k WHERE EXISTS (SELECT FROM events e WHERE e.kind = k.kind AND k.since < now())",
              "same_second_of": "SELECT id FROM events WHERE extract(second FROM at)::int = extract(second FROM now())::int",
              "same_text": "SELECT id FROM events WHERE to_char(at, 'HH24:MI:SS') = to_char(now(), 'HH24:MI:SS')"}
# What is not a comparison with the clock is run anew from time to time.
WHOLE = {"passed": "SELECT id, CURRENT_DATE - day AS days FROM events",
         "recent_rank": "SELECT id, rank() OVER (ORDER BY now() - at) AS place FROM events"}


def wrong(connection, names) -> dict[str, int]:
    return {name: rows for name in names
            if (rows := connection.execute("SELECT freshet.verify(%s::regclass)", (name,)).fetchone()[0])}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("indexed", (True, False))
def test_time_passes(database, indexed):  # noqa: F811
    connection = database()
    connection.execute("CREATE TABLE kinds (kind int, name text, since timestamptz, lasts interval)")
    connection.execute("CREATE TABLE events (id int, kind int, at timestamptz, day date, ms bigint)")
    connection.execute("CREATE VIEW shown_events AS SELECT id, at AS moment FROM events WHERE kind IS NOT NULL")
    if indexed:
        connection.execute("CREATE INDEX ON events (at)")
    connection.execute("INSERT INTO kinds SELECT k, 'kind ' || k, now() + interval '700 ms' * k, interval '200 ms' * k "
                       "FROM generate_series(0, 6) k")
    connection.execute("INSERT INTO events SELECT i, i % 5, now() + interval '97 ms' * (i - 30), CURRENT_DATE - i, "
                       "(extract(epoch FROM now()) * 1000)::bigint + 97 * (i - 30) FROM generate_series(1, 120) i")
    for name, query in (VIEWS | LOOKED_FOR | WHOLE).items():
        connection.execute(f"CREATE MATERIALIZED VIEW {name} AS {query}")
    connection.execute("SELECT count(*) FROM recent")
    kept = dict(connection.execute("SELECT view::text, strategy FROM freshet.views").fetchall())
    assert kept == dict.fromkeys(VIEWS | LOOKED_FOR, "B") | dict.fromkeys(WHOLE, "C"), connection.execute(
        "SELECT view::text, reason FROM freshet.views WHERE strategy <> 'B'").fetchall()

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
            f"CURRENT_DATE - {rng.randint(80, 100)}, (extract(epoch FROM now()) * 1000)::bigint + {rng.randint(-900, 900)})",
            f"UPDATE events SET at = at + interval '31 ms' WHERE id % 11 = {rng.randint(0, 10)}",
            f"UPDATE events SET kind = {rng.randint(0, 6)}, at = NULL WHERE id % 23 = {rng.randint(0, 22)}",
            f"DELETE FROM events WHERE id % 31 = {rng.randint(0, 30)}",
            f"UPDATE kinds SET name = 'named {step}' WHERE kind = {rng.randint(0, 6)}")))
        assert not wrong(connection, VIEWS), step
    assert not wrong(connection, WHOLE)
    deadline = time.monotonic() + 10
    while wrong(connection, LOOKED_FOR) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not wrong(connection, LOOKED_FOR)
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
    connection.execute("CREATE MATERIALIZED VIEW alive AS SELECT id % 7 AS part, max(at) AS last FROM events GROUP BY id % 7 "
                       "HAVING max(at) > now() + interval '6 seconds'")
    connection.execute("CREATE MATERIALIZED VIEW same AS SELECT id FROM events WHERE to_char(at, 'SS') = to_char(now(), 'SS')")
    before = connection.execute("SELECT count(*) FROM ahead").fetchone()[0]
    time.sleep(0.3)
    connection.execute("DELETE FROM events WHERE id % 50 = 0")
    connection.execute("SELECT count(*) FROM same")
    connection.close()
    pg.kill()
    time.sleep(0.5)
    pg.start()
    connection = pg.psycopg()
    connection.execute("SELECT count(*) FROM ahead")
    assert not wrong(connection, ["ahead", "alive"])
    assert connection.execute("SELECT count(*) FROM ahead").fetchone()[0] < before
    deadline = time.monotonic() + 10
    while wrong(connection, ["same"]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not wrong(connection, ["same"])
    assert not connection.execute("SELECT view, error FROM freshet.views WHERE error IS NOT NULL").fetchall()
    connection.close()


@pytest.mark.timeout(60)
def test_a_moment_with_nothing_before_it(database):  # noqa: F811
    """A row that becomes equal to the clock's side, and differs again, is noticed though none is equal to it now."""
    connection = database()
    connection.execute("CREATE TABLE events (id int PRIMARY KEY, at timestamptz)")
    connection.execute("INSERT INTO events VALUES (1, now() + interval '2 s'), (2, now() + interval '4 s')")
    connection.execute("CREATE MATERIALIZED VIEW same_second AS SELECT id FROM events "
                       "WHERE date_trunc('second', at) = date_trunc('second', now())")
    connection.execute("CREATE MATERIALIZED VIEW other_second AS SELECT id FROM events "
                       "WHERE date_trunc('second', at) <> date_trunc('second', now())")
    seen = set()
    deadline = time.monotonic() + 6
    while time.monotonic() < deadline:
        seen.update(connection.execute("SELECT id FROM same_second").fetchall())
        assert not wrong(connection, ["same_second", "other_second"])
        time.sleep(0.05)
    assert seen == {(1,), (2,)}
    connection.close()


@pytest.mark.timeout(60)
def test_readers_after_the_moment_see_it(database):  # noqa: F811
    """Promise 4 holds for time as well: whoever comes after the clock has passed a row does not see it."""
    connection = database()
    connection.execute("CREATE TABLE events (id int PRIMARY KEY, at timestamptz)")
    connection.execute("CREATE INDEX ON events (at)")
    connection.execute("INSERT INTO events SELECT i, now() + interval '11 ms' * i FROM generate_series(1, 400) i")
    connection.execute("CREATE MATERIALIZED VIEW ahead AS SELECT id, at FROM events WHERE at > now()")
    connection.execute("CREATE MATERIALIZED VIEW above AS SELECT count(*) AS n, min(at) AS next FROM ahead")
    connection.execute("SELECT count(*) FROM ahead")
    wrongly = []
    seen = set()
    deadline = time.monotonic() + 4
    while time.monotonic() < deadline:
        before = connection.execute("SELECT clock_timestamp()").fetchone()[0]
        first, left = connection.execute("SELECT min(at), count(*) FROM ahead").fetchone()
        seen.add(left)
        if first is not None and first < before - datetime.timedelta(milliseconds=1):
            wrongly.append((first, before))
        following = connection.execute("SELECT next FROM above").fetchone()[0]
        if following is not None and following < before - datetime.timedelta(milliseconds=1):
            wrongly.append((following, before, "above"))
    assert not wrongly
    assert len(seen) > 5
    assert not wrong(connection, ["ahead", "above"])
    connection.close()


@pytest.mark.timeout(60)
def test_moments_that_are_none(database):  # noqa: F811
    """NULL and infinite moments, timestamps without a zone, and dates."""
    views = {
        "since": "SELECT id FROM moments WHERE at <= now()",
        "until": "SELECT id FROM moments WHERE at > now() - interval '300 ms'",
        "unzoned": "SELECT id FROM moments WHERE wall > LOCALTIMESTAMP",
        "against_zone": "SELECT id FROM moments WHERE wall > now()",
        "today": "SELECT id FROM moments WHERE day = CURRENT_DATE OR day > CURRENT_DATE + 5",
        "finite_age": "SELECT id FROM moments WHERE CASE WHEN isfinite(at) THEN now() - at < interval '500 ms' END",
        "last": "SELECT day, max(at) AS last FROM moments GROUP BY day HAVING max(at) > now() OR max(at) IS NULL",
    }
    connection = database()
    connection.execute("SET TimeZone = 'Asia/Kathmandu'")
    connection.execute("CREATE TABLE moments (id int, at timestamptz, wall timestamp, day date)")
    connection.execute("INSERT INTO moments SELECT i, now() + interval '130 ms' * i, LOCALTIMESTAMP + interval '130 ms' * i, "
                       "CURRENT_DATE + i % 8 FROM generate_series(-5, 25) i")
    connection.execute("INSERT INTO moments VALUES (100, 'infinity', 'infinity', 'infinity'), "
                       "(101, '-infinity', '-infinity', '-infinity'), (102, NULL, NULL, NULL)")
    for name, query in views.items():
        connection.execute(f"CREATE MATERIALIZED VIEW {name} AS {query}")
    # others look at them from other zones
    connection.execute("SET TimeZone = 'America/Caracas'")
    for step in range(12):
        assert not wrong(connection, views), step
        if step % 3 == 2:
            connection.execute("UPDATE moments SET at = now() + interval '200 ms', wall = wall + interval '1 s' WHERE id %% 6 = %s",
                               (step % 6,))
            connection.execute("INSERT INTO moments VALUES (%s, 'infinity', '-infinity', CURRENT_DATE)", (200 + step,))
        time.sleep(0.15)
    assert not connection.execute("SELECT view, error FROM freshet.views WHERE error IS NOT NULL").fetchall()
    connection.close()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("jump", ("back", "ahead"))
def test_time_zone_changes_its_offset(database, jump):  # noqa: F811
    """Summer time ends, or begins, while nobody writes."""
    connection = database()
    moment = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0) + datetime.timedelta(seconds=5)

    def rule(wall: datetime.datetime) -> str:
        return f"J{wall.replace(year=2001).timetuple().tm_yday}/{wall:%H:%M:%S}"

    # standard time is UTC, summer time an hour ahead; the rules tell local time before the change
    far = rule(moment - datetime.timedelta(days=100))
    if jump == "back":
        zone = f"STD0DST-1,{far},{rule(moment + datetime.timedelta(hours=1))}"
    else:
        zone = f"STD0DST-1,{rule(moment)},{far}"
    connection.execute("SELECT set_config('TimeZone', %s, false)", (zone,))
    connection.execute("CREATE TABLE calls (id int PRIMARY KEY, wall timestamp, at timestamptz)")
    connection.execute("CREATE INDEX ON calls (wall)")
    connection.execute("INSERT INTO calls SELECT i, LOCALTIMESTAMP + interval '50 s' * i, now() + interval '1 s' * i "
                       "FROM generate_series(-100, 200) i")
    views = {
        "upcoming": "SELECT id FROM calls WHERE wall > LOCALTIMESTAMP",
        "passed": "SELECT count(*) AS n FROM calls WHERE wall <= LOCALTIMESTAMP - interval '10 minutes'",
        "waited": "SELECT id FROM calls WHERE LOCALTIMESTAMP - wall < interval '20 minutes'",
        "a_day_before": "SELECT id FROM calls WHERE at > now() - interval '1 day' + interval '86400 seconds'",
    }
    for name, query in views.items():
        connection.execute(f"CREATE MATERIALIZED VIEW {name} AS {query}")
    connection.execute("SET TimeZone = 'UTC'")
    before = connection.execute("SELECT count(*) FROM upcoming").fetchone()[0]
    assert datetime.datetime.now(datetime.timezone.utc) < moment
    while datetime.datetime.now(datetime.timezone.utc) < moment + datetime.timedelta(milliseconds=1):
        assert not wrong(connection, views)
        time.sleep(0.2)
    # an hour is 72 rows; the minute this test may take is not more than two
    after = connection.execute("SELECT count(*) FROM upcoming").fetchone()[0]
    assert (after - before if jump == "back" else before - after) in range(70, 75)
    assert not wrong(connection, views)
    connection.close()


@pytest.mark.timeout(60)
def test_subscribers_hear_of_time(database):  # noqa: F811
    """A change that no transaction made reaches those who subscribe to the view."""
    connection = database()
    connection.execute("CREATE TABLE events (id int PRIMARY KEY, at timestamptz)")
    connection.execute("INSERT INTO events SELECT i, now() + interval '4 s' + interval '600 ms' * i FROM generate_series(1, 3) i")
    connection.execute("CREATE MATERIALIZED VIEW ahead AS SELECT id FROM events WHERE at > now()")
    connection.execute("SELECT count(*) FROM ahead")
    connection.execute("SELECT freshet.subscribe('s', 'ahead')")
    heard = []
    deadline = time.monotonic() + 20
    while len(heard) < 6 and time.monotonic() < deadline:
        connection.execute("CALL freshet.wait('s', 500, NULL, NULL, NULL)")
        heard += connection.execute(
            "SELECT mz_diff, id FROM freshet.changes('s') AS (mz_timestamp numeric, mz_diff bigint, id int)").fetchall()
    assert sorted(heard[:3]) == [(1, 1), (1, 2), (1, 3)]
    assert heard[3:] == [(-1, 1), (-1, 2), (-1, 3)]
    connection.close()
