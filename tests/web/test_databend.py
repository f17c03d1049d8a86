"""Databend's HTTP endpoint: queries and their pages, sessions, errors, stages, and who may enter."""

import base64
import gzip
import json
import threading
import time
import uuid

import pytest
from harness import system
from harness.server import Freshet

from .raw import Raw


def basic(user, password=""):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class Databend(Raw):
    """A connection to the door; root's unless `authorization` says otherwise."""

    def post(self, sql, authorization=basic("root"), session=None, fields=None, **more):
        body = {"sql": sql} | ({"session": session} if session else {}) | more
        return self.ask("POST", "/v1/query", json.dumps(body), **({"authorization": authorization} | (fields or {})))

    def query(self, sql, **more):
        answer = self.post(sql, **more)
        assert answer.status == 200, answer.body
        found = answer.json
        assert found["error"] is None, found["error"]
        return found

    def rows(self, sql, **more):
        return self.query(sql, **more)["data"]

    def error(self, sql, **more):
        answer = self.post(sql, **more)
        found = answer.json
        assert answer.status == 200 and found["state"] == "Failed" and found["data"] == [], found
        return found["error"]["code"], found["error"]["message"]

    def get(self, target, method="GET", authorization=basic("root")):
        return self.ask(method, target, authorization=authorization)

    def upload(self, content: bytes, path=None):
        """Put a file by a presigned URL; its place in the stage."""
        path = path or f"{uuid.uuid4().hex}.csv"
        ((method, headers, url),) = self.rows(f"presign upload @~/{path}")
        assert (method, headers) == ("PUT", "{}") and url.startswith("http://localhost/v1/stage_upload/")
        answer = self.ask("PUT", url.removeprefix("http://localhost"), content)
        assert answer.status == 200, answer.body
        return f"@~/{path}"


@pytest.fixture
def databend(server):
    with Databend(server.ports["databend"]) as databend:
        yield databend


@pytest.fixture
def table(databend):
    databend.rows("CREATE OR REPLACE TABLE t (id INT NOT NULL, name VARCHAR NOT NULL, n BIGINT NULL)")
    yield "t"
    with Databend(databend.socket.getpeername()[1]) as other:
        other.rows("DROP TABLE IF EXISTS default.t")


def test_health_needs_nobody(databend):
    assert databend.ask("GET", "/v1/health").status == 200
    assert databend.ask("GET", "/nowhere", authorization=basic("root")).json["error"]["code"] == 404


def test_an_answer(databend):
    found = databend.query("select 1, 'x' AS name;", fields={"x_databend_query_id": "my-query_1"})
    assert found["id"] == "my-query_1"
    assert found["schema"] == [{"name": "1", "type": "Nullable(Int32)"}, {"name": "name", "type": "Nullable(String)"}]
    assert (found["data"], found["state"], found["next_uri"]) == ([["1", "x"]], "Succeeded", None)
    assert found["session"]["database"] == "default" and found["session"]["txn_state"] == "AutoCommit"
    assert found["stats"]["result_progress"]["rows"] == 1
    # an id that cannot stand in a URL is replaced
    assert databend.query("select 1", fields={"x_databend_query_id": "a/../b"})["id"] != "a/../b"


@pytest.mark.parametrize("column, value, kind, text", [
    ("BOOLEAN", "true", "Boolean", "1"), ("TINYINT", "-128", "Int8", "-128"), ("UINT8", "255", "UInt8", "255"),
    ("SMALLINT", "1", "Int16", "1"), ("UINT16", "65535", "UInt16", "65535"), ("INT", "1", "Int32", "1"),
    ("UINT32", "4294967295", "UInt32", "4294967295"), ("BIGINT", "9223372036854775807", "Int64", "9223372036854775807"),
    ("UINT64", "18446744073709551615", "UInt64", "18446744073709551615"), ("FLOAT", "0.1", "Float32", "0.1"),
    ("DOUBLE", "0.1", "Float64", "0.1"), ("DOUBLE", "'NaN'", "Float64", "nan"), ("DOUBLE", "'-Infinity'", "Float64", "-inf"),
    ("DECIMAL(38, 10)", "1.5", "Decimal(38, 10)", "1.5000000000"), ("VARCHAR", "'it''s \\\\ \\'x\\''", "String", "it's \\ 'x'"),
    ("DATE", "'2020-02-29'", "Date", "2020-02-29"),
    ("TIMESTAMP", "'2020-02-29 12:34:56'", "Timestamp", "2020-02-29 12:34:56.000000"),
    ("TIMESTAMP", "'1969-12-31 23:59:59.5'", "Timestamp", "1969-12-31 23:59:59.500000"),
    ("VARIANT", "{'a': [1, 'x y']}", "Variant", '{"a":[1,"x y"]}'), ("BINARY", "'\\\\x1fa0'", "Binary", "1FA0"),
    ("ARRAY(INT)", "[1, NULL, 3]", "Array(Int32)", "[1,NULL,3]"),
    ("ARRAY(STRING)", "['a', 'b,\"c', 'NULL']", "Array(String)", '["a","b,\\"c","NULL"]'),
    ("ARRAY(TIMESTAMP)", "['2020-01-01 00:00:00']::ARRAY(TIMESTAMP)", "Array(Timestamp)", '["2020-01-01 00:00:00.000000"]'),
])
def test_types(databend, column, value, kind, text):
    databend.rows(f"CREATE OR REPLACE TABLE types (a {column} NOT NULL)")
    assert databend.rows(f"INSERT INTO types VALUES ({value})") == [["1"]]
    found = databend.query("SELECT a FROM types")
    assert (found["schema"], found["data"]) == ([{"name": "a", "type": kind}], [[text]])


