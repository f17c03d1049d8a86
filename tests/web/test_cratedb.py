"""CrateDB's HTTP endpoint: answers, types, errors, bulk requests, and who may enter."""

import base64
import gzip
import json
import socket
import threading
import time

import pytest
from harness import system
from harness.server import Freshet

from .raw import Raw, request


class Crate(Raw):
    """A connection to the door; requests are POST /_sql."""

    def sql(self, stmt, args=None, bulk=None, query="types", **fields):
        body = {"stmt": stmt} | ({"args": args} if args is not None else {}) | (
            {"bulk_args": bulk} if bulk is not None else {})
        return self.ask("POST", f"/_sql?{query}", json.dumps(body), **fields)

    def rows(self, stmt, args=None, **fields):
        answer = self.sql(stmt, args, **fields)
        assert answer.status == 200, answer.body
        return answer.json["rows"]

    def error(self, stmt, args=None, bulk=None, **fields):
        answer = self.sql(stmt, args, bulk, **fields)
        error = answer.json["error"]
        return answer.status, error["code"], error["message"]


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.fixture
def crate(port):
    with Crate(port) as crate:
        yield crate


@pytest.fixture
def table(crate):
    crate.rows("DROP TABLE IF EXISTS doc.t")
    crate.rows("CREATE TABLE t (id INT PRIMARY KEY, name STRING NOT NULL, n INT CHECK (n < 100))")
    yield "t"
    crate.rows("DROP TABLE IF EXISTS doc.t")


def test_an_answer(crate):
    answer = crate.sql("SELECT name FROM sys.cluster")
    assert answer.fields["content-type"].startswith("application/json")
    found = answer.json
    assert found.pop("duration") >= 0
    assert found == {"cols": ["name"], "col_types": [4], "rows": [["crate"]], "rowcount": 1}
    assert "col_types" not in crate.sql("SELECT 1", query="").json
    assert crate.sql("SELECT 1", query="types=true").json["col_types"] == [9]


@pytest.mark.parametrize("expression, kind, value", [
    ("true", 3, "true"), ("1::short", 8, "1"), ("9223372036854775807", 10, "9223372036854775807"),
    ("12345678901234567890123456789012.5::numeric", 22, "12345678901234567890123456789012.5"),
    ("0.1::double", 6, "0.1"), ("1e300::double", 6, "1e+300"), ("'NaN'::double", 6, "null"),
    ("'Infinity'::real", 7, "null"), ("'NaN'::numeric", 22, "null"),
    ("E'a\"\\\\b\\n\\u0001é'", 4, '"a\\"\\\\b\\u000a\\u0001é"'),
    ("'2020-02-29T12:34:56.789Z'::timestamp with time zone", 11, "1582979696789"),
    ("'1969-12-31 23:59:59.9995'::timestamp", 15, "-1"), ("'0001-01-01'::date", 24, "-62135596800000"),
    ("'infinity'::timestamp with time zone", 11, "null"),
    ("'12:34:56.5+02'::timetz", 20, "[45296500000,7200]"),
    ("'2 days'::interval", 17, '"2 days"'), ("B'0110'", 25, "\"B'0110'\""), ("'10.0.0.1'::ip", 5, '"10.0.0.1"'),
    ("'00000000-0000-0000-0000-000000000001'::uuid", 29, '"00000000-0000-0000-0000-000000000001"'),
    ("{a = 1, b = [1, 2]}", 12, '{"a": 1, "b": [1, 2]}'), ("[1, 2]", [100, 9], "[1,2]"),
    ("['a,b', 'c\"', null, '', 'NULL']", [100, 4], '["a,b","c\\"",null,"","NULL"]'),
    ("'(1.5,-2)'::geo_point", 13, "[1.5,-2]"), ("null", 4, "null"),
])
def test_values_keep_what_they_are(crate, expression, kind, value):
    """The answer as it is on the wire: numbers with all their digits."""
    answer = crate.sql(f"SELECT {expression} AS x")
    assert answer.status == 200, answer.body
    assert answer.json["col_types"] == [kind]
    assert f'"rows":[[{value}]]' in answer.body.decode()


