"""SUBSCRIBE in all its forms, through drivers."""

import asyncio
import time
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import psycopg
import pytest
from psycopg.types.range import Range

NOW = "(SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint)"


@pytest.fixture
def t(place):
    place.run("CREATE TABLE t (k int PRIMARY KEY, v text)", "INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    return place


def rows_until(place, query, enough, **options):
    """The rows of a streamed SUBSCRIBE up to the first for which enough(rows) holds."""
    connection = place.psycopg()
    rows = []
    for row in connection.cursor().stream(query, **options):
        rows.append(row)
        if enough(rows):
            break
    assert connection.execute("SELECT 42").fetchone() == (42,), "the session goes on"
    return rows


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("autocommit", [False, True])
def test_stream(t, binary, autocommit):
    connection = t.psycopg(autocommit)
    writer = t.soon("UPDATE t SET v = 'A' WHERE k = 1")
    rows = []
    for row in connection.cursor().stream("SUBSCRIBE t", binary=binary):
        rows.append(row)
        if len(rows) == 4:
            break
    writer.join()
    assert sorted(row[1:] for row in rows[:2]) == [(1, 1, "a"), (1, 2, "b")]
    assert sorted(row[1:] for row in rows[2:]) == [(-1, 1, "a"), (1, 1, "A")]
    assert all(isinstance(row[0], Decimal) for row in rows)
    assert rows[0][0] == rows[1][0] < rows[2][0] == rows[3][0]
    connection.rollback()
    assert connection.execute("SELECT 42").fetchone() == (42,)


def test_columns(t):
    connection = t.psycopg()
    for query, names in {
        "SUBSCRIBE t": "mz_timestamp mz_diff k v",
        "SUBSCRIBE t WITH (PROGRESS)": "mz_timestamp mz_progressed mz_diff k v",
        "SUBSCRIBE t ENVELOPE UPSERT (KEY (v))": "mz_timestamp mz_state v k",
        "SUBSCRIBE t ENVELOPE UPSERT (KEY (v)) WITH (PROGRESS)": "mz_timestamp mz_progressed mz_state v k",
        "SUBSCRIBE t ENVELOPE DEBEZIUM (KEY (k))": "mz_timestamp mz_state k before_v after_v",
        "SUBSCRIBE (SELECT 1 AS a, 2 AS b, 3 AS c) ENVELOPE DEBEZIUM (KEY (c, b))":
            "mz_timestamp mz_state c b before_a after_a",
        "SUBSCRIBE t WITHIN TIMESTAMP ORDER BY mz_diff": "mz_timestamp mz_diff k v",
    }.items():
        cursor = connection.cursor()
        for _ in cursor.stream(query):
            break
        assert [column.name for column in cursor.description] == names.split(), query
        assert cursor.description[0].type_code == 1700


@pytest.mark.parametrize("kind", ["VIEW", "MATERIALIZED VIEW"])
def test_views(t, kind):
    t.run(f"CREATE {kind} w AS SELECT count(*) AS n FROM t")
    writer = t.soon("INSERT INTO t VALUES (3, 'c')")
    rows = rows_until(t, "SUBSCRIBE w", lambda rows: len(rows) == 3)
    writer.join()
    assert sorted(row[1:] for row in rows[1:]) == [(-1, 2), (1, 3)] and rows[0][1:] == (1, 2)


def test_query_with_parameters(t):
    connection = t.psycopg()
    query = f"SUBSCRIBE (SELECT v FROM t WHERE k = %s AND v <> %s) UP TO {NOW} + 3000"
    assert [row[1:] for row in connection.cursor().stream(query, (2, "it's"))] == [(1, "b")]


def soon(seconds=0.3):
    return int((time.time() + seconds) * 1000)


MOMENTS = {
    "int8": soon,
    "numeric": lambda: Decimal(soon()),
    "float8": lambda: float(soon()),
    "text": lambda: str(soon()),
    "timestamptz": lambda: datetime.fromtimestamp(soon() / 1000, timezone.utc),
    "text of a timestamptz": lambda: datetime.fromtimestamp(soon() / 1000, timezone.utc).isoformat(),
}


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("kind", MOMENTS)
def test_times_as_parameters(t, kind, binary):
    cursor = t.psycopg().cursor()
    place = "%b" if binary else "%s"
    query = f"SUBSCRIBE t AS OF AT LEAST {place} UP TO {place}"
    assert len(cursor.execute(query, (1, MOMENTS[kind]())).fetchall()) == 2
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="UP TO 5 is in the past"):
        cursor.execute(f"SUBSCRIBE t UP TO {place}", (5,))
    later = f"SUBSCRIBE t UP TO mz_now() + {place}::interval"
    assert len(cursor.execute(later, (timedelta(milliseconds=100),)).fetchall()) == 2