def test_a_type_has_its_range(databend):
    databend.rows("CREATE OR REPLACE TABLE types (a TINYINT, b UINT8)")
    assert databend.error("INSERT INTO types VALUES (128, 0)")[0] == 1133
    assert databend.error("INSERT INTO types VALUES (0, -1)")[0] == 1133


@pytest.mark.parametrize("sql, row", [
    ("3 / 2, 4 / 2, 7 // 2, 1::DECIMAL(10, 2) / 4", ["1.5", "2", "3", "0.25000000000000000000"]),
    ("if(1 > 2, 'a', 'b'), ifnull(NULL, 3), concat('a', NULL), nullif(1, 1)", ["b", "3", None, None]),
    ("to_date('2020-01-01'), date_add(day, 1, to_date('2020-01-31')), date_diff(month, to_date('2020-01-31'), to_date('2020-02-01'))",
     ["2020-01-01", "2020-02-01 00:00:00.000000", "1"]),
    ("parse_json('{\"a\": {\"b\": [1, 2]}}'):a.b[1], 'c:\\temp', 'a\\tb'", ["2", "c:\temp", "a\tb"]),
])
def test_expressions(databend, sql, row):
    assert databend.rows(f"SELECT {sql}") == [row]


def test_a_column_of_decimals_has_one_scale(databend):
    """Clients take the digits by it."""
    found = databend.query("SELECT a, sum(a) OVER () FROM (VALUES (1.5), (2), (0.25), (NULL)) AS v (a) ORDER BY a")
    assert [column["type"] for column in found["schema"]] == ["Nullable(Decimal(38, 2))", "Nullable(Decimal(38, 2))"]
    assert [row[0] for row in found["data"]] == ["0.25", "1.50", "2.00", None]
    sql = "SELECT CASE WHEN number < 10 THEN 1.5 ELSE {} END FROM numbers(15) ORDER BY number"
    first = databend.query(sql.format("0.00000000000000000001"), pagination={"max_rows_per_page": 10})
    assert first["schema"][0]["type"] == "Nullable(Decimal(76, 20))" and first["data"][0] == ["1.50000000000000000000"]
    assert databend.get(first["next_uri"]).json["data"][0] == ["0.00000000000000000001"]
    # what does not fit into the scale that was told is not rounded
    first = databend.query(sql.format("0.000000000000000000001"), pagination={"max_rows_per_page": 10})
    assert databend.get(first["next_uri"]).json["error"]["code"] == 1006


def test_null_and_its_spellings(databend, table):
    databend.rows("INSERT INTO t VALUES (1, 'NULL', NULL), (2, 'null', 5)")
    sql = "SELECT n, name FROM t ORDER BY n DESC"
    # NULL comes last, also when the order descends
    assert databend.rows(sql) == [["5", "null"], [None, "NULL"]]
    assert databend.rows(sql, string_fields=True) == [["5", "null"], ["NULL", "NULL"]]
    assert databend.rows(sql, session={"settings": {"format_null_as_str": "1"}}) == [["5", "null"], ["NULL", "NULL"]]


def test_counts(databend, table):
    found = databend.query("INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2)")
    assert found["schema"] == [{"name": "number of rows inserted", "type": "UInt64"}]
    assert (found["data"], found["stats"]["write_progress"]["rows"]) == ([["2"]], 2)
    assert databend.rows("UPDATE t SET n = n / 2 WHERE id = 2") == [["1"]]
    assert databend.rows("DELETE FROM t") == [["2"]]


@pytest.mark.parametrize("sql, code, message", [
    ("select a from t, x y z", 1005, "unexpected"), ("selec 1", 1002, "selec is not supported"), ("", 1005, "end of input"),
    ("select 1; select 2", 1005, "more than one"), ("select * from nope", 1025, "Unknown table 'nope'"),
    ("select * from nodb.t", 1025, "Unknown table 'nodb.t'"), ("create table nodb.t (a int)", 1003, "Unknown database 'nodb'"),
    ("select nope from t", 1065, 'column "nope" does not exist'), ("select nope(1)", 1008, "nope"),
    ("select 3 / 0", 1006, "divided by zero"), ("select 'x'::int", 1006, "invalid input"),
    ("insert into t values (NULL, 'a', 1)", 1006, "null value in column `id` of table `t`"),
    ("insert into t (id, name) values (1)", 1006, "more target columns than expressions"), ("create table t (a int)", 2302, "exists"),
    ("create table u (a bitmap)", 1005, "bitmap"), ("create database default", 2301, "exists"), ("use nodb", 1003, "nodb"),
    ("set nope = 1", 2801, "nope"), ("drop user nope", 2201, "nope"), ("create user root identified by 'x'", 2202, "root"),
    ("merge into t using u on a when matched then delete", 1002, "MERGE INTO"), ("select ?", 1006, "no value"),
    ("select id from t qualify 1", 1005, "qualify"), ("create stream s on table t", 1002, "CREATE STREAM"),
    ("create or replace temp table u (a int)", 1002, "CREATE OR REPLACE TEMPORARY TABLE"), ("set timezone = 'Mars/Phobos'", 1006, "Mars/Phobos"),
])
def test_errors(databend, table, sql, code, message):
    found = databend.error(sql)
    assert found[0] == code and message in found[1], found
    assert databend.rows("select 1") == [["1"]]


