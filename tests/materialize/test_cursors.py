"""DECLARE, FETCH and CLOSE: Materialize's waiting rules."""

import time

import psycopg
import psycopg2
import pytest


@pytest.fixture
def t(place):
    place.run("CREATE TABLE t (k int PRIMARY KEY, v text)", "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')")
    return place


@pytest.fixture
def cursor(t):
    """psycopg2's cursor in its implicit block, with c declared."""
    cursor = t.psycopg2().cursor()
    cursor.execute("DECLARE c CURSOR FOR SUBSCRIBE t")
    return cursor


def fetch(cursor, what):
    cursor.execute(what)
    assert cursor.statusmessage == f"FETCH {cursor.rowcount}"
    return [row[1:] for row in cursor]


def test_waits_for_the_first_rows(t, cursor):
    assert len(fetch(cursor, "FETCH ALL c")) == 3
    writer = t.soon("INSERT INTO t VALUES (4, 'd')")
    assert fetch(cursor, "FETCH ALL c") == [(1, 4, "d")]
    writer.join()


def test_counts(t, cursor):
    assert [len(fetch(cursor, what)) for what in
            ("FETCH c", "FETCH 1 FROM c", "FETCH FORWARD 5 IN c")] == [1, 1, 1]
    t.run("INSERT INTO t SELECT i FROM generate_series(10, 29) i")
    assert len(fetch(cursor, "FETCH 5 c")) == 5
    assert len(fetch(cursor, "FETCH 100 c")) == 15, "what there is, without waiting for more"


def test_none(cursor):
    begun = time.monotonic()
    assert fetch(cursor, "FETCH 0 c WITH (TIMEOUT = '1h')") == []
    assert [column.name for column in cursor.description] == ["mz_timestamp", "mz_diff", "k", "v"]
    assert time.monotonic() - begun < 1


def test_timeouts(t, cursor):
    begun = time.monotonic()
    assert len(fetch(cursor, "FETCH ALL c WITH (TIMEOUT '1s')")) == 3
    assert 0.9 < time.monotonic() - begun < 3, "a timeout is used up"
    begun = time.monotonic()
    assert fetch(cursor, "FETCH ALL c WITH (timeout='0s')") == []
    assert time.monotonic() - begun < 0.5
    writer = t.soon("INSERT INTO t VALUES (8, 'x')", "INSERT INTO t VALUES (9, 'y')")
    begun = time.monotonic()
    # one timestamp may have both, and rows of one timestamp have no order
    assert sorted(fetch(cursor, "FETCH 2 c WITH (TIMEOUT = '1 minute')")) == [(1, 8, "x"), (1, 9, "y")]
    assert time.monotonic() - begun < 10, "it ends when it has what was asked for"
    writer.join()


@pytest.mark.parametrize("timeout", ["-1s", "25h", "nonsense"])
def test_bad_timeouts(cursor, timeout):
    with pytest.raises(psycopg2.Error) as raised:
        cursor.execute(f"FETCH ALL c WITH (TIMEOUT = '{timeout}')")
    assert raised.value.pgcode == ("22007" if timeout == "nonsense" else "22023")


def test_only_forward(cursor):
    with pytest.raises(psycopg2.Error, match="forward"):
        cursor.execute("FETCH BACKWARD 1 FROM c")


def test_close(t, cursor):
    cursor.execute("DECLARE other CURSOR FOR SELECT 1")
    cursor.execute("CLOSE c")
    assert cursor.statusmessage == "CLOSE CURSOR"
    cursor.execute("DECLARE c CURSOR FOR SUBSCRIBE t")
    assert len(fetch(cursor, "FETCH ALL c")) == 3
    cursor.execute("FETCH ALL other")
    assert cursor.fetchall() == [(1,)]
    cursor.execute("CLOSE ALL")
    assert cursor.statusmessage == "CLOSE CURSOR ALL"
    with pytest.raises(psycopg2.Error, match='cursor "c" does not exist'):
        cursor.execute("FETCH ALL c")


def test_ends_with_its_block(t, cursor):
    fetch(cursor, "FETCH 1 c")
    cursor.connection.commit()
    with pytest.raises(psycopg2.Error, match='cursor "c" does not exist'):
        cursor.execute("FETCH ALL c")
    cursor.connection.rollback()
    cursor.execute("DECLARE c CURSOR FOR SUBSCRIBE t")
    cursor.connection.rollback()
    cursor.execute("DECLARE c CURSOR FOR SUBSCRIBE t")
    assert len(fetch(cursor, "FETCH ALL c")) == 3