def test_times_whose_type_is_asked_for(t):
    """A driver that asks is told numeric, as mz_timestamp is; others cast."""
    async def run():
        connection = await t.asyncpg()
        for cast, kind in (("", "int8"), ("", "numeric"), ("::int8", "int8"), ("::text", "text"),
                           ("::timestamptz", "timestamptz")):
            assert len(await connection.fetch(f"SUBSCRIBE t UP TO $1{cast}", MOMENTS[kind]())) == 2
        await connection.close()

    asyncio.run(run())


@pytest.mark.parametrize("binary", [False, True])
def test_parameters_of_every_type(t, binary):
    values = [1.1, -0.0, float("nan"), "it's \\ \n ä", True, date(2026, 2, 3), timedelta(1, 2, 3), UUID(int=5), [1, None, 3],
              ["a,b", 'c"d'], b"\0\xff'", Decimal("1.50"), datetime(2026, 1, 2, 3, 4, 5, 6), Range(1, 5), 2 ** 40]
    place = "%b" if binary else "%s"
    casts = {9: "::text[]", 13: "::int4range", 14: "::int8"}
    columns = ", ".join(f"{place}{casts.get(i, '')} AS c{i}" for i in range(len(values)))
    with t.psycopg() as connection:
        connection.execute("SET bytea_output = 'escape'")
        query = f"SUBSCRIBE (SELECT {columns} FROM t WHERE k = 1) UP TO {NOW} + 500"
        found = connection.cursor(binary=binary).execute(query, values).fetchone()[2:]
        assert repr(list(found)) == repr(values)


def test_cursors_with_parameters(t):
    async def run():
        connection = await t.asyncpg()
        async with connection.transaction():
            await connection.fetch("DECLARE c CURSOR FOR SUBSCRIBE (SELECT * FROM t WHERE k > $1 AND v <> $2)", 1, "x")
            rows = await connection.fetch("FETCH ALL c WITH (TIMEOUT $1)", timedelta(milliseconds=50))
            assert [row["k"] for row in rows] == [2]
        assert [row["name"] for row in await connection.fetch("SHOW TABLES WHERE name = $1", "t")] == ["t"]
        await connection.close()

    asyncio.run(run())
    connection = t.psycopg(autocommit=False)
    for timeout in ("50ms", 0.05, Decimal("0.05"), timedelta(milliseconds=50), 0):
        for place in ("%s", "%b"):
            connection.execute(f"DECLARE c CURSOR FOR SUBSCRIBE (SELECT * FROM t WHERE v <> {place})", ("b",))
            assert len(connection.execute(f"FETCH ALL c WITH (TIMEOUT {place})", (timeout,)).fetchall()) == 1
            connection.rollback()
    with t.psycopg().cursor().copy("COPY (SUBSCRIBE (SELECT v FROM t WHERE k = %s) UP TO %s) TO STDOUT",
                                   (2, soon())) as copy:
        assert [row[2] for row in copy.rows()] == ["b"]