def test_an_error_points_at_its_place(databend, table):
    assert databend.error("select\n  nope from t")[1].startswith("error: \n  --> SQL:2:3\n  |\n2 |   nope from t\n  |   ^ ")


@pytest.mark.parametrize("body", ["x", "[]", "{}", '{"sql": 1}', '{"sql": "select 1", "sql": "select 2"}'])
def test_a_body_that_is_none(databend, body):
    answer = databend.ask("POST", "/v1/query", body, authorization=basic("root"))
    assert answer.status == 400 and answer.json["error"]["code"] == 400


def test_parameters(databend):
    assert databend.rows("SELECT ?::int + ?::int, ?", params=[1, 2, "it's \\"]) == [["3", "it's \\"]]
    assert databend.rows("SELECT :a::int, :b, :a::int", params={"a": 1, "b": None}) == [["1", None, "1"]]


# -- the session


def test_a_session_comes_back(databend):
    databend.rows("CREATE DATABASE IF NOT EXISTS shop")
    used = databend.query("USE shop", session={"database": "default", "mine": [1]})
    assert used["affect"] == {"type": "UseDB", "name": "shop"}
    assert (used["session"]["database"], used["session"]["mine"]) == ("shop", [1])
    session = databend.query("SET timezone = 'Asia/Tokyo'", session=used["session"])["session"]
    assert session["settings"]["timezone"] == "Asia/Tokyo"
    databend.rows("CREATE OR REPLACE TABLE moments (a TIMESTAMP)", session=session)
    databend.rows("INSERT INTO moments VALUES ('2020-01-01 09:00:00')", session=session)
    assert databend.rows("SELECT * FROM shop.moments") == [["2020-01-01 00:00:00.000000"]]
    assert databend.query("SHOW TABLES", session=session)["schema"][0]["name"] == "Tables_in_shop"
    assert databend.rows("SHOW SETTINGS LIKE 'timezone'", session=session) == [["timezone", "Asia/Tokyo", "SESSION"]]
    assert "timezone" not in databend.query("UNSET timezone", session=session)["session"]["settings"]
    assert databend.rows("SELECT currentDatabase()", session=session) == [["shop"]]
    # what no session was sent with is as at the beginning
    assert databend.rows("SELECT currentDatabase()") == [["default"]]
    databend.rows("DROP DATABASE shop")


def test_the_database_used_last_helps_who_forgets_it(databend):
    databend.rows("CREATE DATABASE IF NOT EXISTS shop")
    databend.rows("USE shop")
    databend.rows("CREATE TABLE IF NOT EXISTS only_there (a INT)", session={"database": "shop"})
    assert databend.rows("SELECT * FROM only_there") == []
    # not for what changes anything
    assert databend.error("INSERT INTO only_there VALUES (1)")[0] == 1025
    databend.rows("DROP DATABASE shop")


def test_leniency_can_be_turned_off():
    server = Freshet(ports={"databend": system.free_port()}, arguments=["--databend-lenient", "off"]).start()
    with Databend(server.ports["databend"]) as strict:
        strict.rows("CREATE DATABASE shop")
        strict.rows("USE shop")
        strict.rows("CREATE TABLE only_there (a INT)", session={"database": "shop"})
        assert strict.error("SELECT * FROM only_there")[0] == 1025
        strict.rows("CREATE TABLE t (x INT, y STRING)")
        place = strict.upload(b"1,a\n")
        assert strict.error("INSERT INTO t (c, d) VALUES", stage_attachment={"location": place})[0] == 1065
    server.stop()
    server.remove()


def test_login_and_the_rest_of_a_session(databend):
    answer = databend.ask("POST", "/v1/session/login?disable_session_token=true", "{}", authorization=basic("root"))
    assert answer.status == 200 and answer.json["version"] == "1.2.780" and answer.json["tokens"] is None
    heartbeat = databend.ask("POST", "/v1/session/heartbeat", "{}", authorization=basic("root"))
    assert heartbeat.json == {"queries_to_remove": []}
    assert databend.ask("POST", "/v1/session/logout", "{}", authorization=basic("root")).json == {"error": None}


# -- transactions and temporary tables


class Session:
    """A client that sends back what it is given, by a connection for each request."""

    def __init__(self, server, authorization=basic("root"), **settings):
        self.server, self.authorization = server, authorization
        self.session = {"database": "default", "settings": settings}

    def post(self, sql, **more):
        with Databend(self.server.ports["databend"]) as databend:
            found = databend.post(sql, session=self.session, authorization=self.authorization, **more).json
        self.session = found["session"]
        return found

    def rows(self, sql, **more):
        found = self.post(sql, **more)
        assert found["error"] is None, found["error"]
        return found["data"]

    def state(self):
        return self.session["txn_state"], self.session["need_sticky"], self.session["need_keep_alive"], "internal" in self.session