@pytest.mark.parametrize("kind, value, back", [
    ("INT", 5, 5), ("LONG", 2**63 - 1, 2**63 - 1), ("DOUBLE", 0.1, 0.1), ("NUMERIC(40, 5)", "1" * 32 + ".5", None),
    ("NUMERIC(10, 2)", 0.1, 0.1), ("STRING", "é\"\\", "é\"\\"), ("STRING", 7, "7"), ("BOOLEAN", True, True),
    ("TIMESTAMP WITH TIME ZONE", 1582979696789, 1582979696789), ("TIMESTAMP", -1, -1),
    ("TIMESTAMP WITH TIME ZONE", "2020-02-29T12:34:56.789Z", 1582979696789),
    ("TIMESTAMP WITH TIME ZONE", -62198755200000, -62198755200000), ("DATE", 0, 0),
    ("OBJECT", {"a": {"b": [1, "x"]}}, {"a": {"b": [1, "x"]}}), ("ARRAY(STRING)", ["a,b", None, "\""], ["a,b", None, "\""]),
    ("ARRAY(INT)", [[1, 2], [3, 4]], [[1, 2], [3, 4]]), ("ARRAY(INT)", [], []),
    ("ARRAY(OBJECT)", [{"a": 1}], [{"a": 1}]), ("GEO_POINT", [1.5, 2], [1.5, 2]), ("GEO_POINT", "POINT (1 2)", [1, 2]),
    ("INT", None, None),
])
def test_arguments_come_back(crate, kind, value, back):
    crate.rows("DROP TABLE IF EXISTS doc.v")
    crate.rows(f"CREATE TABLE v (x {kind})")
    assert crate.sql("INSERT INTO v (x) VALUES (?)", [value]).json.get("rowcount") == 1
    answer = crate.sql("SELECT x FROM v")
    if isinstance(value, str) and kind.startswith("NUMERIC"):
        assert f'"rows":[[{value}0000]]' in answer.body.decode()
    else:
        assert answer.json["rows"] == [[back]]
    crate.rows("DROP TABLE doc.v")


def test_parameters_by_number_with_gaps_and_surplus(crate, table):
    assert crate.sql("INSERT INTO t (id, name) VALUES ($2, $1), ($4, $3)", ["a", 1, "b", 2]).json["rowcount"] == 2
    assert crate.rows("SELECT name FROM t WHERE id = $2", ["unused", 2, "too"]) == [["b"]]
    assert crate.rows("SELECT count(?) FROM t", ["*"]) == [[2]]
    assert "placeholder $2" in crate.error("SELECT $1, $2", [1])[2]


def test_row_counts(crate, table):
    assert crate.sql("INSERT INTO t (id, name) VALUES (1, 'a'), (2, 'b')").json["rowcount"] == 2
    assert crate.sql("UPDATE t SET name = 'c'").json["rowcount"] == 2
    answer = crate.sql("DELETE FROM t WHERE id = 1").json
    assert (answer["rowcount"], answer["cols"], answer["rows"], answer["col_types"]) == (1, [], [[]], [])
    assert crate.sql("INSERT INTO t (id, name) VALUES (3, 'x') RETURNING id").json["rows"] == [[3]]
    assert crate.sql("REFRESH TABLE t").json["rowcount"] == 1
    assert crate.sql("CREATE TABLE other (x INT)").json["rowcount"] == 1
    assert crate.sql("DROP TABLE other").json["rowcount"] == 1


