"""The extended protocol, as drivers send it and as none does."""

import asyncio
import os
import signal
import struct
import threading
import time

import asyncpg
import pytest
from server.wire import FLUSH, SYNC, Wire, bind, cancel, execute, fields, message, parse, query


def describe(kind, name=""):
    return message("D", kind.encode() + name.encode() + b"\0")


def close(kind, name=""):
    return message("C", kind.encode() + name.encode() + b"\0")


def kinds(messages):
    return "".join(kind for kind, _ in messages if kind not in "SN")


@pytest.fixture
def t(place):
    place.run("CREATE TABLE t (k int PRIMARY KEY, v text)",
              "INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 5) i")
    return place


@pytest.fixture
def wire(t):
    with Wire(t.server.ports["materialize"]) as wire:
        wire.log_in(options=f"-csearch_path={t.schema}", application_name="wire")
        yield wire


def test_row_limit_behind_begin_in_one_flight(t, wire):
    """pgjdbc with a fetch size."""
    wire.send(parse("BEGIN"), bind(), execute(), parse("SUBSCRIBE t"), bind("C_1"), describe("P", "C_1"),
              execute("C_1", 2), SYNC)
    assert kinds(wire.until("Z")) == "12C12TDDsZ"
    wire.send(execute("C_1", 2), SYNC)
    assert kinds(wire.until("Z")) == "DDsZ"
    # the last of the snapshot does not fill it: it waits for one more
    wire.send(execute("C_1", 2), SYNC)
    assert wire.receive()[0] == "D"
    t.run("INSERT INTO t VALUES (6, 'six'), (7, 'seven')")
    assert kinds(wire.until("Z")) == "DsZ"
    wire.send(execute("C_1", 1), close("P", "C_1"), SYNC)
    assert kinds(wire.until("Z")) == "Ds3Z"
    wire.send(query("COMMIT"))
    assert wire.until("Z")[-1][1] == b"I"


def test_flush_without_sync(t, wire):
    """pg-cursor of node-postgres."""
    wire.send(parse("SUBSCRIBE t"), bind("C_1"), describe("P", "C_1"), FLUSH)
    assert kinds(wire.until("T")) == "12T"
    for _ in range(2):
        wire.send(execute("C_1", 2), FLUSH)
        assert kinds(wire.until("s")) == "DDs"
    wire.send(execute("C_1", 3), FLUSH)
    t.run("INSERT INTO t VALUES (6, 'x')", "INSERT INTO t VALUES (7, 'y')", "INSERT INTO t VALUES (8, 'z')")
    assert kinds(wire.until("s")) == "DDDs"
    wire.send(close("P", "C_1"), SYNC)
    assert kinds(wire.until("Z")) == "3Z"
    wire.send(query("SELECT 1"))
    assert kinds(wire.until("Z")) == "TDCZ"


def waits(t):
    t.wait_for("SELECT wait_event FROM pg_stat_activity WHERE application_name = 'wire'", "Extension")


def test_closing_a_portal_ends_its_wait(t, wire):
    """pg-cursor, when pg-query-stream is destroyed: it has asked for the next row and closes the portal."""
    wire.send(parse("SUBSCRIBE t"), bind("C_1"), execute("C_1", 5), FLUSH)
    assert kinds(wire.until("s")) == "12DDDDDs"
    wire.send(execute("C_1", 1), FLUSH)
    waits(t)
    wire.send(close("P", "C_1"), SYNC)
    assert kinds(wire.until("Z")) == "s3Z"
    assert t.value("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'wire' AND state = 'idle'") == 1


@pytest.mark.parametrize("limit, answer", [(1, "Ds3Z"), (5, "DDDDDs3Z"), (9, "DDDDDs3Z")])
def test_closing_a_portal_in_its_own_flight(t, wire, limit, answer):
    """What is there comes; nothing is waited for."""
    for block in (False, True):
        if block:
            wire.send(query("BEGIN"))
            wire.until("Z")
        wire.send(parse("SUBSCRIBE t"), bind("C_1"), execute("C_1", limit), FLUSH, close("P", "C_1"), SYNC)
        assert kinds(wire.until("Z")) == "12" + answer
    wire.send(query("COMMIT"))
    assert kinds(wire.until("Z")) == "CZ"


