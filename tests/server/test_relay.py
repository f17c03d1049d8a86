"""The relay: what comes out at one end is what went in at the other."""

import asyncio
import io
import os
import random
import select
import socket
import struct
import threading
import time

import asyncpg
import psycopg
import psycopg2
import pytest

from harness import system

from .wire import (FLUSH, SYNC, Wire, bind, cancel, execute, fields, message, parse, query,
                   startup)


def kinds(messages) -> str:
    return "".join(kind for kind, _ in messages)


def memory_of(pid: int) -> int:
    """Resident bytes of a process."""
    with open(f"/proc/{pid}/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def sanitized(server) -> bool:
    """The address sanitizer keeps freed memory for a while, so that amounts mean nothing."""
    with open(f"/proc/{server.process.pid}/maps") as maps:
        return "libasan" in maps.read()


def descriptors_of(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


# --- start-up -----------------------------------------------------------------------------------

def test_the_backend_key_is_the_backends_own(freshet):
    connection = freshet.psycopg2()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        assert cursor.fetchone()[0] == connection.info.backend_pid


def test_startup_options_arrive(freshet):
    with freshet.psycopg2(options="'-c search_path=a,b -c work_mem=7MB'",
                          application_name="'a name'") as connection:
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('search_path'), current_setting('work_mem'), "
                           "current_setting('application_name')")
            assert cursor.fetchone() == ("a,b", "7MB", "a name")


def test_minor_protocol_versions_are_negotiated_by_postgres(freshet):
    with Wire(freshet.ports["postgres"]) as wire:
        wire.send(startup(version=196610, user="postgres", database="materialize"))
        assert kinds(wire.until("Z"))[0] == "v"


@pytest.mark.parametrize("name, path", [("doc", "doc,public"), ("admin", '"$user", public')])
def test_an_alias_leads_to_the_database(freshet, name, path):
    with freshet.psycopg2("postgres", dbname=name, options="'-c work_mem=8MB'") as connection:
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_database(), current_setting('search_path'), "
                           "current_setting('work_mem')")
            assert cursor.fetchone() == ("materialize", path, "8MB")
    with freshet.psycopg2("postgres", dbname=name, options="'-c search_path=own'") as connection:
        with connection.cursor() as cursor:
            cursor.execute("SHOW search_path")
            assert cursor.fetchone() == ("own",)


def test_a_database_of_that_name_wins_over_the_alias(freshet):
    freshet.psycopg2().cursor().execute("CREATE DATABASE doc")
    try:
        with freshet.psycopg2("postgres", dbname="doc") as connection:
            assert connection.info.dbname == "doc"
            with connection.cursor() as cursor:
                cursor.execute("SELECT current_database()")
                assert cursor.fetchone() == ("doc",)
        connection.close()
    finally:
        freshet.psycopg2().cursor().execute("DROP DATABASE doc WITH (FORCE)")
    freshet.psycopg2("postgres", dbname="doc").close()


def test_an_unknown_database_is_postgres_own_error(freshet):
    with pytest.raises(psycopg2.OperationalError, match='database "nowhere" does not exist'):
        freshet.psycopg2(dbname="nowhere")


def test_replication_connections_pass(freshet):
    import psycopg2.extras
    connection = psycopg2.connect(freshet.dsn("postgres"),
                                  connection_factory=psycopg2.extras.PhysicalReplicationConnection)
    with connection.cursor() as cursor:
        cursor.execute("IDENTIFY_SYSTEM")
        assert len(cursor.fetchone()) == 4
    connection.close()


# --- queries ------------------------------------------------------------------------------------

def test_pipelines_keep_their_order(freshet):
    with freshet.psycopg() as connection, connection.pipeline():
        results = [connection.execute("SELECT %s::int", (n,)) for n in range(2000)]
        assert [result.fetchone()[0] for result in results] == list(range(2000))


def test_an_error_in_a_pipeline_skips_to_the_sync(freshet):
    with Wire(freshet.ports["materialize"]) as wire:
        wire.log_in()
        wire.send(parse("SELECT 1"), bind(), execute(), parse("SELECT nonsense"), bind(), execute(),
                  SYNC, query("SELECT 2"))
        assert kinds(wire.until("Z")) == "12DCEZ"
        assert kinds(wire.until("Z")) == "TDCZ"