def test_up_to_ends_it(t):
    connection = t.psycopg()
    writer = t.soon("INSERT INTO t VALUES (3, 'c')")
    begun = time.monotonic()
    cursor = connection.execute(f"SUBSCRIBE t UP TO {NOW} + 3000")
    writer.join()
    assert sorted(row[1:] for row in cursor) == [(1, 1, "a"), (1, 2, "b"), (1, 3, "c")]
    assert cursor.statusmessage == "SUBSCRIBE 3"
    assert 2 < time.monotonic() - begun < 15
    # and by the extended protocol, where Describe came first
    cursor = connection.execute(f"SUBSCRIBE t UP TO {NOW} + 2000", prepare=True, binary=True)
    assert len(cursor.fetchall()) == 3


def test_no_snapshot(t):
    writer = t.soon("DELETE FROM t WHERE k = 2")
    rows = rows_until(t, "SUBSCRIBE t WITH (SNAPSHOT = false)", lambda rows: True)
    writer.join()
    assert [row[1:] for row in rows] == [(-1, 2, "b")]


def test_progress(t):
    writer = t.soon("INSERT INTO t VALUES (3, 'c')")
    rows = rows_until(t, "SUBSCRIBE t WITH (PROGRESS)",
                      lambda rows: rows[-1][1] and len(rows) > 4)
    writer.join()
    assert rows[0][1] is True and rows[0][2:] == (None, None, None), "a progress row comes first"
    assert rows[1][0] >= rows[0][0]
    seen = 0
    for time_, progressed, *rest in rows:
        assert time_ >= seen, "no row below a promised time"
        if progressed:
            assert rest == [None, None, None]
            seen = time_
    assert (1, 3, "c") in [row[2:] for row in rows]
    assert rows[-1][0] > [row for row in rows if row[3] == 3][0][0], "its time is complete"


def test_upsert(t):
    query = "SUBSCRIBE t ENVELOPE UPSERT (KEY (k))"
    connection = t.psycopg(autocommit=False)
    connection.execute(f"DECLARE c CURSOR FOR {query}")
    assert sorted(row[1:] for row in connection.execute("FETCH ALL c")) == [
        ("upsert", 1, "a"), ("upsert", 2, "b")]
    t.run("BEGIN; UPDATE t SET v = 'A' WHERE k = 1; DELETE FROM t WHERE k = 2; INSERT INTO t VALUES (3, 'c');"
          "COMMIT")
    rows = connection.execute("FETCH ALL c").fetchall()
    assert sorted(row[1:] for row in rows) == [("delete", 2, None), ("upsert", 1, "A"), ("upsert", 3, "c")]
    assert len({row[0] for row in rows}) == 1
    t.run("DELETE FROM t")
    connection.execute("FETCH ALL c")
    connection.execute("CLOSE c")
    connection.execute("DECLARE d CURSOR FOR SUBSCRIBE (VALUES (1, 'x'), (1, 'y'), (2, 'z'))"
                       " ENVELOPE UPSERT (KEY (column1))")
    assert sorted(row[1:] for row in connection.execute("FETCH ALL d")) == [
        ("key_violation", 1, None), ("upsert", 2, "z")]


def test_debezium(t):
    connection = t.psycopg(autocommit=False)
    connection.execute("DECLARE c CURSOR FOR SUBSCRIBE t ENVELOPE DEBEZIUM (KEY (k))")
    assert sorted(row[1:] for row in connection.execute("FETCH ALL c")) == [
        ("insert", 1, None, "a"), ("insert", 2, None, "b")]
    t.run("BEGIN; UPDATE t SET v = 'A' WHERE k = 1; DELETE FROM t WHERE k = 2; INSERT INTO t VALUES (3, 'c');"
          "COMMIT")
    assert sorted(row[1:] for row in connection.execute("FETCH ALL c")) == [
        ("delete", 2, "b", None), ("insert", 3, None, "c"), ("upsert", 1, "a", "A")]


def test_within_timestamp_order_by(t):
    t.run("INSERT INTO t SELECT i, 'x' || (i * 7 % 20) FROM generate_series(3, 22) i")
    rows = rows_until(t, "SUBSCRIBE t WITHIN TIMESTAMP ORDER BY length(v) DESC, v",
                      lambda rows: len(rows) == 22)
    values = [row[3] for row in rows]
    assert values == sorted(values, key=lambda v: (-len(v), v))