@pytest.mark.parametrize("options", ["WITH (SNAPSHOT = false)", "AS OF 99999999999999"])
def test_closing_a_portal_that_has_nothing_to_give(t, wire, options):
    wire.send(parse(f"SUBSCRIBE t {options}"), bind("C_1"), execute("C_1", 1), FLUSH, close("P", "C_1"), SYNC)
    assert kinds(wire.until("Z")) == "12s3Z"


def test_closing_a_portal_in_a_block(t, wire):
    """There it takes a moment, as a cancel would fail the block."""
    wire.send(query("BEGIN"), parse("SUBSCRIBE t"), bind("C_1"), execute("C_1", 5), FLUSH)
    assert kinds(wire.until("s")) == "CZ12DDDDDs"
    wire.send(execute("C_1", 1), FLUSH)
    waits(t)
    wire.send(close("P", "C_1"), SYNC)
    assert kinds(wire.until("Z")) == "s3Z"
    wire.send(query("COMMIT"))
    assert kinds(wire.until("Z")) == "CZ"


def test_closing_the_unnamed_portal_waits(t, wire):
    """Some clients close it in the flight of their Execute, and want its rows all the same."""
    wire.send(parse("SUBSCRIBE t"), bind(), execute("", 6), FLUSH)
    assert kinds(wire.until("D")) == "12D"
    wire.send(close("P"), SYNC)
    t.soon("INSERT INTO t VALUES (6, 'six')")
    assert kinds(wire.until("Z")) == "DDDDDs3Z"


def test_portal_ends_with_sync_outside_a_block(t, wire):
    wire.send(parse("SUBSCRIBE t", "s"), bind("p", "s"), execute("p", 2), SYNC)
    assert kinds(wire.until("Z")) == "12DDsZ"
    wire.send(execute("p", 2), SYNC)
    assert kinds(wire.until("Z")) == "EZ"
    # the statement is still there
    wire.send(describe("S", "s"), bind("", "s"), execute("", 5), SYNC)
    assert kinds(wire.until("Z")) == "tT2DDDDDsZ"
    t.wait_for("SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'", 0)


def test_prepared_once_used_often(wire):
    wire.send(parse("SUBSCRIBE t", "s"), describe("S", "s"), FLUSH)
    assert kinds(wire.until("T")) == "1tT"
    for _ in range(3):
        wire.send(bind("", "s"), execute("", 5), SYNC)
        assert kinds(wire.until("Z")) == "2DDDDDsZ"
    wire.send(close("S", "s"), SYNC)
    assert kinds(wire.until("Z")) == "3Z"
    wire.send(bind("", "s"), SYNC)
    assert kinds(wire.until("Z")) == "EZ"
    wire.send(query("SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'freshet changes%'"))
    assert [body[6:] for kind, body in wire.until("Z") if kind == "D"] == [b"0"]


def test_error_before_execute(wire):
    wire.send(parse("SELECT 1/0"), bind(), execute(), parse("SUBSCRIBE t"), bind(), execute(), SYNC)
    assert kinds(wire.until("Z")) == "1EZ"
    wire.send(parse("SUBSCRIBE nothing"), bind(), execute(), parse("SELECT 1"), SYNC)
    messages = wire.until("Z")
    assert kinds(messages) == "EZ" and fields(messages[0][1])["C"] == "42P01"


def test_unnamed_statement_is_replaced(wire):
    wire.send(parse("SUBSCRIBE t"), parse("SELECT 7"), bind(), execute(), SYNC)
    assert kinds(wire.until("Z")) == "112DCZ"


def test_describe_a_cursor_by_name(wire):
    wire.send(query("BEGIN"))
    wire.until("Z")
    wire.send(parse("DECLARE c CURSOR FOR SUBSCRIBE t"), bind(), describe("P"), execute(), SYNC)
    assert kinds(wire.until("Z")) == "12nCZ"
    wire.send(describe("P", "c"), SYNC)
    messages = wire.until("Z")
    assert kinds(messages) == "TZ" and b"mz_timestamp\0" in messages[0][1]
    wire.send(parse("FETCH 1 c"), bind(), describe("P"), execute(), SYNC)
    assert kinds(wire.until("Z")) == "12TDCZ"