AUTO_COMMIT = ("AutoCommit", False, False, False)


def test_a_transaction(databend, server, table):
    mine = Session(server)
    mine.rows("BEGIN")
    assert mine.state() == ("Active", True, True, True)
    mine.rows("INSERT INTO t VALUES (1, 'a', 1)")
    assert mine.rows("SELECT count(*) FROM t") == [["1"]]
    assert databend.rows("SELECT count(*) FROM t") == [["0"]]
    mine.rows("COMMIT")
    assert mine.state() == AUTO_COMMIT and databend.rows("SELECT count(*) FROM t") == [["1"]]
    mine.rows("BEGIN TRANSACTION")
    mine.rows("INSERT INTO t VALUES", stage_attachment={"location": databend.upload(b"2,b,2\n")})
    assert mine.rows("SELECT count(*) FROM t") == [["2"]]
    mine.rows("ROLLBACK")
    assert mine.state() == AUTO_COMMIT and databend.rows("SELECT count(*) FROM t") == [["1"]]
    assert mine.rows("COMMIT") == []


def test_a_transaction_that_fails(databend, server, table):
    mine = Session(server)
    mine.rows("BEGIN")
    mine.rows("INSERT INTO t VALUES (1, 'a', 1)")
    assert mine.post("SELECT 1 / 0")["error"]["code"] == 1006 and mine.state()[0] == "Fail"
    assert mine.post("SELECT 1")["error"]["code"] == 4002
    assert mine.rows("COMMIT") == [] and mine.state() == AUTO_COMMIT
    assert databend.rows("SELECT count(*) FROM t") == [["0"]]


def test_a_transaction_is_its_clients(databend, server, table):
    databend.rows("CREATE USER IF NOT EXISTS other IDENTIFIED BY 'x'")
    mine = Session(server)
    mine.rows("BEGIN")
    mine.rows("INSERT INTO t VALUES (1, 'a', 1)")
    for session in (mine.session, mine.session | {"internal": "0" * 32}, mine.session | {"internal": 1}):
        theirs = Session(server, basic("other", "x"))
        theirs.session = session
        assert theirs.post("SELECT count(*) FROM t")["error"]["code"] == 4003
    mine.rows("ROLLBACK")


def test_a_page_in_a_transaction(databend, server):
    mine = Session(server)
    mine.rows("BEGIN")
    first = mine.post("SELECT number FROM numbers(25)", pagination={"max_rows_per_page": 10})
    assert mine.state()[0] == "Active"
    # until all rows are read the backend is the query's
    other = Session(server)
    other.session = first["session"]
    assert other.post("SELECT 1")["error"]["code"] == 4003
    second = databend.get(first["next_uri"]).json
    last = databend.get(second["next_uri"]).json
    assert len(last["data"]) == 5 and last["session"]["txn_state"] == "Active"
    mine.session = last["session"]
    assert mine.rows("SELECT 1") == [["1"]]
    mine.rows("COMMIT")


def test_a_transaction_nobody_ends(databend, server, table):
    mine = Session(server, idle_transaction_timeout_secs="1")
    mine.rows("BEGIN")
    mine.rows("INSERT INTO t VALUES (1, 'a', 1)")
    with server.psycopg("postgres") as connection:
        system.wait_until(lambda: connection.execute("SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'")
                          .fetchone()[0] == 0, 10, 0.05, "it is rolled back")
    assert mine.post("COMMIT")["error"]["code"] == 4003 and mine.state() == AUTO_COMMIT
    assert databend.rows("SELECT count(*) FROM t") == [["0"]]


def test_a_killed_query_ends_its_transaction(databend, server, table):
    mine = Session(server)
    mine.rows("BEGIN")
    mine.rows("INSERT INTO t VALUES (1, 'a', 1)")
    first = mine.post("SELECT pg_sleep(60)::string", pagination={"wait_time_secs": 1})
    assert databend.get(first["kill_uri"], "POST").status == 200
    assert mine.post("SELECT 1")["error"]["code"] == 4003 and mine.state() == AUTO_COMMIT
    assert databend.rows("SELECT count(*) FROM t") == [["0"]]


def test_a_temporary_table(databend, server):
    mine = Session(server)
    mine.rows("CREATE TEMP TABLE only_mine (a INT)")
    assert mine.state() == ("AutoCommit", True, True, True)
    mine.rows("INSERT INTO only_mine VALUES (1)")
    assert mine.rows("SELECT * FROM only_mine") == [["1"]]
    assert databend.error("SELECT * FROM only_mine")[0] == 1025


# -- pages


def test_pages(databend, server):
    sql = "SELECT number, 'x' FROM numbers(25) ORDER BY number"
    first = databend.query(sql, pagination={"max_rows_per_page": 10})
    assert (first["state"], len(first["data"])) == ("Running", 10)
    assert first["next_uri"] == f"/v1/query/{first['id']}/page/1"
    with Databend(server.ports["databend"]) as other:
        second = other.get(first["next_uri"]).json
    assert second["data"][0] == ["10", "x"] and second["schema"] == first["schema"]
    # once more, and one that is not due
    assert databend.get(first["next_uri"]).json == second
    assert databend.get(f"/v1/query/{first['id']}/page/5").status == 404
    third = databend.get(second["next_uri"]).json
    assert (len(third["data"]), third["state"], third["next_uri"]) == (5, "Succeeded", None)
    assert databend.get(second["next_uri"]).status == 404