def test_array_columns_in_envelopes(place):
    place.run("CREATE TABLE a (k int PRIMARY KEY, v int[])", "INSERT INTO a VALUES (1, '{1,2}'), (2, '{}')")
    rows = rows_until(place, "SUBSCRIBE a ENVELOPE UPSERT (KEY (k))", lambda rows: len(rows) == 2)
    assert sorted(row[2:] for row in rows) == [(1, [1, 2]), (2, [])]


def test_same_name_twice(place):
    rows = rows_until(place, "SUBSCRIBE (SELECT 1 AS a, 'x' AS a, 2 AS \"A b\")", lambda rows: True)
    assert rows[0][1:] == (1, 1, "x", 2)


@pytest.mark.parametrize("query, state, text", [
    ("SUBSCRIBE nothing", "42P01", "nothing"),
    ("SUBSCRIBE (SELECT * FROM nothing)", "42P01", "nothing"),
    ("SUBSCRIBE (SELECT 1/)", "42601", ""),
    ("SUBSCRIBE", "42601", "end of input"),
    ("SUBSCRIBE t WITH (SNAPSHOT = 7)", "22023", "snapshot"),
    ("SUBSCRIBE t WITH (NOPE)", "42601", "nope"),
    ("SUBSCRIBE t ENVELOPE UPSERT (KEY (nope))", "42703", "nope"),
    ("SUBSCRIBE t ENVELOPE UPSERT (KEY (k)) WITHIN TIMESTAMP ORDER BY k", "42601", "multiple"),
    ("SUBSCRIBE t AS OF 5 UP TO 3", None, ""),
    ("SUBSCRIBE t AS OF 1000", None, ""),
    ("DECLARE c CURSOR FOR SUBSCRIBE t", "25P01", "transaction blocks"),
    ("FETCH ALL c WITH (TIMEOUT = '1s')", "34000", 'cursor "c" does not exist'),
])
@pytest.mark.parametrize("prepare", [False, True])
def test_errors(t, query, state, text, prepare):
    connection = t.psycopg()
    with pytest.raises(psycopg.Error) as raised:
        connection.execute(query, prepare=prepare)
    if state:
        assert raised.value.sqlstate == state, raised.value
    assert text in str(raised.value)
    assert connection.execute("SELECT 42").fetchone() == (42,)
    # in a block the error ends the block, as everywhere in PostgreSQL
    block = t.psycopg(autocommit=False)
    block.execute("SELECT 1")
    if state != "25P01":
        with pytest.raises(psycopg.Error):
            block.execute(query, prepare=prepare)
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            block.execute("SELECT 1")


def test_error_position(t):
    with pytest.raises(psycopg.errors.SyntaxError) as raised:
        t.psycopg().execute("SELECT 'ä'; SUBSCRIBE t nonsense")
    assert raised.value.diag.statement_position == str(len("SELECT 'ä'; SUBSCRIBE t ") + 1)


def test_repeatable_read_is_refused(t):
    connection = t.psycopg(autocommit=False)
    connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="repeatable read"):
        connection.execute("DECLARE c CURSOR FOR SUBSCRIBE t")


def test_subscriber_needs_select(t):
    t.run("DROP ROLE IF EXISTS subscriber", "CREATE ROLE subscriber",
          f"GRANT USAGE ON SCHEMA {t.schema} TO subscriber")
    connection = t.psycopg()
    connection.execute("SET ROLE subscriber")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("SUBSCRIBE t")
    connection.execute("RESET ROLE")
    connection.execute(f"DROP OWNED BY subscriber; DROP ROLE subscriber")


def test_idle_holds_no_snapshot(t):
    connection = t.psycopg()
    pid = connection.info.backend_pid
    stream = connection.cursor().stream("SUBSCRIBE t")
    next(stream), next(stream)
    t.wait_for(f"SELECT backend_xmin IS NULL AND state = 'active' FROM pg_stat_activity WHERE pid = {pid}", True)
    assert t.value(f"SELECT count(*) FROM pg_locks WHERE pid = {pid} AND locktype = 'relation'"
                   " AND relation = 't'::regclass") == 0
    stream.close()