def test_keyed_envelope_is_described(wire):
    wire.send(parse("SUBSCRIBE t ENVELOPE DEBEZIUM (KEY (k))", "s"), describe("S", "s"), SYNC)
    messages = wire.until("Z")
    assert kinds(messages) == "1tTZ"
    assert [name in messages[2][1] for name in (b"mz_state\0", b"before_v\0", b"after_v\0")] == [True] * 3
    wire.send(parse("SUBSCRIBE t ENVELOPE UPSERT (KEY (nope))"), SYNC)
    messages = wire.until("Z")
    assert kinds(messages) == "EZ" and fields(messages[0][1])["C"] == "42703"


def test_waits_between_messages_of_a_stream(t, wire):
    """Each change leaves at once."""
    wire.send(query("SUBSCRIBE t WITH (SNAPSHOT = false)"))
    wire.until("T")
    for i in range(10, 15):
        begun = time.monotonic()
        t.run(f"INSERT INTO t VALUES ({i}, 'x')")
        wire.until("D")
        assert time.monotonic() - begun < 1


def test_slow_client_costs_bounded_memory(t):
    """While nobody reads, the server holds no more than its buffers; afterwards nothing is missing."""
    with Wire(t.server.ports["materialize"]) as wire:
        wire.log_in(options=f"-csearch_path={t.schema}")
        wire.send(query("SUBSCRIBE t"))
        wire.until("T")
        memory = resident(t)
        for batch in range(6):
            t.run(f"INSERT INTO t SELECT i, repeat('x', 500) FROM generate_series({100 + batch * 10000},"
                  f" {99 + (batch + 1) * 10000}) i")
        assert resident(t) - memory < 16 * 1024 * 1024
        rows = 0
        while rows < 5 + 60000:
            rows += wire.receive()[0] == "D"


def resident(place) -> int:
    with open(f"/proc/{place.server.process.pid}/statm") as statm:
        return int(statm.read().split()[1]) * 4096


def test_cancel_while_the_client_does_not_read(t):
    with Wire(t.server.ports["materialize"]) as wire, Wire(t.server.ports["materialize"]) as other:
        key = wire.log_in(options=f"-csearch_path={t.schema}")
        t.run("INSERT INTO t SELECT i, repeat('x', 500) FROM generate_series(100, 60000) i")
        wire.send(query("SUBSCRIBE t"))
        wire.until("T")
        time.sleep(0.5)
        other.send(cancel(key["pid"], key["key"]))
        assert other.at_end()
        messages = wire.until("Z")
        assert kinds(messages[-2:]) == "EZ" and fields(messages[-2][1])["C"] == "57014"
        wire.send(query("SELECT 1"))
        assert kinds(wire.until("Z")) == "TDCZ"


def test_asyncpg(t):
    async def run():
        connection = await t.asyncpg()
        async with connection.transaction():
            rows = []
            async for row in connection.cursor("SUBSCRIBE t", prefetch=5):
                rows.append(row)
                if len(rows) == 5:
                    break
            assert sorted(row["k"] for row in rows) == [1, 2, 3, 4, 5]
            assert {row["mz_diff"] for row in rows} == {1}
        with pytest.raises((asyncio.TimeoutError, TimeoutError)):
            await connection.fetch("SUBSCRIBE t", timeout=0.5)
        assert await connection.fetchval("SELECT 42") == 42
        async with connection.transaction():
            cursor = await connection.cursor("SUBSCRIBE (SELECT * FROM t WHERE k = $1 AND v = $2)", 3, "v3")
            assert (await cursor.fetchrow())["v"] == "v3"
        await connection.execute("BEGIN; DECLARE c CURSOR FOR SUBSCRIBE t")
        assert len(await connection.fetch("FETCH ALL c")) == 5
        await connection.execute("COMMIT")
        with pytest.raises(asyncpg.PostgresError):
            await connection.fetch("SUBSCRIBE nothing")
        await connection.close()

    asyncio.run(run())


def test_names_of_statements(wire):
    """A name means what was last parsed under it with success."""
    wire.send(parse("SUBSCRIBE nothing", "s"), SYNC)
    assert kinds(wire.until("Z")) == "EZ"
    wire.send(parse("SELECT 7", "s"), bind("", "s"), execute(), SYNC)
    assert kinds(wire.until("Z")) == "12DCZ"
    wire.send(parse("SUBSCRIBE t", "s"), SYNC)
    messages = wire.until("Z")
    assert kinds(messages) == "EZ" and fields(messages[0][1])["C"] == "42P05"
    wire.send(bind("", "s"), execute(), SYNC)
    assert kinds(wire.until("Z")) == "2DCZ"
    wire.send(parse("SUBSCRIBE t", "u"), SYNC, query("DEALLOCATE ALL"))
    assert kinds(wire.until("Z")) + kinds(wire.until("Z")) == "1ZCZ"
    wire.send(parse("SELECT 7", "u"), bind("", "u"), execute(), SYNC)
    assert kinds(wire.until("Z")) == "12DCZ"