@pytest.mark.parametrize("stmt, status, code, message", [
    ("SELECT FROM WHERE", 400, 4000, "ParsingException[line 1:"),
    ("SELECT *\nFROM t WHERE", 400, 4000, "ParsingException[line 2:13: mismatched input '<EOF>'"),
    ("SELECT 1; SELECT 2", 400, 4000, "ParsingException[line 1:11"),
    ("", 400, 4000, "ParsingException[line 1:1: mismatched input '<EOF>'"),
    ("SELECT * FROM nothing", 404, 4041, "RelationUnknown[Relation 'nothing' unknown]"),
    ("SELECT * FROM doc.nothing", 404, 4041, "RelationUnknown[Relation 'doc.nothing' unknown]"),
    ("SELECT * FROM nowhere.nothing", 404, 4045, "SchemaUnknownException[Schema 'nowhere' unknown]"),
    ("SELECT * FROM nowhere.nothing WHERE x = 1 AND 'é' = 'é'", 404, 4045, "SchemaUnknownException[Schema 'nowhere'"),
    ("REFRESH TABLE nothing", 404, 4041, "RelationUnknown"),
    ("SELECT nix FROM t", 404, 4043, "ColumnUnknownException[Column nix unknown]"),
    ("CREATE TABLE x (y BLOB)", 400, 4000, "SQLParseException[cannot find data type"),
    ("SELECT foo(1)", 400, 4004, "UnsupportedFunctionException[Unknown function: foo(integer)]"),
    ("CREATE TABLE t (x INT)", 409, 4093, "RelationAlreadyExists[Relation 'doc.t' already exists.]"),
    ("CREATE TABLE doc.t (x INT)", 409, 4093, "RelationAlreadyExists[Relation 'doc.t' already exists.]"),
    ("CREATE USER postgres", 409, 4099, "RoleAlreadyExistsException[Role 'postgres' already exists]"),
    ("DROP USER nobody_at_all", 404, 40410, "RoleUnknownException[Role 'nobody_at_all' does not exist]"),
    ("INSERT INTO t (id, name) VALUES (1, 'again')", 409, 4091, "DuplicateKeyException[A document with the same"),
    ("INSERT INTO t (id, name) VALUES (2, NULL)", 400, 4000, 'SQLParseException["name" must not be null]'),
    ("INSERT INTO t (id, name, n) VALUES (2, 'x', 100)", 400, 4000, "SQLParseException["),
    ("SELECT 'abc'::int", 400, 4000, "SQLParseException[Cannot cast value `abc` to type `integer`]"),
    ("SELECT 1/0", 500, 5000, "ArithmeticException[/ by zero]"),
    ("SELECT 2147483647 + 1", 500, 5000, "ArithmeticException["),
    ("SELECT id FROM t a, t b", 400, 4006, 'AmbiguousColumnException[Column "id" is ambiguous]'),
    ("CREATE TABLE o (x INT) WITH (nonsense = 1)", 400, 4000, 'SQLParseException[Invalid property "nonsense" passed'),
    ("CREATE BLOB TABLE b", 400, 4004, "UnsupportedFeatureException["),
    ("SET GLOBAL stats.enabled = true", 400, 4004, "UnsupportedFeatureException["),
    ("ROLLBACK", 400, 4004, "UnsupportedFeatureException[ROLLBACK"),
])
def test_errors(crate, table, stmt, status, code, message):
    """And the connection stays."""
    crate.rows("INSERT INTO t (id, name) VALUES (1, 'a')")
    found = crate.error(stmt)
    assert found[:2] == (status, code) and found[2].startswith(message), found
    assert crate.rows("SELECT 1") == [[1]]