def test_flush_without_sync(freshet):
    with Wire(freshet.ports["materialize"]) as wire:
        wire.log_in()
        wire.send(parse("SELECT generate_series(1, 5)", "s"), message("D", b"Ss\0"), FLUSH)
        assert kinds(wire.until("T")) == "1tT"
        wire.send(bind("p", "s"), execute("p", 2), FLUSH)
        assert kinds(wire.until("s")) == "2DDs"
        wire.send(execute("p", 2), FLUSH)
        assert kinds(wire.until("s")) == "DDs"
        wire.send(execute("p", 2), SYNC)
        assert kinds(wire.until("Z")) == "DCZ"


def test_one_byte_at_a_time(freshet):
    with Wire(freshet.ports["materialize"]) as wire:
        wire.log_in()
        for byte in (parse("SELECT 'one'") + bind() + execute() + SYNC + query("SELECT 'two'")):
            wire.send(bytes([byte]))
        assert kinds(wire.until("Z")) == "12DCZ"
        assert kinds(wire.until("Z")) == "TDCZ"


def test_binary_formats_by_asyncpg(freshet):
    async def check():
        connection = await freshet.asyncpg()
        try:
            row = await connection.fetchrow(
                "SELECT $1::int8, $2::numeric, $3::timestamptz, $4::jsonb, $5::bytea",
                1 << 40, 12, None, '{"a": 1}', b"\0\1\2")
            assert tuple(row) == (1 << 40, 12, None, '{"a": 1}', b"\0\1\2")
            async with connection.transaction():
                cursor = await connection.cursor("SELECT generate_series(1, 1000)")
                assert len(await cursor.fetch(10)) == 10
                assert len(await cursor.fetch(2000)) == 990
            await connection.executemany("SELECT $1::int", [(n,) for n in range(500)])
        finally:
            await connection.close()
    asyncio.run(check())


def test_a_row_of_100_megabytes_goes_both_ways_without_being_kept(freshet):
    size = 100 * 1024 * 1024
    connection = freshet.psycopg2(sslmode="disable")
    before = memory_of(freshet.process.pid)
    with connection.cursor() as cursor:
        cursor.execute("SELECT repeat('x', %s)", (size,))
        assert len(cursor.fetchone()[0]) == size
        cursor.execute("SELECT length(%s)", ("y" * size,))
        assert cursor.fetchone()[0] == size
    assert memory_of(freshet.process.pid) - before < 16 * 1024 * 1024 or sanitized(freshet)


def test_large_results_through_tls(freshet):
    with freshet.psycopg() as connection:
        rows = connection.execute("SELECT n, repeat('z', n % 5000) FROM generate_series(1, 20000) n")
        assert sum(len(text) for _, text in rows) == sum(n % 5000 for n in range(1, 20001))


# --- COPY ---------------------------------------------------------------------------------------

def test_copy_both_ways(freshet):
    connection = freshet.psycopg2()
    text = "".join(f"{n}\trow {n}\n" for n in range(100000))
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE copied (n int, t text)")
        cursor.copy_expert("COPY copied FROM STDIN", io.StringIO(text))
        assert cursor.rowcount == 100000
        out = io.StringIO()
        cursor.copy_expert("COPY (SELECT * FROM copied ORDER BY n) TO STDOUT", out)
        assert out.getvalue() == text
        with pytest.raises(psycopg2.DataError):
            cursor.copy_expert("COPY copied FROM STDIN", io.StringIO("x\ty\n"))
        cursor.execute("SELECT count(*) FROM copied")
        assert cursor.fetchone() == (100000,)


def test_copy_in_the_extended_protocol(freshet):
    """libpq sends a Sync with the Execute, which a COPY ignores, and another one at its end."""
    with freshet.psycopg() as connection:
        connection.execute("CREATE TEMP TABLE copied (n int)")
        for _ in range(3):
            with connection.cursor() as cursor, cursor.copy(
                    "COPY copied FROM STDIN WHERE n > %s", (1,)) as copy:
                for n in range(4):
                    copy.write_row((n,))
            with pytest.raises(psycopg.DataError):
                with connection.cursor() as cursor, cursor.copy("COPY copied FROM STDIN") as copy:
                    copy.write("broken\n")
            assert connection.execute("SELECT 7").fetchone() == (7,)
        assert connection.execute("SELECT count(*) FROM copied").fetchone() == (6,)


# --- LISTEN, notices ----------------------------------------------------------------------------

def test_listen_and_notify(freshet):
    listener, speaker = freshet.psycopg2(), freshet.psycopg2("postgres")
    listener.cursor().execute("LISTEN news")
    speaker.cursor().execute("NOTIFY news, 'now'")
    assert select.select([listener], [], [], 10)[0]
    listener.poll()
    notice = listener.notifies.pop()
    assert (notice.channel, notice.payload, notice.pid) == ("news", "now", speaker.info.backend_pid)