def test_pages_are_their_owners(databend):
    databend.rows("CREATE USER IF NOT EXISTS pager IDENTIFIED BY 'secret'")
    first = databend.query("SELECT number FROM numbers(25)", pagination={"max_rows_per_page": 10})
    assert databend.get(first["next_uri"], authorization=basic("pager", "secret")).status == 404
    assert databend.get(first["kill_uri"], "POST", authorization=basic("pager", "secret")).status == 404
    assert databend.get(first["next_uri"]).status == 200
    assert databend.get(first["final_uri"], "POST").status == 200
    assert databend.get(first["final_uri"]).status == 404


def test_an_empty_last_page(databend):
    first = databend.query("SELECT number FROM numbers(10)", pagination={"max_rows_per_page": 10})
    last = databend.get(first["next_uri"]).json
    assert (last["data"], last["next_uri"]) == ([], None)


def test_an_error_on_a_later_page(databend):
    first = databend.query("SELECT 1 / (20 - number) FROM numbers(30)", pagination={"max_rows_per_page": 10})
    second = databend.get(first["next_uri"]).json
    found = second if second["error"] else databend.get(second["next_uri"]).json
    assert found["error"]["code"] == 1006 and found["state"] == "Failed"


def test_a_long_query_is_asked_for_again(databend):
    page = databend.query("SELECT pg_sleep(1.5)::string, 7", pagination={"wait_time_secs": 1})
    assert (page["state"], page["data"]) == ("Running", [])
    while page["next_uri"] and not page["data"]:
        page = databend.get(page["next_uri"]).json
    assert page["data"] == [["", "7"]]


def backends(server, text):
    with server.psycopg("postgres") as connection:
        return connection.execute("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE %s "
                                  "AND pid <> pg_backend_pid()", (f"%{text}%",)).fetchone()[0]


def test_a_result_nobody_fetches_ends(databend, server):
    session = {"settings": {"http_handler_result_timeout_secs": "1"}}
    first = databend.query("SELECT number, repeat('y', 1000) FROM numbers(2000000)", session=session,
                           pagination={"max_rows_per_page": 10})
    assert first["result_timeout_secs"] == 1
    with server.psycopg("postgres") as connection:
        system.wait_until(lambda: connection.execute("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%repeat(''y''%' AND "
                                                     "state = 'active' AND pid <> pg_backend_pid()").fetchone()[0] == 0, 10, 0.05,
                          "it is ended")
    answer = databend.get(first["next_uri"])
    assert answer.status == 400 and "closed for timed out" in answer.json["error"]["message"]
    # and some time later it is forgotten
    system.wait_until(lambda: databend.get(first["next_uri"]).status == 404, 10, 0.1, "it is forgotten")


def test_kill(databend, server):
    first = databend.query("SELECT pg_sleep(60)::string AS killed", pagination={"wait_time_secs": 1})
    system.wait_until(lambda: backends(server, "killed") == 1, 10, 0.05, "it runs")
    assert databend.get(first["kill_uri"], "POST").status == 200
    system.wait_until(lambda: backends(server, "killed") == 0, 10, 0.05, "it is cancelled")
    answer = databend.get(first["next_uri"])
    assert answer.status == 400 and "closed for canceled" in answer.json["error"]["message"]
    assert databend.get(first["kill_uri"], "POST").status == 200


def test_kill_ends_who_waits(databend, server):
    done = []

    def wait():
        with Databend(server.ports["databend"]) as other:
            done.append(other.post("SELECT pg_sleep(60)::string AS waits", fields={"x_databend_query_id": "waits"}).json)

    waiter = threading.Thread(target=wait)
    waiter.start()
    system.wait_until(lambda: backends(server, "waits") == 1, 10, 0.05, "it runs")
    databend.rows("KILL QUERY 'waits'")
    waiter.join(10)
    assert done[0]["error"]["code"] == 1043