def test_cancel(t):
    for autocommit in (True, False):
        connection = t.psycopg(autocommit)
        stream = connection.cursor().stream("SUBSCRIBE t")
        next(stream), next(stream)
        connection.cancel_safe()
        with pytest.raises(psycopg.errors.QueryCanceled):
            next(stream)
        connection.rollback()
        assert connection.execute("SELECT 42").fetchone() == (42,)


def test_vanished_client(t):
    connection = t.psycopg()
    pid = connection.info.backend_pid
    stream = connection.cursor().stream("SUBSCRIBE t")
    next(stream)
    connection.pgconn.finish()
    t.wait_for(f"SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}", 0, seconds=2)


@pytest.mark.parametrize("target, ddl, message", [
    ("t", "DROP TABLE t CASCADE", 'relation "t" was dropped'),
    ("m", "DROP MATERIALIZED VIEW m", 'relation "m" was dropped'),
    ("v", "DROP TABLE t CASCADE", 'relation "(v|t)" was dropped'),
    ("(SELECT v FROM t)", "DROP TABLE t CASCADE", 'relation "t" was dropped'),
    ("t", "ALTER TABLE t ALTER k TYPE bigint", 'column "k" of relation "t" was altered'),
    ("v", "CREATE OR REPLACE VIEW v AS SELECT k, v FROM t WHERE k > 5", 'the definition of relation "v" has changed\n.*"v" was altered'),
    ("(SELECT * FROM t)", "ALTER TABLE t ADD w int", 'the definition of the query has changed\n.*"t" was altered'),
])
def test_dropped_or_altered_target(t, target, ddl, message):
    t.run("CREATE VIEW v AS SELECT k, v FROM t", "CREATE MATERIALIZED VIEW m AS SELECT k, v FROM t")
    stream = t.psycopg().cursor().stream(f"SUBSCRIBE {target}")
    next(stream), next(stream)
    if ddl.startswith("ALTER TABLE t ALTER"):
        t.run("DROP VIEW v", "DROP MATERIALIZED VIEW m")
    altering = t.soon(ddl, *([] if ddl.startswith("DROP") else ["INSERT INTO t VALUES (9, 'x')"]))
    with pytest.raises(psycopg.Error, match=message):
        next(stream)
    altering.join()


def test_a_mistyped_name_is_placed(t):
    for statement in ("SUBSCRIBE nosuch", "SUBSCRIBE TO nowhere.t", "COPY (SUBSCRIBE nosuch) TO STDOUT",
                      "DECLARE c CURSOR FOR /* ä */ SUBSCRIBE nosuch"):
        for prepare in (False, True):
            connection = t.psycopg(autocommit=False)
            with pytest.raises(psycopg.Error) as raised:
                connection.execute(statement, prepare=prepare)
            assert raised.value.diag.statement_position == str(statement.index("no") + 1), statement


def log_of(t, pid):
    """What PostgreSQL has logged of a session, up to now."""
    mark = f"of {pid} until {time.monotonic()}"
    t.run(f"DO $$BEGIN RAISE LOG '{mark}'; END$$")
    deadline = time.monotonic() + 10
    while True:
        lines = [line for file in sorted((t.server.data / "log").glob("postgresql-*.log")) for line in file.read_text().splitlines()]
        if any(mark in line for line in lines):
            return [line for line in lines if f" [{pid}] " in line]
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("statement, block", [("SUBSCRIBE t", False), ("COPY (SUBSCRIBE t) TO STDOUT", False),
                                              ("FETCH ALL c", True)])
def test_a_client_that_leaves_costs_one_line(t, statement, block):
    connection = t.psycopg()
    pid = connection.info.backend_pid
    if block:
        connection.execute("BEGIN; DECLARE c CURSOR FOR SUBSCRIBE t; FETCH ALL c")
    connection.pgconn.send_query(statement.encode())
    t.wait_for("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'Extension' AND query LIKE 'CALL freshet.wait%%'"
               f" AND pid = {pid}", 1)
    connection.pgconn.finish()
    t.wait_for(f"SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}", 0, seconds=2)
    lines = log_of(t, pid)
    assert len(lines) == 1 and "connection to client lost" in lines[0], lines