def test_a_late_cancel_hits_nothing_else(t):
    """PostgreSQL acts on a cancel only after the statement has ended for another reason."""
    admin = t.psycopg()
    postmaster = t.server.postmaster_pid()
    with Wire(t.server.ports["materialize"]) as wire:
        key = wire.log_in(options=f"-csearch_path={t.schema}")
        wire.send(query("SUBSCRIBE t"))
        wire.until("D")
        os.kill(postmaster, signal.SIGSTOP)
        try:
            with Wire(t.server.ports["materialize"]) as other:
                other.send(cancel(key["pid"], key["key"]))
                assert other.at_end()
                wire.send(query("SELECT pg_sleep(1)"))
                admin.execute("SELECT pg_cancel_backend(%s)", (key["pid"],))
                time.sleep(0.5)
                os.kill(postmaster, signal.SIGCONT)
                messages = wire.until("Z")
                assert kinds(messages[-2:]) == "EZ" and fields(messages[-2][1])["C"] == "57014"
                assert kinds(wire.until("Z")) == "TDCZ", "the next statement is not hit"
        finally:
            os.kill(postmaster, signal.SIGCONT)


def test_no_cancel_is_lost(t):
    """Cancels that come at any moment between changes that come all the time."""
    stop = threading.Event()

    def write():
        connection = t.server.psycopg(options=t.options)
        while not stop.is_set():
            connection.execute("UPDATE t SET v = v || 'x' WHERE k = 1")
        connection.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with Wire(t.server.ports["materialize"]) as wire:
            key = wire.log_in(options=f"-csearch_path={t.schema}")
            for _ in range(20):
                wire.send(query("SUBSCRIBE t"))
                wire.until("D")
                wire.until("D")
                with Wire(t.server.ports["materialize"]) as other:
                    other.send(cancel(key["pid"], key["key"]))
                    messages = wire.until("Z")
                    assert other.at_end()
                assert kinds(messages[-2:]) == "EZ" and fields(messages[-2][1])["C"] == "57014"
    finally:
        stop.set()
        writer.join()


LARGE = "x" * 2_000_000  # more than is kept of a message


def large_bind(portal="", statement=""):
    return message("B", portal.encode() + b"\0" + statement.encode() + b"\0\0\0" + struct.pack("!HI", 1, len(LARGE)) +
                   LARGE.encode() + b"\0\0")


@pytest.mark.parametrize("large", [
    [parse("INSERT INTO t VALUES (100, $1)"), large_bind(), execute(), SYNC],
    [parse(f"INSERT INTO t VALUES (100, '{LARGE}')"), bind(), execute(), SYNC]])
def test_a_large_statement_behind_a_subscription_is_executed(t, wire, large):
    wire.send(parse("SUBSCRIBE t UP TO 1000 + (extract(epoch from clock_timestamp()) * 1000)::bigint"), bind(),
              execute(), SYNC)
    assert kinds(wire.until("Z"))[:3] == "12D"
    wire.send(*large)
    assert kinds(wire.until("Z")) == "12CZ"
    assert t.value("SELECT length(v) FROM t WHERE k = 100") == len(LARGE)


def test_a_subscription_with_a_large_parameter_is_refused(t, wire):
    subscribe = parse("SUBSCRIBE (SELECT k FROM t WHERE v <> $1)", "s")
    wire.send(subscribe, SYNC)
    assert kinds(wire.until("Z")) == "1Z"
    wire.send(large_bind("", "s"), execute(), SYNC)
    answers = wire.until("Z")
    assert kinds(answers) == "EZ" and fields(answers[-2][1])["C"] == "54000"
    wire.send(parse(f"SELECT '{LARGE}'", "s"), bind("", "s"), execute(), SYNC)
    answers = wire.until("Z")
    assert kinds(answers) == "EZ" and fields(answers[-2][1])["C"] == "42P05"
    # the session goes on, the statement too
    wire.send(bind("", "s"), SYNC, query("SELECT 1"))
    wire.until("Z")
    assert kinds(wire.until("Z")) == "TDCZ"