def test_who_leaves_is_not_worked_for(server):
    body = b'{"sql": "SELECT pg_sleep(60)::string AS forsaken"}'
    for _ in range(3):
        with Databend(server.ports["databend"]) as databend:
            databend.send(b"POST /v1/query HTTP/1.1\r\nHost: localhost\r\nAuthorization: " + basic("root").encode() +
                          b"\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            system.wait_until(lambda: backends(server, "forsaken") == 1, 10, 0.05, "it runs")
        system.wait_until(lambda: backends(server, "forsaken") == 0, 10, 0.05, "it is cancelled")


def test_a_large_result_is_read_as_it_is_fetched(databend, server):
    page = databend.query("SELECT number, repeat('x', 1000) FROM numbers(2000000)", pagination={"max_rows_per_page": 1000})

    def waits():
        with server.psycopg("postgres") as connection:
            found = connection.execute("SELECT wait_event FROM pg_stat_activity WHERE query LIKE '%repeat(%' "
                                       "AND pid <> pg_backend_pid()").fetchone()
            return found and found[0] == "ClientWrite"

    # PostgreSQL waits for the client, rather than the server for memory
    system.wait_until(waits, 20, 0.1, "PostgreSQL waits")
    for _ in range(5):
        page = databend.get(page["next_uri"]).json
        assert len(page["data"]) == 1000
    assert databend.get(page["final_uri"], "POST").status == 200


# -- who may enter


@pytest.mark.parametrize("authorization", [None, basic("root", "wrong"), basic("nobody", "x"), basic("nobody"), "Bearer x",
                                           "Basic !!!", basic("", "")])
def test_who_may_not_enter(databend, authorization):
    answer = databend.post("select 1", authorization=authorization)
    assert answer.status == 401 and answer.json["error"]["code"] == 5100


@pytest.mark.parametrize("field", ["origin: http://evil.example", "x_forwarded_for: 1.2.3.4", "host: evil.example",
                                   "sec_fetch_site: cross-site"])
def test_a_web_page_is_not_root(databend, field):
    assert databend.post("select 1", fields=dict([field.split(": ")])).status == 401


def test_login_checks_the_password(databend):
    assert databend.ask("POST", "/v1/session/login", "{}", authorization=basic("root", "wrong")).status == 401


def test_grants_hold_for_what_comes_later(databend):
    databend.rows("DROP USER IF EXISTS reader")
    databend.rows("DROP USER IF EXISTS maker")
    databend.rows("DROP DATABASE IF EXISTS private")
    databend.rows("CREATE DATABASE private")
    databend.rows("CREATE TABLE private.before (a INT)")
    reader, maker = basic("reader", "r1"), basic("maker", "m1")
    databend.rows("CREATE USER reader IDENTIFIED BY 'r1'")
    databend.rows("CREATE USER maker IDENTIFIED BY 'm1'")
    assert databend.error("SELECT * FROM private.before", authorization=reader)[0] == 1063
    assert databend.rows("SHOW TABLES FROM private", authorization=reader) == []
    assert databend.error("GRANT SELECT ON private.* TO reader", authorization=reader)[0] == 1063
    databend.rows("GRANT SELECT ON private.* TO reader")
    databend.rows("CREATE TABLE private.later (a INT)")
    assert databend.rows("SELECT * FROM private.before", authorization=reader) == []
    assert databend.rows("SELECT * FROM private.later", authorization=reader) == []
    assert databend.error("INSERT INTO private.later VALUES (1)", authorization=reader)[0] == 1063
    assert databend.rows("DESC private.later", authorization=reader) == [["a", "INT", "YES", "NULL", ""]]
    databend.rows("REVOKE SELECT ON private.* FROM reader")
    assert databend.error("SELECT * FROM private.before", authorization=reader)[0] == 1063
    # all on everything: what others made, before and after
    databend.rows("GRANT ALL ON *.* TO maker")
    databend.rows("INSERT INTO private.before VALUES (1)", authorization=maker)
    databend.rows("CREATE DATABASE made", authorization=maker)
    databend.rows("CREATE TABLE made.t (a INT)", authorization=maker)
    databend.rows("CREATE TABLE private.third (a INT)")
    assert databend.rows("SELECT * FROM private.third", authorization=maker) == []
    databend.rows("DROP TABLE private.third", authorization=maker)
    databend.rows("DROP DATABASE made", authorization=maker)
    # and yet no superuser
    assert databend.error("CREATE USER other IDENTIFIED BY 'x'", authorization=maker)[0] == 1063
    databend.rows("REVOKE ALL ON *.* FROM maker")
    assert databend.error("SELECT * FROM private.before", authorization=maker)[0] == 1063
    databend.rows("DROP DATABASE private")


def test_a_user_made_anew_is_another(databend):
    databend.rows("DROP USER IF EXISTS again")
    for table in ("one", "two"):
        databend.rows("CREATE USER again IDENTIFIED BY 'same'")
        databend.rows("GRANT ALL ON *.* TO again")
        databend.rows(f"CREATE TABLE {table} (a INT)", authorization=basic("again", "same"))
        databend.rows("DROP USER again")
    databend.rows("DROP TABLE one, two")


# -- stages


def test_copy_into(databend, table):
    place = databend.upload(b'1,a,\n2,"b ""x"", y",5\r\n3,"",\\N\n')
    found = databend.query(f"COPY INTO t FROM {place} FILE_FORMAT = (type = CSV)")
    assert [column["name"] for column in found["schema"]] == ["File", "Rows_loaded", "Errors_seen", "First_error",
                                                              "First_error_line"]
    assert found["data"] == [[place[3:], "3", "0", None, None]] and found["stats"]["write_progress"]["rows"] == 3
    assert databend.rows("SELECT * FROM t ORDER BY id") == [["1", "a", None], ["2", 'b "x", y', "5"], ["3", "", None]]


@pytest.mark.parametrize("content, options", [
    (b"id;name;n\n1;a;5\n", "(type = CSV FIELD_DELIMITER = ';' SKIP_HEADER = 1)"),
    (b"1|a|5\r\n", "(type = CSV, FIELD_DELIMITER = '|', RECORD_DELIMITER = '\\r\\n', COMPRESSION = AUTO)"),
    (b"1,'a',5\n", "(type = 'CSV' QUOTE = '\\'')"), (b'1,"a",5', "(type = CSV ESCAPE = '\\\\')"),
    (b"1,a,5~", "(type = CSV RECORD_DELIMITER = '~')"), (gzip.compress(b"1,a,5\n"), "(type = CSV COMPRESSION = GZIP)"),
])
def test_formats(databend, table, content, options):
    databend.rows(f"COPY INTO t FROM {databend.upload(content)} FILE_FORMAT = {options} "
                  "PURGE = False FORCE = False SIZE_LIMIT=0 ON_ERROR = abort")
    assert databend.rows("SELECT * FROM t") == [["1", "a", "5"]]


@pytest.mark.parametrize("content, code, detail", [
    (b"1,a,5\n2,b\n", 1046, "line 2"), (b"1,a,5,6\n", 1046, "line 1"), (b'1,"a,5\n', 1046, "line 1"),
    (b'1,"a"x,5\n', 1046, "line 1"), (b"1,a,null\n", 1046, "line 1"), (b"1,a,1\nx,b,1\n", 1046, "line 2"), (b",a,1\n", 1006, ""),
    (b"1,\xff,1\n", 1046, "line 1"),
])
def test_a_file_that_does_not_fit_stores_nothing(databend, table, content, code, detail):
    found = databend.post(f"COPY INTO t FROM {databend.upload(content)} FILE_FORMAT = (type = CSV)").json["error"]
    assert found["code"] == code and detail in found.get("detail", ""), found
    assert databend.rows("SELECT count(*) FROM t") == [["0"]]


def test_options_that_are_not_here(databend, table):
    place = databend.upload(b"1,a,1\n")
    for options in ("FILE_FORMAT = (type = PARQUET)", "FILE_FORMAT = (type = CSV) ON_ERROR = continue",
                    "FILE_FORMAT = (type = CSV NAN_DISPLAY = 'x')"):
        assert databend.error(f"COPY INTO t FROM {place} {options}")[0] == 1002
    assert databend.error("COPY INTO t FROM @~/nope.csv FILE_FORMAT = (type = CSV)")[0] == 1046


def test_attachments(databend, table):
    """Fields are of the columns that are written, in their order."""
    place = databend.upload(b"a,1\nb,2\n")
    answer = databend.query("INSERT INTO t (name, id) VALUES", stage_attachment={
        "location": place, "file_format_options": {"type": "CSV", "RECORD_DELIMITER": "\r\n", "COMPRESSION": "AUTO"},
        "copy_options": {"PURGE": "true", "FORCE": "False", "SIZE_LIMIT": "0", "ON_ERROR": "abort"}})
    assert (answer["data"], answer["next_uri"]) == ([["2"]], None)
    assert databend.rows("SELECT * FROM t ORDER BY id") == [["1", "a", None], ["2", "b", None]]
    # purged
    assert databend.error("INSERT INTO t (name, id) VALUES", stage_attachment={"location": place})[0] == 1046
    assert databend.error("INSERT INTO t VALUES")[0] == 1005
    # as many columns as there are, none of them known: by place
    place = databend.upload(b"3,c,4\n")
    databend.rows("INSERT INTO t (x, y, z) VALUES", stage_attachment={"location": place})
    assert databend.rows("SELECT * FROM t WHERE id = 3") == [["3", "c", "4"]]
    # databend-driver leaves the placeholders in
    databend.rows("INSERT INTO t VALUES (?, ?, ?)", stage_attachment={"location": place})
    assert databend.rows("SELECT count(*) FROM t WHERE id = 3") == [["2"]]
    assert databend.error("INSERT INTO t VALUES (1, 'a', 2)", stage_attachment={"location": place})[0] == 1006
    assert databend.error("INSERT INTO t (id, y) VALUES", stage_attachment={"location": place})[0] == 1065


def test_tokens(databend, server):
    ((_, _, url),) = databend.rows("PRESIGN UPLOAD @~/x.csv EXPIRE = 1")
    target = url.removeprefix("http://localhost")
    changed = target[:-1] + ("0" if target[-1] != "0" else "1")
    expires = int(target.removeprefix("/v1/stage_upload/").split("-")[0], 16)

    def status(path):
        with Databend(server.ports["databend"]) as other:
            return other.ask("PUT", path, b"x").status

    for wrong in (changed, "/v1/stage_upload/", "/v1/stage_upload/a-b-c-d", target.replace("upload/", "upload/9")):
        assert status(wrong) == 403
    system.wait_until(lambda: time.time() >= expires + 0.1, 5, 0.05, "the token ends")
    assert status(target) == 403


def form(name: str, content: bytes, boundary="b0undary"):
    return (f'--{boundary}\r\nContent-Disposition: form-data; name="upload"; filename="{name}"\r\n\r\n'.encode() + content +
            f"\r\n--{boundary}--\r\n".encode())


def put_form(databend, body, **fields):
    return databend.ask("PUT", "/v1/upload_to_stage", body,
                        **({"authorization": basic("root"), "x_databend_stage_name": "~",
                            "content_type": "multipart/form-data; boundary=b0undary"} | fields))


def test_upload_to_stage(databend, table):
    answer = put_form(databend, form("client/load/17", b"1,a,5\r\n2,--b0undar,\r\n"))
    assert answer.status == 200 and answer.json["state"] == "SUCCESS"
    assert databend.rows("INSERT INTO t VALUES", stage_attachment={"location": "@~/client/load/17"}) == [["2"]]
    assert databend.rows("SELECT name FROM t ORDER BY id") == [["a"], ["--b0undar"]]


@pytest.mark.parametrize("body, fields", [
    (form("x", b"1")[:-6], {}), (b"nothing", {}), (form("", b"1"), {}), (form("a" * 100, b"1"), {}),
    (form("x", b"1"), {"authorization": basic("root", "wrong")}), (form("x", b"1"), {"x_databend_stage_name": "other"}),
    (form("x", b"1"), {"content_type": "text/plain"}),
])
def test_forms_that_are_refused(server, body, fields):
    with Databend(server.ports["databend"]) as databend:
        assert put_form(databend, body, **fields).status in (400, 401)
    assert list((server.data / "stages").glob("*/t*")) == [], "nothing half done stays"


def test_no_path_leads_out_of_a_stage(databend, server, table):
    for name in ("../../../../tmp/evil", "..", ".", "a/../../b", "/etc/passwd", "a\\b", "%2e%2e"):
        assert put_form(databend, form(name, b"1,a,5\n")).status == 200
        location = "@~/" + name.lstrip("/")
        assert databend.rows("INSERT INTO t VALUES", stage_attachment={"location": location}) == [["1"]]
    stages = server.data / "stages"
    for path in stages.rglob("*"):
        assert stages in (path.parent, path.parent.parent)


def test_a_stage_is_its_users(databend, table):
    databend.rows("CREATE USER IF NOT EXISTS thief IDENTIFIED BY 'x'")
    databend.rows("GRANT ALL ON default.* TO thief")
    place = databend.upload(b"1,secret,1\n")
    sql = f"COPY INTO t FROM {place} FILE_FORMAT = (type = CSV)"
    assert databend.error(sql, authorization=basic("thief", "x"))[0] == 1046


def test_resets_in_mid_upload_leave_nothing(databend, server):
    ((_, _, url),) = databend.rows("PRESIGN UPLOAD @~/reset.csv")
    for _ in range(20):
        with Databend(server.ports["databend"]) as other:
            other.send(f"PUT {url.removeprefix('http://localhost')} HTTP/1.1\r\nHost: localhost\r\n"
                       "Content-Length: 1000\r\n\r\nx".encode())
    system.wait_until(lambda: list((server.data / "stages").glob("*/t*")) == [], 10, 0.05, "nothing half done stays")


# -- materialized views


def test_a_view_is_fresh_after_a_load(databend, server):
    databend.rows("CREATE OR REPLACE TABLE bids (id INT, item VARCHAR, amount DOUBLE)")
    databend.rows("CREATE OR REPLACE MATERIALIZED VIEW by_item AS SELECT item, count(*) AS n, avg(amount) AS mean, "
                  "max(amount) / 2 AS half FROM bids GROUP BY item")
    place = databend.upload(b"".join(b"%d,item%d,%d\n" % (i, i % 7, i % 100) for i in range(100000)))
    databend.rows(f"COPY INTO bids FROM {place} FILE_FORMAT = (type = CSV)")
    assert databend.rows("SELECT sum(n)::bigint FROM by_item") == [["100000"]]
    databend.rows("UPDATE bids SET amount = amount + 1 WHERE id % 10 = 0")
    databend.rows("INSERT INTO bids VALUES", stage_attachment={"location": place})
    databend.rows("DELETE FROM bids WHERE id < 50")
    query = "SELECT item, count(*), avg(amount), max(amount) / 2 FROM bids GROUP BY item ORDER BY item"
    assert databend.rows("SELECT * FROM by_item ORDER BY item") == databend.rows(query)
    databend.rows("REFRESH MATERIALIZED VIEW by_item")
    assert databend.rows("SHOW MATERIALIZED VIEWS") == [["by_item", "default"]]
    with server.psycopg("postgres") as connection:
        assert connection.execute("""SELECT freshet.verify('"default".by_item')""").fetchone()[0] == 0
    assert databend.error("INSERT INTO by_item VALUES ('x', 1, 1, 1)")[0] == 3905
    databend.rows("DROP MATERIALIZED VIEW by_item")


def test_a_thousand_requests_on_one_connection(databend):
    for i in range(0, 1000, 20):
        for j in range(i, i + 20):
            body = json.dumps({"sql": f"SELECT {j}" if j % 3 else f"SELECT nope{j}"})
            databend.send(f"POST /v1/query HTTP/1.1\r\nHost: localhost\r\nAuthorization: {basic('root')}\r\n"
                          f"Content-Length: {len(body)}\r\n\r\n{body}".encode())
        for j in range(i, i + 20):
            found = databend.answer().json
            assert (found["data"] == [[str(j)]]) if j % 3 else f"nope{j}" in found["error"]["message"]


def test_many_at_once(server):
    """Fifty clients, and backends are bounded."""
    wrong, done = [], []

    def work(number):
        with Databend(server.ports["databend"]) as databend:
            for _ in range(10):
                if databend.rows(f"SELECT {number}, count(*) FROM numbers(1000)") != [[str(number), "1000"]]:
                    wrong.append(number)
        done.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == [] and len(done) == 50
    with server.psycopg("postgres") as connection:
        assert connection.execute("SELECT count(*) FROM pg_stat_activity WHERE usename = 'root'").fetchone()[0] <= 125