def test_what_was_not_made_is_not_cleared_away(t):
    connection = t.psycopg()
    with pytest.raises(psycopg.Error):
        connection.execute("SUBSCRIBE nosuch")
    assert sum("ERROR" in line for line in log_of(t, connection.info.backend_pid)) == 1


def test_every_door(t):
    rows = []
    for row in t.psycopg(door="postgres").cursor().stream("SUBSCRIBE t"):
        rows.append(row)
        if len(rows) == 2:
            break
    assert sorted(row[2] for row in rows) == [1, 2]


def test_several_statements(t):
    """PostgreSQL's rules: one transaction, undone by an error."""
    connection = t.psycopg()
    with pytest.raises(psycopg.errors.DivisionByZero):
        connection.execute(f"INSERT INTO t VALUES (7, 'x'); SUBSCRIBE t UP TO {NOW} + 2000; SELECT 1/0")
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (2,)
    with pytest.raises(psycopg.Error, match="is in the past"):
        connection.execute("INSERT INTO t VALUES (7, 'x'); SUBSCRIBE t UP TO 1")
    assert connection.info.transaction_status == 0, "the block of our own is rolled back"
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (2,)
    cursor = connection.execute("INSERT INTO t VALUES (7, 'x'); DECLARE c CURSOR FOR SUBSCRIBE t;"
                                " FETCH 1 c; SELECT 'end'")
    results = [cursor.statusmessage]
    while cursor.nextset():
        results.append(cursor.statusmessage)
    assert results == ["INSERT 0 1", "DECLARE CURSOR", "FETCH 1", "SELECT 1"]
    assert connection.info.transaction_status == 0
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (3,)
    cursor = connection.execute("BEGIN; DECLARE c CURSOR FOR SUBSCRIBE t")
    assert connection.info.transaction_status == 2, "the block is the client's"
    assert len(connection.execute("FETCH ALL c").fetchall()) == 3
    connection.execute("COMMIT")


def test_in_a_transaction_that_has_written(t):
    """The worker takes the table up while its writer, who is the subscriber, still runs: sooner or later than it asks."""
    connection = t.psycopg()
    for number in range(60):
        connection.execute(f"BEGIN; INSERT INTO t VALUES ({number + 10}, 'x'); DECLARE c CURSOR FOR SUBSCRIBE t")
        assert len(connection.execute("FETCH ALL c").fetchall()) == 2
        connection.execute("ROLLBACK")


def test_statement_timeout_is_not_for_waiting(t):
    connection = t.psycopg()
    connection.execute("SET statement_timeout = '2s'")
    writer = t.soon("SELECT pg_sleep(2.5)", "INSERT INTO t VALUES (3, 'c')")
    rows = []
    for row in connection.cursor().stream("SUBSCRIBE t"):
        rows.append(row)
        if len(rows) == 3:
            break
    writer.join()
    assert rows[2][1:] == (1, 3, "c")


@pytest.mark.parametrize("statement", [
    "SUBSCRIBE (SELECT nonsense FROM placed)",
    "/* é */ DECLARE c CURSOR FOR SUBSCRIBE  ( SELECT 'é', nonsense FROM placed) WITH (SNAPSHOT = false)",
    "COPY (SUBSCRIBE (SELECT 1 FROM placed WHERE nonsense)) TO STDOUT",
])
def test_an_error_in_its_query_is_placed_in_the_clients_text(freshet, statement):
    with freshet.psycopg(autocommit=False) as connection:
        connection.execute("CREATE TEMP TABLE placed (a int)")
        connection.commit()
        with pytest.raises(psycopg.errors.UndefinedColumn) as raised:
            connection.execute(statement)
        assert raised.value.diag.statement_position == str(statement.index("nonsense") + 1)
        connection.rollback()