@pytest.mark.parametrize("door", ["materialize", "postgres"])
def test_a_large_statement_of_materializes_is_refused(t, door):
    with Wire(t.server.ports[door]) as wire:
        wire.log_in(options=f"-csearch_path={t.schema}")
        for text in (f"SUBSCRIBE (SELECT '{LARGE}')", f"SELECT 1; SHOW TABLES LIKE '{LARGE}'"):
            wire.send(query(text))
            answers = wire.until("Z")
            assert kinds(answers) == "EZ" and fields(answers[0][1])["C"] == "54000"
        wire.send(parse(f"SUBSCRIBE (SELECT '{LARGE}')"), bind(), execute(), SYNC)
        assert fields([body for kind, body in wire.until("Z") if kind == "E"][0])["C"] == "54000"
        wire.send(query(f"SELECT length('{LARGE}') -- no SUBSCRIBE"))
        assert kinds(wire.until("Z")) == "TDCZ"


def test_what_stands_for_a_statement_cannot_be_run(wire):
    """By SQL: it has no rows of its own, which would be taken for an answer."""
    wire.send(parse("SUBSCRIBE t", "s"), parse("DECLARE c CURSOR FOR SUBSCRIBE t", "d"), SYNC)
    wire.until("Z")
    for text in ("EXECUTE s", "EXECUTE d", "CREATE TABLE made AS EXECUTE s", "DO $$BEGIN EXECUTE 'EXECUTE s'; END$$",
                 "EXPLAIN ANALYZE EXECUTE s"):
        wire.send(query(text))
        answers = wire.until("Z")
        assert kinds(answers[-2:]) == "EZ" and "protocol's Execute alone" in fields(answers[-2][1])["M"], text
    wire.send(query("PREPARE p AS SUBSCRIBE t"))
    assert fields(wire.until("Z")[0][1])["C"] == "0A000"
    wire.send(bind("", "s"), execute("", 5), SYNC)
    assert kinds(wire.until("Z")) == "2DDDDDsZ"


def test_a_message_without_a_type(wire):
    wire.send(query("BEGIN"))
    wire.until("Z")
    wire.send(b"\0" + struct.pack("!I", 4))
    assert fields(wire.until("E")[-1][1])["C"] == "08P01"
    assert wire.at_end()


def after_a_cursor(wire):
    for text in ("BEGIN", "DECLARE c CURSOR FOR SUBSCRIBE t", "FETCH 2 c", "COMMIT"):
        wire.send(query(text))
        wire.until("Z")


def test_answers_after_a_cursor_are_the_clients(wire):
    """What the dialect clears away is nobody's answer, in a Query and in flights that end with Flush."""
    after_a_cursor(wire)
    wire.send(query("SELECT 1; BEGIN; DECLARE d CURSOR FOR SUBSCRIBE t; COMMIT"))
    assert kinds(wire.until("Z")) == "TDCCCCZ"
    after_a_cursor(wire)
    wire.send(query("BEGIN"), query("CREATE TABLE made (a int)"))
    assert kinds(wire.until("Z") + wire.until("Z")) == "CZCZ"
    wire.send(query("ROLLBACK"))
    wire.until("Z")
    for text, answer in (("SUBSCRIBE t", "1tT"), ("SUBSCRIBE nosuch", "E"),
                         ("SUBSCRIBE t ENVELOPE UPSERT (KEY (k))", "1tT"),
                         ("SUBSCRIBE (SELECT * FROM t WHERE k = $1)", "1tT"), ("FETCH 1 c", "1tn")):
        after_a_cursor(wire)
        wire.send(parse(text, "s"), describe("S", "s"), FLUSH)
        assert kinds(wire.until(answer[-1])) == answer
        wire.send(SYNC, query("SELECT 1"), close("S", "s"), SYNC)
        assert kinds(wire.until("Z") + wire.until("Z") + wire.until("Z")) == "ZTDCZ3Z"


def test_types_of_parameters_are_the_statements(wire):
    for name, text in (("a", "SUBSCRIBE (SELECT k FROM t WHERE v <> $1)"), ("b", "SUBSCRIBE (SELECT v FROM t WHERE k <> $1)"),
                       ("c", "SUBSCRIBE (SELECT k FROM t WHERE v <> $1 AND k > 0)")):
        wire.send(parse(text, name), describe("S", name), SYNC)
        types = dict(wire.until("Z"))["t"]
        assert types == struct.pack("!HI", 1, 23 if name == "b" else 25)
        after_a_cursor(wire)


