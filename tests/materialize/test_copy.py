"""COPY (SUBSCRIBE …) TO STDOUT: one COPY out of many."""

import asyncio
import io
import struct

import psycopg
import pytest

NOW = "(SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint)"


@pytest.fixture
def t(place):
    place.run("CREATE TABLE t (k int PRIMARY KEY, v text)", "INSERT INTO t VALUES (1, 'a'), (2, NULL)")
    return place


def copied(place, statement, writes=("INSERT INTO t VALUES (3, 'c')", "INSERT INTO t VALUES (4, 'd')")):
    """What a COPY brings until UP TO, and its tag."""
    writer = place.soon(*writes)
    cursor = place.psycopg2(autocommit=True).cursor()
    file = io.BytesIO()
    cursor.copy_expert(statement, file)
    tag = f"COPY {cursor.rowcount}"
    writer.join()
    cursor.execute("SELECT 42")
    return file.getvalue(), tag


def test_text(t):
    data, tag = copied(t, f"COPY (SUBSCRIBE t UP TO {NOW} + 3000) TO STDOUT")
    rows = [line.split("\t")[1:] for line in data.decode().splitlines()]
    assert sorted(rows[:2]) == [["1", "1", "a"], ["1", "2", "\\N"]]
    assert rows[2:] == [["1", "3", "c"], ["1", "4", "d"]]
    assert tag == "COPY 4"


def test_csv_with_one_header(t):
    data, tag = copied(t, f"COPY (SUBSCRIBE t UP TO {NOW} + 3000) TO STDOUT WITH (FORMAT csv, HEADER)")
    lines = data.decode().splitlines()
    assert lines[0] == "mz_timestamp,mz_diff,k,v"
    assert sorted(line.split(",", 1)[1] for line in lines[1:]) == ["1,1,a", "1,2,", "1,3,c", "1,4,d"]
    assert tag == "COPY 4"


def test_binary_is_one_file(t):
    data, tag = copied(t, f"COPY (SUBSCRIBE t UP TO {NOW} + 3000) TO STDOUT WITH (FORMAT binary)")
    assert data.startswith(b"PGCOPY\n\xff\r\n\0") and data.count(b"PGCOPY") == 1
    at, keys = 19, []
    while (count := struct.unpack_from("!h", data, at)[0]) != -1:
        at += 2
        values = []
        for _ in range(count):
            length = struct.unpack_from("!i", data, at)[0]
            at += 4
            values.append(None if length < 0 else data[at:at + length])
            at += max(length, 0)
        keys.append(struct.unpack("!i", values[2])[0])
    assert at + 2 == len(data) and sorted(keys) == [1, 2, 3, 4]
    assert tag == "COPY 4"


@pytest.mark.parametrize("options", ["", "WITH (FORMAT binary)", "WITH (FORMAT csv, HEADER)"])
def test_without_rows(t, options):
    t.run("DELETE FROM t")
    data, tag = copied(t, f"COPY (SUBSCRIBE t UP TO {NOW} + 2000) TO STDOUT {options}", ())
    assert tag == "COPY 0"
    assert data == {"": b"", "WITH (FORMAT binary)": b"PGCOPY\n\xff\r\n\0" + b"\0" * 8 + b"\xff\xff",
                    "WITH (FORMAT csv, HEADER)": b"mz_timestamp,mz_diff,k,v\n"}[options]


def test_progress(t):
    data, _ = copied(t, f"COPY (SUBSCRIBE t WITH (PROGRESS) UP TO {NOW} + 3000) TO STDOUT")
    rows = [line.split("\t") for line in data.decode().splitlines()]
    assert rows[0][1:] == ["t", "\\N", "\\N", "\\N"]
    assert sorted(row[3] for row in rows if row[1] == "f" and int(row[3]) > 2) == ["3", "4"]


def test_errors(t):
    connection = t.psycopg()
    for statement, state in (("COPY (SUBSCRIBE nothing) TO STDOUT", "42P01"),
                             ("COPY (SUBSCRIBE t) TO STDOUT WITH (FORMAT nope)", "22023"),
                             ("COPY (SUBSCRIBE t) TO '/tmp/x'", "42601")):
        with pytest.raises(psycopg.Error) as raised:
            with connection.cursor().copy(statement) as copy:
                list(copy)
        assert raised.value.sqlstate == state
    assert connection.execute("SELECT 42").fetchone() == (42,)


def test_psql(t):
    """The way to watch a stream in psql."""
    result = t.server.psql("-c", f"COPY (SUBSCRIBE {t.schema}.t UP TO {NOW} + 2000) TO STDOUT")
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.splitlines()) == 2


def test_asyncpg_callback(t):
    async def run():
        connection = await t.asyncpg()
        lines, enough = [], asyncio.Event()

        async def output(data):
            lines.extend(bytes(data).splitlines())
            if len(lines) >= 3:
                enough.set()

        reader = asyncio.create_task(connection.copy_from_query("SUBSCRIBE t", output=output))
        writer = t.soon("INSERT INTO t VALUES (3, 'c')")
        await asyncio.wait_for(enough.wait(), 15)
        writer.join()
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        connection.terminate()
        return lines

    assert asyncio.run(run())[2].endswith(b"\t1\t3\tc")