def test_notices_come_while_a_statement_runs(freshet):
    with Wire(freshet.ports["materialize"]) as wire:
        wire.log_in()
        wire.send(query("DO $$ BEGIN RAISE NOTICE 'first'; PERFORM pg_sleep(30); END $$"))
        assert kinds(wire.until("N")) == "N"
        with Wire(freshet.ports["materialize"]) as other:
            other.send(cancel(wire.pid, wire.key))
            assert other.at_end()
        assert kinds(wire.until("Z")) == "EZ"


# --- cancelling ---------------------------------------------------------------------------------

def wait_until_asleep(freshet, pid: int) -> None:
    """A cancel that comes before its statement has begun cancels nothing."""
    def asleep():
        return connection.execute("SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = %s",
                                  (pid,)).fetchone()[0]

    with freshet.psycopg() as connection:
        system.wait_until(asleep, 20, 0.02, "the backend sleeps")


@pytest.mark.parametrize("tls", [False, True])
def test_cancel(freshet, tls):
    with Wire(freshet.ports["materialize"]) as wire:
        wire.log_in()
        wire.send(query("SELECT pg_sleep(30)"))
        wait_until_asleep(freshet, wire.pid)
        with Wire(freshet.ports["postgres"]) as other:
            if tls:
                other.start_tls()
            other.send(cancel(wire.pid, wire.key))
            assert other.at_end()
        error = next(body for kind, body in wire.until("Z") if kind == "E")
        assert fields(error)["C"] == "57014"


def test_a_cancel_counts_though_its_client_does_not_wait(freshet):
    """Eight times: on which of the server's threads a connection lives depends on where its packets arrive."""
    for _ in range(8):
        with Wire(freshet.ports["materialize"]) as wire:
            wire.log_in()
            wire.send(query("SELECT pg_sleep(30)"))
            wait_until_asleep(freshet, wire.pid)
            with Wire(freshet.ports["postgres"]) as other:
                other.send(cancel(wire.pid, wire.key))
            error = next(body for kind, body in wire.until("Z") if kind == "E")
            assert fields(error)["C"] == "57014"


def test_cancel_by_drivers(freshet):
    for connection, error in ((freshet.psycopg2(), psycopg2.errors.QueryCanceled),
                              (freshet.psycopg(), psycopg.errors.QueryCanceled)):
        def cancel_it():
            wait_until_asleep(freshet, connection.info.backend_pid)
            connection.cancel()

        canceller = threading.Thread(target=cancel_it)
        canceller.start()
        with pytest.raises(error):
            connection.cursor().execute("SELECT pg_sleep(30)")
        canceller.join()
        cursor = connection.cursor()
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)
        connection.close()


def test_a_wrong_key_cancels_nothing(freshet):
    with Wire(freshet.ports["materialize"]) as wire:
        wire.log_in()
        wire.send(query("SELECT pg_sleep(0.5)"))
        for pid, key in ((wire.pid, wire.key ^ 1), (wire.pid + 1, wire.key), (0, 0)):
            with Wire(freshet.ports["materialize"]) as other:
                other.send(cancel(pid, key))
                assert other.at_end()
        assert kinds(wire.until("Z")) == "TDCZ"


def test_a_storm_of_cancels_hits_only_its_own(freshet):
    connection = freshet.psycopg2()
    bystander = freshet.psycopg2()
    for _ in range(20):
        threads = [threading.Thread(target=connection.cancel) for _ in range(5)]
        for thread in threads:
            thread.start()
        try:
            connection.cursor().execute("SELECT pg_sleep(0.02)")
        except psycopg2.errors.QueryCanceled:
            pass
        bystander.cursor().execute("SELECT pg_sleep(0.001)")
        for thread in threads:
            thread.join()


# --- clients that vanish, dawdle, or lie --------------------------------------------------------