def test_a_name_of_the_dialects_that_the_client_has_taken(wire):
    wire.send(query('PREPARE "freshet wait" AS SELECT 1'))
    assert kinds(wire.until("Z")) == "CZ"
    wire.send(parse("SUBSCRIBE t"), bind(), execute("", 5), SYNC)
    assert kinds(wire.until("Z")) == "12DDDDDsZ"


@pytest.mark.parametrize("statement", ["DISCARD ALL", "DEALLOCATE ALL"])
def test_what_the_dialect_prepares_is_made_again(wire, statement):
    after_a_cursor(wire)
    wire.send(query(statement))
    assert kinds(wire.until("Z")) == "CZ"
    after_a_cursor(wire)
    wire.send(parse("SUBSCRIBE t"), bind(), execute("", 5), SYNC)
    assert kinds(wire.until("Z")) == "12DDDDDsZ"
    # in the middle of a block too
    if statement != "DISCARD ALL":
        for text in ("DEALLOCATE ALL", "BEGIN", "DECLARE c CURSOR FOR SUBSCRIBE t", "FETCH 2 c", statement):
            wire.send(query(text))
            assert wire.until("Z")[-1][1] in b"IT"
        wire.send(query("FETCH ALL c; COMMIT"))
        assert kinds(wire.until("Z")) == "TDDDCCZ"


def test_a_statement_that_sql_replaced_is_postgresqls(wire):
    wire.send(parse("SUBSCRIBE t", "s"), SYNC, query("DEALLOCATE s"), query("PREPARE s AS SELECT 7"))
    assert [kinds(wire.until("Z")) for _ in range(3)] == ["1Z", "CZ", "CZ"]
    wire.send(bind("", "s"), execute(), SYNC)
    assert kinds(wire.until("Z")) == "2DCZ"
    wire.send(parse("SUBSCRIBE t", "u"), SYNC, query("DEALLOCATE ALL"), bind("", "u"), execute(), SYNC)
    assert [kinds(wire.until("Z")) for _ in range(3)] == ["1Z", "CZ", "EZ"]
    # the portal was not bound: Execute finds none
    wire.send(execute(), SYNC)
    assert fields(wire.until("Z")[0][1])["C"] == "34000"


@pytest.mark.parametrize("text", ["DECLARE c CURSOR FOR SUBSCRIBE t; COMMIT; CLOSE c",
                                  "BEGIN; SAVEPOINT s; DECLARE c CURSOR FOR SUBSCRIBE t; ROLLBACK TO s; CLOSE c"])
def test_a_cursor_that_is_gone_cannot_be_closed(wire, text):
    wire.send(query(text))
    answers = wire.until("Z")
    assert kinds(answers[-2:]) == "EZ" and fields(answers[-2][1])["C"] == "34000"


def test_what_must_be_alone_in_its_pipeline_is(wire):
    """The unnamed portal was the dialect's, and is bound to it now."""
    wire.send(parse("SUBSCRIBE t", "s"), SYNC, bind("", "s"), FLUSH, parse("DISCARD ALL"), bind(), execute(), SYNC)
    assert kinds(wire.until("Z") + wire.until("Z")) == "1Z212CZ"


def test_a_cursor_is_described_when_all_was_deallocated(wire):
    wire.send(query("BEGIN; DECLARE c CURSOR FOR SUBSCRIBE t; DECLARE d CURSOR FOR SUBSCRIBE (SELECT k FROM t)"))
    wire.until("Z")
    for name, row in (("c", "DDDDD"), ("d", "DDDDD"), ("c", "")):
        wire.send(parse("DEALLOCATE ALL"), bind(), describe("P"), execute(), SYNC)
        assert kinds(wire.until("Z")) == "12nCZ"
        wire.send(describe("P", name), parse(f"FETCH ALL {name} WITH (TIMEOUT '0s')", "f"), describe("S", "f"), bind("", "f"),
                  describe("P"), execute(), SYNC)
        answers = wire.until("Z")
        assert kinds(answers) == f"T1tT2T{row}CZ"
        assert all((b"v\0" in body) == (name == "c") for kind, body in answers if kind == "T")