@pytest.mark.parametrize("body", [
    "", "nonsense", "[]", "{}", '{"stmt": 1}', '{"stmt": "SELECT 1", "other": 1}', '{"stmt": "SELECT 1", "args": 1}',
    '{"stmt": "SELECT 1", "bulk_args": [1]}', '{"stmt": "SELECT 1", "args": [1], "bulk_args": [[1]]}',
    '{"stmt": "SELECT 1"} more', '{"stmt": "SELECT 1", "stmt": "SELECT 2"}', '{"stmt": "SELECT \\u0000"}',
    b'{"stmt": "SELECT \xff"}', "[" * 10000,
])
def test_bodies_that_say_nothing(crate, body):
    answer = crate.ask("POST", "/_sql", body)
    assert answer.status == 400 and answer.json["error"]["code"] == 4000
    assert answer.json["error"]["message"].startswith("SQLParseException[")
    assert crate.rows("SELECT 1") == [[1]]


@pytest.mark.parametrize("number", ["0.123456789012345678", "-1234567890.1234567890123", "1234567890123456789e3",
                                    "0.12345678901234567", "0.10000000000000001", "[{\"a\": 0.1234567890123456789}]"])
def test_a_number_that_a_double_cannot_hold_is_refused(crate, number):
    answer = crate.ask("POST", "/_sql", '{"stmt": "SELECT ?::numeric", "args": [%s]}' % number)
    assert answer.json["error"]["code"] == 4000 and "send it as a string" in answer.json["error"]["message"]


@pytest.mark.parametrize("number", ["0.1", "100000000000000000000.0", "0.000000000000000000000000001", "1.5e300",
                                    "0.12345678901234568", "0.30000000000000004", "9223372036854775807", '"0.1234567890123456789"'])
def test_other_numbers_are_what_they_were(crate, number):
    answer = crate.ask("POST", "/_sql", '{"stmt": "SELECT ?::numeric = \'%s\'", "args": [%s]}' % (number.strip('"'), number))
    assert answer.json["rows"] == [[True]]


def test_error_trace(crate):
    answer = crate.sql("SELECT nix", query="error_trace=true").json
    assert answer["error_trace"].startswith("io.crate.exceptions.ColumnUnknownException: Column nix unknown")
    assert "error_trace" not in crate.sql("SELECT nix", query="error_trace=false").json


def test_bulk(crate, table):
    insert = "INSERT INTO t (id, name, n) VALUES (?, ?, ?)"
    assert crate.sql(insert, bulk=[[i, "x", i % 100] for i in range(100)]).json["results"] == [{"rowcount": 1}] * 100
    answer = crate.sql(insert, bulk=[[200, "a", 1], [1, "dup", 1], [201, "b", 200], [202, "c", 1], [203, None, 1]])
    results = answer.json["results"]
    assert [result["rowcount"] for result in results] == [1, -2, -2, 1, -2]
    assert results[1]["error"]["code"] == 4091 and "DuplicateKeyException" in results[1]["error"]["message"]
    assert results[2]["error"]["code"] == results[4]["error"]["code"] == 4000
    assert "col_types" not in answer.json and answer.json["cols"] == []
    assert crate.rows("SELECT id FROM t WHERE id >= 200 ORDER BY id") == [[200], [202]]
    assert crate.sql(insert, bulk=[[1, "dup", 1]]).json["results"][0]["rowcount"] == -2
    assert crate.sql(insert, bulk=[]).json["results"] == []
    # many that fail: all counted, ten told
    results = crate.sql(insert, bulk=[[i, "x", 1] for i in range(90, 130)]).json["results"]
    assert [result["rowcount"] for result in results] == [-2] * 10 + [1] * 30
    results = crate.sql(insert, bulk=[[i, "x", 1] for i in range(50)]).json["results"]
    assert [result["rowcount"] for result in results] == [-2] * 50
    assert ["error" in result for result in results] == [True] * 10 + [False] * 40
    assert [r["rowcount"] for r in crate.sql("UPDATE t SET n = ? WHERE id = ?", bulk=[[1, 1], [1, 999]]).json["results"]] == [1, 0]
    assert [r["rowcount"] for r in crate.sql("DELETE FROM t WHERE id < ?", bulk=[[5], [5]]).json["results"]] == [5, 0]
    assert crate.error("SELECT ?", bulk=[[1]])[:2] == (400, 4004)