def backends(connection, name: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", (name,))
        return cursor.fetchone()[0]


def test_a_vanished_client_takes_its_backend_along(freshet):
    observer = freshet.psycopg2()
    clients = [Wire(freshet.ports["materialize"]) for _ in range(10)]
    for client in clients:
        client.log_in(application_name="vanishing")
    assert backends(observer, "vanishing") == 10
    for client in clients:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.socket.close()
    system.wait_until(lambda: backends(observer, "vanishing") == 0, 1)


def test_what_a_client_sent_before_it_left_is_still_done(freshet):
    observer = freshet.psycopg2()
    observer.cursor().execute("CREATE TABLE IF NOT EXISTS parting (n int); TRUNCATE parting")
    with Wire(freshet.ports["materialize"]) as wire:
        wire.log_in(application_name="parting")
        wire.send(query("INSERT INTO parting VALUES (1)"), message("X"))
    system.wait_until(lambda: backends(observer, "parting") == 0, 5)
    with observer.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM parting")
        assert cursor.fetchone() == (1,)
        cursor.execute("DROP TABLE parting")


def test_a_client_that_does_not_read_costs_bounded_memory_and_is_noticed_when_it_leaves(freshet):
    observer = freshet.psycopg2()
    before = memory_of(freshet.process.pid)
    clients = [Wire(freshet.ports["materialize"]) for _ in range(20)]
    for client in clients:
        client.log_in(application_name="dawdling")
        client.send(query("SELECT repeat('x', 1000) FROM generate_series(1, 1000000)"))
    # A client that sends without end while nobody answers is held up as well.
    clients[0].socket.setblocking(False)
    sent = 0
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        try:
            sent += clients[0].socket.send(SYNC * 10000)
        except BlockingIOError:
            time.sleep(0.01)
    assert sent < 64 * 1024 * 1024
    assert memory_of(freshet.process.pid) - before < 20 * 2 * 1024 * 1024 or sanitized(freshet)
    observer.cursor().execute("SELECT 1")
    for client in clients:
        client.socket.close()
    system.wait_until(lambda: backends(observer, "dawdling") == 0, 5)


def test_a_slow_reader_gets_everything(freshet):
    with Wire(freshet.ports["materialize"], timeout=60) as wire:
        wire.log_in()
        wire.send(query("SELECT n, repeat('x', 1000) FROM generate_series(1, 20000) n"))
        time.sleep(1)
        assert kinds(wire.until("Z")) == "T" + "D" * 20000 + "CZ"


@pytest.mark.parametrize("garbage", [
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\0" * 100, b"\xff" * 100,
    struct.pack("!II", 7, 196608), struct.pack("!II", 10001, 196608),
    struct.pack("!II", 0x7fffffff, 196608), struct.pack("!II", 0xffffffff, 196608)])
def test_garbage_instead_of_a_startup(freshet, garbage):
    with Wire(freshet.ports["postgres"]) as wire:
        wire.send(garbage)
        kind, body = wire.receive()
        assert (kind, fields(body)["C"], fields(body)["S"]) == ("E", "08P01", "FATAL")
        assert wire.at_end()


@pytest.mark.parametrize("packet", [
    struct.pack("!II", 8, 196608), struct.pack("!II", 12, 196608) + b"user",
    struct.pack("!II", 18, 196608) + b"user\0post\0", struct.pack("!III", 12, 80877102, 1)])
def test_a_broken_startup_packet(freshet, packet):
    with Wire(freshet.ports["postgres"]) as wire:
        wire.send(packet)
        kind, body = wire.receive()
        assert (kind, fields(body)["C"]) == ("E", "08P01")
        assert wire.at_end()


def test_an_old_protocol(freshet):
    with Wire(freshet.ports["postgres"]) as wire:
        wire.send(startup(version=131072, user="postgres"))
        kind, body = wire.receive()
        assert (kind, fields(body)["C"]) == ("E", "0A000")
        assert wire.at_end()


@pytest.mark.parametrize("length", [0, 3, 0x40000000, 0xffffffff])
def test_a_broken_length_ends_the_session(freshet, length):
    with Wire(freshet.ports["materialize"]) as wire:
        wire.log_in()
        wire.send(b"Q" + struct.pack("!I", length) + b"xxxx")
        kind, body = wire.until("E")[-1]
        assert (fields(body)["C"], fields(body)["S"]) == ("08P01", "FATAL")
        assert wire.at_end()


def test_an_unknown_message_is_postgres_own_error(freshet):
    with Wire(freshet.ports["materialize"]) as wire:
        wire.log_in()
        wire.send(message("z", b"hello"))
        assert fields(wire.until("E")[-1][1])["C"] == "08P01"
        assert wire.at_end()


def test_statements_before_the_login_are_not_run(freshet):
    with freshet.psycopg2() as connection:
        connection.cursor().execute("CREATE ROLE impatient LOGIN PASSWORD 'x'")
    try:
        with Wire(freshet.ports["postgres"]) as wire:
            wire.send(startup(user="impatient", database="materialize"),
                      query("SELECT 'in'"), query("SELECT 'in'"))
            received = wire.until("E")
            assert "D" not in kinds(received)
            assert wire.at_end()
    finally:
        freshet.psycopg2().cursor().execute("DROP ROLE impatient")


@pytest.mark.parametrize("door", ["postgres", "materialize"])
def test_random_conversations_end_only_themselves(freshet, door):
    """Right, mutilated and misplaced messages in any order and any pieces; the seed is fixed."""
    chance = random.Random(20240607)
    good = [query("SELECT 1"), query("BEGIN"), query("COMMIT"), query("SHOW TABLES"),
            query("COPY (SELECT 1) TO STDOUT"), query("SELECT nonsense"),
            query("SUBSCRIBE (SELECT 1)"), query("DECLARE c CURSOR FOR SUBSCRIBE (SELECT 1)"),
            query("FETCH ALL c"), query("COPY (SUBSCRIBE (SELECT 1)) TO STDOUT"),
            query("CREATE TEMP TABLE IF NOT EXISTS t (n int)"), query("COPY t FROM STDIN"),
            parse("SELECT 1"), parse("SUBSCRIBE (SELECT 1)"), parse("SHOW SOURCES", "s"),
            parse("COPY t FROM STDIN"), bind(), bind("p", "s"), execute(), execute("p", 1),
            message("D", b"S\0"), message("D", b"Pp\0"), message("C", b"Ss\0"), SYNC, SYNC, FLUSH,
            message("d", b"1\n"), message("c"), message("f", b"no\0"), message("F", b"\0" * 14)]
    for _ in range(150):
        with Wire(freshet.ports[door], timeout=5) as wire:
            wire.log_in()
            conversation = b""
            for _ in range(chance.randint(1, 30)):
                part = bytearray(chance.choice(good))
                if chance.random() < 0.1:
                    part[chance.randrange(len(part))] = chance.randrange(256)
                conversation += part
            try:
                while conversation:
                    size = chance.randint(1, 200)
                    wire.send(conversation[:size])
                    conversation = conversation[size:]
                if chance.random() < 0.5:
                    wire.socket.settimeout(0.02)
                    while wire.socket.recv(65536):
                        pass
            except (OSError, TimeoutError):
                pass
    with freshet.psycopg(door) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_nothing_is_left_behind(freshet):
    """After all of the above and a thousand sessions, no descriptor is held for anybody."""
    freshet.psycopg2().close()
    time.sleep(1.5)
    before = descriptors_of(freshet.process.pid)
    for _ in range(1000):
        with Wire(freshet.ports["materialize"]) as wire:
            wire.log_in()
    system.wait_until(lambda: descriptors_of(freshet.process.pid) <= before, 10)


@pytest.mark.parametrize("door", ["postgres", "materialize"])
def test_what_stands_before_a_half_close_is_done_and_answered(freshet, door):
    admin = freshet.psycopg()
    admin.execute("CREATE TABLE left_behind (a int)")
    insert = "INSERT INTO left_behind VALUES (1)"
    with Wire(freshet.ports[door]) as wire:
        wire.log_in()
        # the statement of the dialect holds the others up
        wire.send(query("SHOW TABLES"), *[query(insert)] * 20, query("SELECT pg_sleep(0.1)"),
                  *[parse(insert) + bind() + execute() + SYNC] * 20, message("X"))
        wire.socket.shutdown(socket.SHUT_WR)
        assert [kinds(wire.until("Z"))[-2:] for _ in range(42)] == ["CZ"] * 42
        assert wire.at_end()
    for last in (message("X"), b""):
        with Wire(freshet.ports[door]) as wire:
            wire.send(startup(user="postgres", database="materialize"), query("SELECT pg_sleep(0.1)"),
                      query(insert), last)
    deadline = time.monotonic() + 20
    while admin.execute("SELECT count(*) FROM left_behind").fetchone()[0] != 42:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    admin.execute("DROP TABLE left_behind")
    admin.close()


def test_a_subscriber_that_half_closes_gets_what_there_is(freshet):
    """Whether it is still there nobody can know while nothing changes, so it does not wait."""
    admin = freshet.psycopg()
    admin.execute("CREATE TABLE left_behind AS SELECT generate_series(1, 3) a")
    with Wire(freshet.ports["materialize"]) as wire:
        wire.log_in()
        wire.send(query("BEGIN; DECLARE c CURSOR FOR SUBSCRIBE left_behind"), query("FETCH ALL c; COMMIT"),
                  query("SUBSCRIBE left_behind"))
        wire.socket.shutdown(socket.SHUT_WR)
        assert [kinds(wire.until("Z")) for _ in range(2)] == ["CCZ", "TDDDCCZ"]
        answers = wire.until("E")
        assert kinds(answers) == "TDDDE" and fields(answers[-1][1])["C"] == "08006"
        assert wire.at_end()
    admin.execute("DROP TABLE left_behind")
    admin.close()