@pytest.mark.parametrize("text", ["FETCH c WITH (TIMEOUT '0s')", "CREATE CLUSTER c", "CREATE SECRET s AS 'x'", "SUBSCRIBE nosuch"])
def test_a_query_ends_the_unnamed_statement(wire, text):
    wire.send(parse("SELECT 7"), SYNC, query(text), bind(), SYNC)
    wire.until("Z"), wire.until("Z")
    assert fields(wire.until("Z")[0][1])["C"] == "26000"


def test_execute_reaches_the_portal_that_was_bound_last(wire):
    wire.send(parse("SUBSCRIBE t", "s"), parse("SELECT 7", "n"), bind("", "s"), execute("", 2), FLUSH)
    assert kinds(wire.until("s")) == "112DDs"
    wire.send(bind("", "n"), execute(), SYNC)
    assert kinds(wire.until("Z")) == "2DCZ"
    wire.send(query("BEGIN"), bind("p", "s"), execute("p", 2), SYNC)
    assert kinds(wire.until("Z") + wire.until("Z")) == "CZ2DDsZ"
    wire.send(bind("p", "n"), SYNC, query("ROLLBACK"))
    answers = wire.until("Z")
    assert kinds(answers) == "EZ" and fields(answers[0][1])["C"] == "42P03"
    wire.until("Z")
    # what was given up holds nothing back
    wire.send(query("SELECT 1/0"), query("SELECT freshet.subscription_frontier('freshet 2')"))
    wire.until("Z")
    assert fields(wire.until("Z")[-2][1])["C"] == "42704"


@pytest.mark.parametrize("text", ["SUBSCRIBE t UP TO 1", "FETCH ALL c WITH (TIMEOUT '0s')", "CREATE SOURCE s FROM LOAD GENERATOR NOSUCH"])
def test_a_failed_block_is_left_by_the_portal_that_failed(wire, text):
    """The unnamed portal was the dialect's: what ends the block is bound to it next."""
    for end, tag in (("ROLLBACK", b"ROLLBACK\0"), ("COMMIT", b"ROLLBACK\0")):
        wire.send(query("BEGIN"), parse(text), bind(), describe("P"), execute(), SYNC)
        wire.until("Z")
        assert kinds(wire.until("Z"))[-2:] == "EZ"
        wire.send(execute(), SYNC)
        assert kinds(wire.until("Z")) == "EZ"
        wire.send(parse(end), bind(), describe("P"), execute(), SYNC)
        answers = wire.until("Z")
        assert kinds(answers) == "12nCZ" and ("C", tag) in answers and answers[-1][1] == b"I"


def test_an_error_behind_a_row_limit_leaves_no_subscription(wire):
    wire.send(parse("SUBSCRIBE t", "s"), bind("", "s"), execute("", 2), parse("SELEC"), SYNC)
    assert kinds(wire.until("Z")) == "12DDsEZ"
    wire.send(query("SELECT freshet.subscription_frontier('freshet 2')"))
    assert fields(wire.until("Z")[-2][1])["C"] == "42704"


@pytest.mark.parametrize("text, word", [
    ("SUBSCRIBE nosuch", "nosuch"), ("SUBSCRIBE  public.nosuch", "public"), ("TAIL nosuch", "nosuch"),
    ("SUBSCRIBE (SELECT 'ä', nosuch FROM t)", "nosuch"), ("SUBSCRIBE (SELECT 'ä', nosuch FROM t WHERE k = $1)", "nosuch"),
    ("CREATE MATERIALIZED VIEW w IN CLUSTER c AS SELECT nosuch FROM t", "nosuch")])
def test_errors_are_placed_in_the_clients_text(wire, text, word):
    if "$1" not in text:
        wire.send(query(text))
        assert fields(wire.until("Z")[0][1])["P"] == str(text.index(word) + 1)
        both = "SHOW TABLES; SELECT 'ö'; " + text
        wire.send(query(both))
        assert [fields(body)["P"] for kind, body in wire.until("Z") if kind == "E"] == [str(both.index(word) + 1)]
    wire.send(parse(text), SYNC)
    assert fields(wire.until("Z")[0][1])["P"] == str(text.index(word) + 1)


def test_places_of_postgresqls_errors_beside_the_dialects(wire):
    text = "SHOW TABLES; SELECT 'ä'; SELECT 1 FROM  nosuch"
    wire.send(query(text))
    assert [fields(body)["P"] for kind, body in wire.until("Z") if kind == "E"] == [str(text.index("nosuch") + 1)]