@pytest.mark.parametrize("wrong", [0, 1, 2])
def test_a_value_of_the_wrong_type_fails_the_whole_request(crate, table, wrong):
    rows = [[1, "a"], [2, "b"], [3, "c"]]
    rows[wrong][0] = "abc"
    assert crate.error("INSERT INTO t (id, name) VALUES (?, ?)", bulk=rows)[:2] == (400, 4000)
    assert crate.rows("SELECT count(*) FROM t") == [[0]]


def test_a_large_bulk_request_by_gzip(crate, table):
    rows = [[i, "name " * 20] for i in range(20000)]
    rows[15000][0] = 7
    body = gzip.compress(json.dumps({"stmt": "INSERT INTO t (id, name) VALUES (?, ?)", "bulk_args": rows}).encode())
    answer = crate.ask("POST", "/_sql", body, content_encoding="gzip")
    counts = [result["rowcount"] for result in answer.json["results"]]
    assert counts.count(1) == 19999 and counts[15000] == -2
    assert crate.rows("SELECT count(*) FROM t") == [[19999]]


def test_inflated_bodies_are_limited(port):
    body = gzip.compress(b" " * (101 * 1024 * 1024))
    with Crate(port) as crate:
        assert crate.ask("POST", "/_sql", body, content_encoding="gzip").status == 413
        assert crate.at_end()
    with Crate(port) as crate:
        crate.send(request("POST", "/_sql", content_length=str(101 * 1024 * 1024)))
        assert crate.answer().status == 413
    with Crate(port) as crate:
        assert crate.ask("POST", "/_sql", b"no gzip", content_encoding="gzip").status == 400


def test_chunks_and_continue(crate):
    body = json.dumps({"stmt": "SELECT 1"}).encode()
    crate.send(request("POST", "/_sql", transfer_encoding="chunked", expect="100-continue"))
    assert crate.answer().status == 100
    for byte in body:
        crate.send(b"1\r\n" + bytes([byte]) + b"\r\n")
    crate.send(b"0\r\nTrailer: x\r\n\r\n")
    assert crate.answer().json["rows"] == [[1]]
    assert crate.rows("SELECT 2") == [[2]]


def test_pipelined_requests_of_all_kinds(port):
    """1,000 on one connection, good and bad: each answer belongs to its own request."""
    with Crate(port) as crate:
        expected = []
        for i in range(1000):
            kind = i % 4
            stmt = ["SELECT %d" % i, "SELECT nix%d" % i, "SELECT", "SELECT ?::int + 1"][kind]
            body = json.dumps({"stmt": stmt, "args": [i]})
            crate.send(request("GET", f"/_blobs/t/{i}") if i % 10 == 9 else request("POST", "/_sql", body))
            expected.append((i, "blob" if i % 10 == 9 else kind))
            if i % 50 == 49:
                for number, what in expected:
                    answer = crate.answer()
                    if what == "blob":
                        assert answer.status == 404 and f"/t/{number}]".encode() in answer.body
                    elif what == 0:
                        assert answer.json["rows"] == [[number]]
                    elif what == 1:
                        assert f"nix{number} " in answer.json["error"]["message"]
                    elif what == 2:
                        assert answer.status == 400
                    else:
                        assert answer.json["rows"] == [[number + 1]]
                expected = []