def test_same_name(cursor):
    with pytest.raises(psycopg2.Error) as raised:
        cursor.execute("DECLARE c CURSOR FOR SUBSCRIBE t")
    assert raised.value.pgcode in ("42P03", "42710")


def test_two_in_one_block(t, cursor):
    cursor.execute("DECLARE d CURSOR FOR SUBSCRIBE (SELECT count(*) FROM t)")
    assert len(fetch(cursor, "FETCH ALL c")) == 3
    assert fetch(cursor, "FETCH ALL d") == [(1, 3)]
    t.run("INSERT INTO t VALUES (4, 'd')")
    assert fetch(cursor, "FETCH ALL c") == [(1, 4, "d")]
    assert sorted(fetch(cursor, "FETCH ALL d")) == [(-1, 3), (1, 4)]


def test_idle_cursor_holds_no_snapshot(t, cursor):
    fetch(cursor, "FETCH ALL c")
    pid = cursor.connection.info.backend_pid
    assert t.value(f"SELECT backend_xmin IS NULL FROM pg_stat_activity WHERE pid = {pid}")


def test_cancel(t, cursor):
    fetch(cursor, "FETCH ALL c")
    pid = cursor.connection.info.backend_pid
    canceller = t.soon(f"SELECT pg_cancel_backend({pid})")
    with pytest.raises(psycopg2.errors.QueryCanceled):
        cursor.execute("FETCH ALL c")
    canceller.join()
    cursor.connection.rollback()
    cursor.execute("SELECT 42")


def test_progress_wakes_it(t):
    cursor = t.psycopg2().cursor()
    cursor.execute("DECLARE c CURSOR FOR SUBSCRIBE t WITH (PROGRESS)")
    seen = []
    begun = time.monotonic()
    while len(seen) < 6 and time.monotonic() < begun + 10:
        cursor.execute("FETCH ALL c")
        seen += cursor.fetchall()
    assert seen[0][1] is True
    assert sum(row[1] for row in seen) >= 3 and time.monotonic() - begun < 8


@pytest.mark.parametrize("binary", [False, True])
def test_extended_fetch(t, binary):
    connection = t.psycopg(autocommit=False)
    connection.execute("DECLARE c CURSOR FOR SUBSCRIBE t", prepare=True)
    cursor = connection.cursor(binary=binary)
    cursor.execute("FETCH 2 c", prepare=True)
    rows = cursor.fetchall()
    assert [column.name for column in cursor.description] == ["mz_timestamp", "mz_diff", "k", "v"]
    # the rest of the batch in the other format
    other = connection.cursor(binary=not binary)
    rows += other.execute("FETCH ALL c", prepare=True).fetchall()
    assert sorted(row[1:] for row in rows) == [(1, 1, "a"), (1, 2, "b"), (1, 3, "c")]
    connection.execute("CLOSE c", prepare=True)
    with pytest.raises(psycopg.errors.InvalidCursorName):
        connection.execute("FETCH ALL c")


def test_psycopg_server_cursor(t):
    """It declares, then describes the cursor by its name, then fetches."""
    connection = t.psycopg(autocommit=False)
    with psycopg.ServerCursor(connection, "sc") as cursor:
        try:
            cursor.execute("SUBSCRIBE t")
        except psycopg.errors.SyntaxError:
            pytest.skip("this psycopg composes DECLARE otherwise")
        assert [column.name for column in cursor.description] == ["mz_timestamp", "mz_diff", "k", "v"]
        assert len(cursor.fetchmany(2)) == 2 and cursor.fetchone()[1] == 1


def test_ordinary_cursors_are_postgresqls(t):
    cursor = t.psycopg2().cursor()
    cursor.execute("DECLARE p SCROLL CURSOR FOR SELECT k FROM t ORDER BY k")
    cursor.execute("DECLARE c CURSOR FOR SUBSCRIBE t")
    cursor.execute("FETCH LAST FROM p")
    assert cursor.fetchall() == [(3,)]
    cursor.execute("FETCH BACKWARD 2 FROM p")
    assert cursor.fetchall() == [(2,), (1,)]
    cursor.execute("CLOSE p")
    assert len(fetch(cursor, "FETCH ALL c")) == 3