@pytest.mark.parametrize("text", [
    "BEGIN READ ONLY; CREATE TABLE made (a int)", "BEGIN ISOLATION LEVEL SERIALIZABLE", "START TRANSACTION READ ONLY; SHOW transaction_read_only",
    "BEGIN; COMMIT", "COMMIT", "ROLLBACK; SELECT 1", "SAVEPOINT s", "ROLLBACK TO s", "RELEASE s",
    "COMMIT AND CHAIN", "BEGIN; SAVEPOINT s; SELECT 1/0", "SELECT 1; COMMIT; SELECT 2"])
def test_transaction_commands_in_one_query(t, wire, text):
    """As PostgreSQL has them, although the statements are sent one by one."""
    def answers(client):
        client.send(query("SELECT 1; " + beside + "; " + text), query("ROLLBACK"))
        return [(kind, fields(body)["C"] if kind in "EN" else body) for kind, body in client.until("Z") + client.until("Z")]

    beside = "SELECT 3 AS x"
    with Wire(t.server.ports["native"]) as native:
        native.log_in(options=f"-csearch_path={t.schema}")
        expected = answers(native)
    beside = "SHOW CLUSTER"
    found = answers(wire)
    del expected[3:6], found[3:6]
    assert found == expected


def test_savepoints_and_cursors(wire):
    def run(*texts):
        for text in texts:
            wire.send(query(text))
            answers = wire.until("Z")
        return answers

    run("BEGIN", "DECLARE c CURSOR FOR SUBSCRIBE t", "SAVEPOINT s", "FETCH ALL c", "SELECT 1/0", "ROLLBACK TO s")
    assert kinds(run("FETCH ALL c WITH (TIMEOUT '0s')")) == "TCZ"
    # one that was declared behind the savepoint is gone, and its name is free
    run("DECLARE d CURSOR FOR SUBSCRIBE t", "ROLLBACK TO s", "SAVEPOINT u")
    assert fields(run("FETCH d")[0][1])["C"] == "34000"
    run("ROLLBACK TO u", "DECLARE d CURSOR FOR SUBSCRIBE t")
    assert kinds(run("FETCH 2 d")) == "TDDCZ"
    # rows that were read ahead behind a savepoint go with it, and that is said
    run("DECLARE e CURSOR FOR SUBSCRIBE t", "SAVEPOINT v", "FETCH 2 e", "ROLLBACK TO v")
    assert fields(run("FETCH e")[0][1])["C"] == "24000"
    run("ROLLBACK")


def test_cursors_are_known_to_postgresql(wire):
    def run(*texts):
        for text in texts:
            wire.send(query(text))
            answers = wire.until("Z")
        return answers

    run("BEGIN", "DECLARE c CURSOR FOR SUBSCRIBE t", "SAVEPOINT s")
    assert [body[6:] for kind, body in run("SELECT name FROM pg_cursors") if kind == "D"] == [b"c"]
    for text in ("DECLARE c CURSOR FOR SELECT 1", "DECLARE c CURSOR FOR SUBSCRIBE t"):
        assert fields(run(text)[0][1])["C"] == "42P03"
        run("ROLLBACK TO s")
    assert fields(run("MOVE c")[0][1])["C"] == "0A000"
    run("ROLLBACK TO s")
    run("DECLARE p CURSOR FOR SELECT 1", "SAVEPOINT s")
    assert fields(run("DECLARE p CURSOR FOR SUBSCRIBE t")[0][1])["C"] == "42P03"
    run("ROLLBACK TO s", "DO $$ BEGIN EXECUTE 'CLOSE c'; END $$")
    assert fields(run("FETCH c")[0][1])["C"] == "34000"
    run("ROLLBACK")


def test_large_messages_behind_a_subscription(t, wire):
    wire.send(query("BEGIN"), parse("SUBSCRIBE t"), bind(), execute("", 2), SYNC)
    assert kinds(wire.until("Z") + wire.until("Z")) == "CZ12DDsZ"
    wire.send(parse(f"INSERT INTO t VALUES (99, '{LARGE}')"), bind(), execute(), SYNC)
    assert kinds(wire.until("Z")) == "12CZ"
    wire.send(parse("INSERT INTO t VALUES (98, $1)"), large_bind("", ""), execute(), SYNC)
    assert kinds(wire.until("Z")) == "12CZ"
    wire.send(query("COMMIT"))
    wire.until("Z")
    assert t.value("SELECT count(*) FROM t WHERE k > 90") == 2