def test_sessions(port):
    """What is SET holds for the connection and its user, and for nobody else."""
    with Crate(port) as one, Crate(port) as other:
        assert one.sql("SET statement_timeout = '123s'").json["rowcount"] == 0
        assert one.rows("SHOW statement_timeout") == [["123s"]]
        assert one.rows("SELECT ? || 'x'", ["a"]) == one.rows("SELECT ? || 'x'", ["a"]) == [["ax"]]
        assert other.rows("SHOW statement_timeout") == [["0"]]
        assert one.rows("SHOW statement_timeout", default_schema="sys") == [["0"]]
        one.sql("SET statement_timeout = '50ms'")
        assert one.error("SELECT pg_sleep(10)")[:2] == (500, 5005)
        assert one.rows("RESET statement_timeout") == [[]]
        assert one.rows("SHOW statement_timeout") == [["0"]]
    with Crate(port) as next_one:
        assert next_one.rows("SHOW statement_timeout") == [["0"]]


def test_nothing_of_a_request_is_left_for_others(port, crate):
    """Nor, a moment later, for its own connection."""
    for _ in range(5):
        crate.rows("SELECT set_config('application_name', 'left', false), pg_advisory_lock(42), ?::text", ["x"])
        with Crate(port) as other:
            assert other.rows("SHOW application_name") != [["left"]]
            system.wait_until(lambda: other.rows("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
                                                 " AND objid = 42") == [[0]])
        assert crate.rows("SHOW application_name") != [["left"]]


def test_default_schema(crate):
    crate.rows("DROP SCHEMA IF EXISTS my_schema CASCADE")
    crate.rows("CREATE TABLE t1 AS SELECT 7 AS x", default_schema="my_schema")
    assert crate.rows("SELECT x FROM my_schema.t1") == [[7]]
    assert crate.rows("SELECT x FROM t1", default_schema="my_schema") == [[7]]
    assert crate.error("SELECT x FROM t1")[1] == 4041
    assert crate.rows("SELECT current_schema") == [["doc"]]
    assert crate.error("SELECT x FROM t1", default_schema='a" b\\, c')[1] == 4041
    crate.rows("DROP SCHEMA my_schema CASCADE")


@pytest.fixture(scope="module")
def admin(server):
    with server.psycopg("postgres") as connection:
        connection.execute("CREATE ROLE admin_http LOGIN PASSWORD 'pass:word'")
        yield "admin_http"
        connection.execute("DROP ROLE admin_http")


def test_who_may_enter(port, admin):
    right = basic(admin, "pass:word")
    with Crate(port) as crate:
        assert crate.rows("SELECT current_user", authorization=right) == [[admin]]
        assert crate.rows("SELECT current_user") == [["crate"]]
        assert crate.rows("SELECT current_user", x_user="crate") == [["crate"]]
        assert crate.rows("SELECT current_user", authorization=basic("crate", "anything")) == [["crate"]]
        assert crate.rows("SELECT current_user", authorization=right, origin="http://elsewhere") == [[admin]]
    for fields in ({"authorization": basic(admin, "wrong")}, {"authorization": basic(admin, "")}, {"x_user": admin},
                   {"authorization": basic("nobody", "x")}, {"authorization": "Bearer x"}, {"authorization": "Basic !"},
                   {"authorization": "Basic " + base64.b64encode(b"a\0b:c").decode()},
                   {"authorization": basic("", "x")}):
        with Crate(port) as crate:
            answer = crate.sql("SELECT 1", **fields)
            assert (answer.status, answer.fields["connection"]) == (401, "close")
            assert answer.fields["www-authenticate"] == 'Basic realm="CrateDB Authenticator"'
            assert answer.fields["content-type"].startswith("text/plain")
            assert crate.at_end()


def test_nothing_of_a_body_is_read_before_its_sender_is_known(port, admin):
    with Crate(port) as crate:
        assert crate.ask("POST", "/_sql", "nonsense", authorization=basic(admin, "wrong")).status == 401
    with Crate(port) as crate:
        assert crate.ask("POST", "/_sql", "nonsense", authorization=basic(admin, "pass:word")).status == 400


def test_who_leaves_while_a_large_body_is_read(server, port, table):
    body = json.dumps({"stmt": "INSERT INTO t (id, name) VALUES (?, ?)", "bulk_args": [[i, "x"] for i in range(200000)]})
    for _ in range(5):
        with Crate(port) as crate:
            crate.send(request("POST", "/_sql", body))
    system.wait_until(lambda: connections(server, port) == 1, what="all but the fixture's are closed")
    with Crate(port) as crate:
        assert crate.rows("SELECT count(*) FROM t WHERE name <> 'x'") == [[0]]


def test_a_right_that_is_missing(port, admin, crate, table):
    answer = Crate(port).sql("SELECT * FROM t", authorization=basic(admin, "pass:word"))
    assert answer.status == 401 and answer.json["error"]["code"] == 4011
    assert answer.json["error"]["message"].startswith(f"MissingPrivilegeException[Missing 'DQL' privilege for user '{admin}'")


@pytest.mark.parametrize("fields", [
    {"origin": "null"}, {"origin": "http://localhost:4200"}, {"sec_fetch_site": "cross-site"},
    {"sec_fetch_site": "same-site"}, {"forwarded": "for=1.2.3.4"}, {"x_forwarded_for": "127.0.0.1"},
    {"via": "1.1 proxy"}, {"host": "evil.example"}, {"host": "localhost.evil.example:4200"},
])
def test_a_web_page_and_a_proxy_are_not_trusted(port, fields):
    with Crate(port) as crate:
        assert crate.sql("CREATE USER made_by_a_page", **fields).status == 401
        assert crate.at_end()
    with Crate(port) as crate:
        assert crate.rows("SELECT count(*) FROM pg_roles WHERE rolname = 'made_by_a_page'") == [[0]]


def sleepers(server) -> int:
    with server.psycopg("native") as connection:
        return connection.execute("SELECT count(*) FROM pg_stat_activity WHERE state = 'active'"
                                  " AND query LIKE 'SELECT pg_sleep(3600)%'").fetchone()[0]


@pytest.mark.parametrize("way", ["close", "reset", "tls"])
def test_who_leaves_has_his_query_cancelled(server, port, way):
    with Crate(port) as crate:
        crate.send(request("POST", "/_sql", json.dumps({"stmt": "SELECT pg_sleep(3600)"})))
        system.wait_until(lambda: sleepers(server) == 1, what="the query runs")
        if way == "reset":
            crate.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    system.wait_until(lambda: sleepers(server) == 0, what="the query is cancelled")


def test_half_closed_clients_get_a_slow_answer(port):
    with Crate(port) as crate:
        crate.send(request("POST", "/_sql", json.dumps({"stmt": "SELECT pg_sleep(1.2)"})))
        crate.socket.shutdown(socket.SHUT_WR)
        answer = crate.answer()
        while answer.status == 100:
            answer = crate.answer()
        assert answer.status == 200
        assert crate.at_end()


def test_resets_in_mid_body_leave_nothing(server, port):
    """100 of them: no backend, no memory."""
    before = system_memory(server)
    for i in range(100):
        with Crate(port) as crate:
            crate.send(request("POST", "/_sql", b"x" * 1000, content_length="100000"))
            crate.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    with Crate(port) as crate:
        assert crate.rows("SELECT 1") == [[1]]
    system.wait_until(lambda: connections(server, port) == 0, what="all connections are closed")
    assert system_memory(server) - before < 20 * 1024 * system.SLOWNESS


def system_memory(server) -> int:
    """Of the server, in kB."""
    with open(f"/proc/{server.process.pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def connections(server, port) -> int:
    """Open ones at a port."""
    with open("/proc/net/tcp") as table:
        return sum(1 for line in table if line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "01")


def test_a_slow_reader_holds_little_and_delays_nobody(server, port):
    before = system_memory(server)
    with Crate(port) as slow, Crate(port) as other:
        slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        body = json.dumps({"stmt": "SELECT repeat('x', 1000) FROM generate_series(1, 1000000)"})  # 1 GB
        slow.send(request("POST", "/_sql", body))
        assert slow.socket.recv(1) == b"H"
        for _ in range(50):
            begun = time.monotonic()
            assert other.rows("SELECT 1") == [[1]]
            assert time.monotonic() - begun < 2
        assert system_memory(server) - before < 30 * 1024 * system.SLOWNESS
    system.wait_until(lambda: connections(server, port) == 0, what="it is closed")


def test_a_large_result_streams(crate):
    answer = crate.sql("SELECT i, repeat('x', 100) FROM generate_series(1, 100000) AS s(i)")
    assert answer.fields["transfer-encoding"] == "chunked"
    assert answer.json["rowcount"] == 100000 and answer.json["rows"][-1] == [100000, "x" * 100]


def test_an_error_in_the_middle_of_a_large_result_is_seen(crate):
    crate.send(request("POST", "/_sql", json.dumps(
        {"stmt": "SELECT repeat('x', 100), 1 / (100000 - i) FROM generate_series(1, 100000) AS s(i)"})))
    with pytest.raises((EOFError, ConnectionError)):
        crate.answer()


@pytest.fixture(scope="module")
def small_server():
    """A server with places for 15 backends by HTTP."""
    server = Freshet(ports={"cratedb": system.free_port()}, arguments=["--max-connections", "60"]).start()
    yield server
    server.stop()
    server.remove()


def test_many_idle_connections_and_some_active_ones(small_server):
    """500 and 50: backends are for who works, and who finds none free waits."""
    port = small_server.ports["cratedb"]
    idle = [Crate(port) for _ in range(500)]
    for crate in idle[::50]:
        assert crate.ask("GET", "/").status == 200
    failures = []

    def work():
        with Crate(port) as crate:
            for i in range(10):
                if crate.rows("SELECT ?::int", [i]) != [[i]]:
                    failures.append(i)
    threads = [threading.Thread(target=work) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    with Crate(port) as crate:
        assert crate.rows("SELECT count(*) FROM pg_stat_activity WHERE usename = 'crate'")[0][0] <= 15
    for crate in idle:
        crate.__exit__()


def test_too_many_requests(small_server):
    """Who has waited too long is refused; some seconds long, for that is the wait."""
    port = small_server.ports["cratedb"]
    asleep = [Crate(port) for _ in range(15)]
    for crate in asleep:
        crate.send(request("POST", "/_sql", json.dumps({"stmt": "SELECT pg_sleep(3600)"})))
    system.wait_until(lambda: sleepers(small_server) == 15, what="all places are taken")
    with Crate(port) as crate:
        assert crate.error("SELECT 1")[0] == 429
        for sleeper in asleep:
            sleeper.__exit__()
        assert crate.rows("SELECT 1") == [[1]]


def test_backends_that_were_ended_are_not_lent(server, crate):
    for _ in range(5):
        assert crate.rows("SELECT 1") == [[1]]
        with server.psycopg("native") as connection:
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'crate'")
            system.wait_until(lambda: connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE usename = 'crate'").fetchone()[0] == 0)


def test_a_view_made_here_is_fresh(crate):
    crate.rows("DROP TABLE IF EXISTS doc.bids CASCADE")
    crate.rows("CREATE TABLE bids (item INT, amount INT)")
    crate.rows("CREATE MATERIALIZED VIEW totals AS SELECT item, sum(amount) AS total FROM bids GROUP BY item")
    for _ in range(3):
        crate.sql("INSERT INTO bids (item, amount) VALUES (?, ?)", bulk=[[i % 7, i] for i in range(1000)])
        assert crate.rows("SELECT sum(total) FROM totals") == crate.rows("SELECT sum(amount) FROM bids")
    assert crate.rows("SELECT freshet.verify('doc.totals')") == [[0]]
    crate.rows("DROP MATERIALIZED VIEW totals")
    crate.rows("DROP TABLE bids")
