"""CREATE SOURCE … FROM LOAD GENERATOR: what it makes, and that it survives."""

import time

import psycopg
import pytest


def table(place, name, columns="count(*)"):
    return f"SELECT {columns} FROM {place.schema}.{name}"


@pytest.mark.parametrize("options, rows", [
    ("AS OF 5, UP TO 5", 0), ("AS OF 0, UP TO 1", 1), ("AS OF 4, UP TO 5", 5),
    ("TICK INTERVAL '10ms', UP TO 20", 20),
])
def test_counter(place, options, rows):
    place.run(f"CREATE SOURCE c FROM LOAD GENERATOR COUNTER ({options})")
    place.wait_for(table(place, "c_progress", 'max("offset")'), rows)
    assert place.value(table(place, "c")) == rows
    assert place.value(table(place, "c", "array_agg(counter ORDER BY counter)")) == (
        list(range(1, rows + 1)) or None)
    if rows == 0:
        time.sleep(0.3)
        assert place.value(table(place, "c")) == 0


def test_max_cardinality(place):
    place.run("CREATE SOURCE few FROM LOAD GENERATOR COUNTER (TICK INTERVAL '5ms', MAX CARDINALITY 8)")
    place.wait_for(table(place, "few", "max(counter) > 20"), True)
    assert place.value(table(place, "few", "(count(*), max(counter) - min(counter))::text")) == "(8,7)"


def test_clock(place):
    place.run("CREATE SOURCE c FROM LOAD GENERATOR CLOCK (TICK INTERVAL '20ms')")
    place.wait_for(table(place, "c"), 1)
    first = place.value(table(place, "c", "time"))
    place.wait_for(table(place, "c", "max(time) > '%s'::timestamptz" % first), True)
    assert place.value(table(place, "c")) == 1


def test_auction(place):
    place.run("CREATE SOURCE a FROM LOAD GENERATOR AUCTION (AS OF 300, UP TO 301) FOR ALL TABLES")
    place.wait_for(table(place, "bids"), 255)
    assert place.value(table(place, "auctions")) == 46
    assert place.value("SELECT count(*) FROM bids b LEFT JOIN auctions a ON a.id = b.auction_id WHERE a.id IS NULL"
                       " OR b.id / 10 <> a.id OR amount NOT BETWEEN 1 AND 99") == 0
    assert place.value("SELECT count(*) FROM users u JOIN organizations o ON o.id = u.org_id") == 20
    assert place.value("SELECT bool_and(id = org_id + 42 AND balance = 10000) FROM accounts")
    assert place.value("SELECT bool_and(n BETWEEN 2 AND 9) FROM (SELECT count(*) n FROM bids WHERE auction_id < 46"
                       " GROUP BY auction_id) b")
    connection = place.psycopg()
    assert connection.execute("SHOW SOURCES").fetchall() == [
        ("a", "load-generator", "quickstart", ""), ("a_progress", "progress", None, ""),
        ("accounts", "subsource", "quickstart", ""), ("auctions", "subsource", "quickstart", ""),
        ("bids", "subsource", "quickstart", ""), ("organizations", "subsource", "quickstart", ""),
        ("users", "subsource", "quickstart", "")]
    assert connection.execute("SHOW TABLES").fetchall() == []
    assert connection.execute("SHOW SUBSOURCES ON a WHERE type = 'progress'").fetchall() == [
        ("a_progress", "progress")]
    assert "LOAD GENERATOR AUCTION" in connection.execute("SHOW CREATE SOURCE a").fetchone()[1]


def test_some_tables_under_other_names(place):
    place.run("CREATE SOURCE a FROM LOAD GENERATOR AUCTION (TICK INTERVAL '5ms', UP TO 50)"
              " FOR TABLES (bids AS offers, users) EXPOSE PROGRESS AS how_far")
    place.wait_for(table(place, "how_far", 'max("offset")'), 50)
    assert place.value(table(place, "offers")) > 30
    connection = place.psycopg()
    assert [row[0] for row in connection.execute("SHOW SOURCES")] == ["a", "how_far", "offers", "users"]


def test_marketing(place):
    place.run("CREATE SOURCE m FROM LOAD GENERATOR MARKETING (AS OF 2000, UP TO 2001)")
    place.wait_for(table(place, "impressions"), 2001)
    assert place.value(table(place, "customers")) == 1000
    assert place.value(table(place, "leads", "count(*) > 300 AND count(converted_at) > 50")) is True
    assert place.value("SELECT count(*) FROM clicks c LEFT JOIN impressions i ON i.id = c.impression_id"
                       " WHERE i.id IS NULL") == 0
    assert place.value("SELECT count(*) FROM leads l JOIN conversion_predictions p ON p.lead_id = l.id"
                       " WHERE score BETWEEN 0 AND 1") == place.value(table(place, "leads"))


def test_tpch(place):
    place.run("CREATE SOURCE t FROM LOAD GENERATOR TPCH (SCALE FACTOR 0.01, TICK INTERVAL '10ms') FOR ALL TABLES")
    place.wait_for(table(place, "t_progress", 'max("offset") > 20'), True, 60)
    for name, count in {"supplier": 100, "part": 2000, "partsupp": 8000, "customer": 1500, "orders": 15000,
                        "nation": 25, "region": 5}.items():
        assert place.value(table(place, name)) == count, name
    assert place.value("SELECT count(*) FROM orders o WHERE NOT EXISTS"
                       " (SELECT FROM lineitem WHERE l_orderkey = o_orderkey)") == 0
    assert place.value("SELECT count(*) FROM lineitem LEFT JOIN partsupp ON ps_partkey = l_partkey"
                       " AND ps_suppkey = l_suppkey WHERE ps_partkey IS NULL") == 0
    assert place.value("SELECT count(*) FROM lineitem JOIN orders ON o_orderkey = l_orderkey"
                       " WHERE l_shipdate <= o_orderdate OR l_receiptdate <= l_shipdate") == 0
    assert place.value("SELECT count(*) FROM orders LEFT JOIN customer ON c_custkey = o_custkey"
                       " WHERE c_custkey IS NULL") == 0
    before = place.value(table(place, "orders", "md5(string_agg(o::text, '' ORDER BY o_orderkey))").replace(
        "orders", "orders o"))
    place.wait_for("SELECT md5(string_agg(o::text, '' ORDER BY o_orderkey)) <> '%s' FROM orders o" % before, True)


def test_indexes_that_views_need_are_made(place):
    place.run("CREATE SOURCE t FROM LOAD GENERATOR TPCH (SCALE FACTOR 0.01) FOR ALL TABLES")
    place.wait_for(table(place, "orders"), 15000)
    place.run("CREATE MATERIALIZED VIEW ordered AS SELECT c.c_name, o.o_totalprice FROM customer c"
              " JOIN orders o ON o.o_custkey = c.c_custkey")
    place.wait_for("SELECT max(indexdef) FROM pg_indexes JOIN freshet.made_indexes m ON m.name = indexname AND m.valid"
                   " WHERE schemaname = '%s' AND m.relation = 'orders'::regclass" % place.schema,
                   "CREATE INDEX orders_o_custkey_freshet_idx ON %s.orders USING btree (o_custkey)" % place.schema)
    assert place.value("SELECT freshet.verify('ordered')") == 0


def test_tpch_stands_still_without_an_interval(place):
    place.run("CREATE SOURCE t FROM LOAD GENERATOR TPCH (SCALE FACTOR 0.001) FOR TABLES (region, nation)")
    place.wait_for(table(place, "nation"), 25)


@pytest.mark.parametrize("statement, text", [
    ("COUNTER FOR ALL TABLES", "FOR ALL TABLES is only valid for multi-output sources"),
    ("AUCTION FOR TABLES (nothing)", "reference to nothing not found in source"),
    ("CLOCK (MAX CARDINALITY 5)", "CLOCK load generators do not support MAX CARDINALITY values"),
    ("COUNTER (SCALE FACTOR 1)", "COUNTER load generators do not support SCALE FACTOR values"),
    ("COUNTER (AS OF 5, UP TO 4)", "UP TO cannot be less than AS OF"),
    ("COUNTER (MAX CARDINALITY -1)", "invalid MAX CARDINALITY: invalid unsigned numeric value: -1"),
    ("COUNTER (MAX CARDINALITY 0)", "MAX CARDINALITY must be greater than zero"),
    ("COUNTER (TICK INTERVAL '-1s')", "TICK INTERVAL must be greater than zero"),
    ("COUNTER (TICK INTERVAL '0s')", "TICK INTERVAL must be greater than zero"),
    ("COUNTER (TICK INTERVAL '1s', TICK INTERVAL '2s')", "TICK INTERVAL specified more than once"),
    ("COUNTER (TICK INTERVAL 'soon')", "invalid input syntax for type interval"),
    ("TPCH (SCALE FACTOR 0)", "unsupported scale factor 0"),
    ("COUNTER INCLUDE KEY", "INCLUDE metadata only supported with `KEY VALUE` load generators"),
    ("DATUMS (TICK INTERVAL '1s')", "load generator DATUMS is not supported"),
    ("KEY VALUE (KEYS 16, PARTITIONS 4, SNAPSHOT ROUNDS 3, SEED 123, VALUE SIZE 10, BATCH SIZE 2)"
     " INCLUDE KEY AS renamed ENVELOPE UPSERT", "load generator KEY VALUE is not supported"),
])
@pytest.mark.parametrize("prepare", [False, True])
def test_errors(place, statement, text, prepare):
    connection = place.psycopg()
    with pytest.raises(psycopg.Error) as raised:
        connection.execute(f"CREATE SOURCE s FROM LOAD GENERATOR {statement}", prepare=prepare)
    assert text in str(raised.value)
    assert connection.execute("SELECT count(*) FROM pg_class WHERE relnamespace = %s::regnamespace",
                              (place.schema,)).fetchone() == (0,)


def test_names_in_a_database(place):
    connection = place.psycopg()
    connection.execute(f"CREATE SOURCE materialize.{place.schema}.s FROM LOAD GENERATOR COUNTER"
                       f" EXPOSE PROGRESS AS materialize.{place.schema}.p")
    for statement in (f"CREATE SOURCE other.{place.schema}.x FROM LOAD GENERATOR COUNTER",
                      f"CREATE SOURCE x FROM LOAD GENERATOR AUCTION FOR TABLES (bids AS materialize.{place.schema}.y,"
                      f" users AS other.{place.schema}.z)",
                      f"CREATE SOURCE x FROM LOAD GENERATOR COUNTER EXPOSE PROGRESS AS other.{place.schema}.p",
                      f"DROP SOURCE IF EXISTS other.{place.schema}.s"):
        for prepare in (False, True):
            with pytest.raises(psycopg.errors.FeatureNotSupported, match='in database "other"'):
                connection.execute(statement, prepare=prepare)
    with pytest.raises(psycopg.errors.InvalidSchemaName, match='schema "nowhere" does not exist'):
        connection.execute("CREATE SOURCE nowhere.x FROM LOAD GENERATOR COUNTER")
    assert sorted(connection.execute("SHOW TABLES").fetchall() + connection.execute("SHOW SOURCES").fetchall()) == [
        ("p", "progress", None, ""), ("s", "load-generator", "quickstart", "")]
    assert connection.execute(f"SHOW CREATE SOURCE materialize.{place.schema}.s").fetchone()[0].endswith(".s")
    with pytest.raises(psycopg.errors.UndefinedTable, match="SOURCE nosuch"):
        connection.execute("SHOW CREATE SOURCE nosuch")


def test_names(place):
    connection = place.psycopg()
    create = "CREATE SOURCE {} s FROM LOAD GENERATOR COUNTER"
    assert connection.execute(create.format("")).statusmessage == "CREATE SOURCE"
    with pytest.raises(psycopg.errors.DuplicateObject, match="already exists"):
        connection.execute(create.format(""))
    assert connection.execute(create.format("IF NOT EXISTS")).statusmessage == "CREATE SOURCE"
    connection.execute("CREATE TABLE plain (x int)")
    with pytest.raises(psycopg.errors.WrongObjectType, match="plain is not a source"):
        connection.execute("DROP SOURCE plain")
    with pytest.raises(psycopg.errors.UndefinedObject):
        connection.execute("DROP SOURCE nothing")
    assert connection.execute("DROP SOURCE IF EXISTS nothing").statusmessage == "DROP SOURCE"
    connection.execute("CREATE MATERIALIZED VIEW m AS SELECT sum(counter) FROM s")
    with pytest.raises(psycopg.errors.DependentObjectsStillExist):
        connection.execute("DROP SOURCE s")
    assert connection.execute("SHOW SOURCES LIKE 's'").fetchone()
    assert connection.execute("DROP SOURCE s CASCADE", prepare=True).statusmessage == "DROP SOURCE"
    assert connection.execute("SHOW OBJECTS").fetchall() == [("plain", "table", "")]


def test_a_view_over_a_source_streams(place):
    place.run("CREATE SOURCE c FROM LOAD GENERATOR COUNTER (TICK INTERVAL '50ms')",
              "CREATE MATERIALIZED VIEW total AS SELECT sum(counter) AS n FROM c")
    rows = []
    for row in place.psycopg().cursor().stream("SUBSCRIBE total"):
        rows.append(row)
        if len(rows) == 9:
            break
    state = 0
    for _, diff, n in rows[1:]:
        state += diff
    assert state == 0 and rows[-1][2] > (rows[0][2] or 0)


def test_other_owners(place):
    """A source is its creator's; nobody else can drop or change it."""
    connection = place.psycopg()
    connection.execute("DROP ROLE IF EXISTS \"Source \"\"maker\", stranger, mute;"
                       " CREATE ROLE \"Source \"\"maker\" LOGIN; CREATE ROLE stranger; CREATE ROLE mute")
    connection.execute(f'GRANT ALL ON SCHEMA {place.schema} TO "Source ""maker", stranger, mute')
    connection.execute("SET ROLE mute")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match='role "mute" is not permitted to log in'):
        connection.execute("CREATE SOURCE c FROM LOAD GENERATOR COUNTER")
    connection.execute('SET ROLE "Source ""maker"')
    connection.execute("CREATE SOURCE c FROM LOAD GENERATOR COUNTER (TICK INTERVAL '20ms')")
    connection.execute("CREATE SOURCE a FROM LOAD GENERATOR AUCTION FOR TABLES (users)")
    place.wait_for(table(place, "c", "count(*) > 3"), True)
    connection.execute("SET ROLE stranger")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="must be owner of source c"):
        connection.execute("DROP SOURCE c")
    with pytest.raises(psycopg.errors.UndefinedObject):  # nothing of it may be seen
        connection.execute("DROP SOURCE a")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("UPDATE freshet_server.source SET tick = 0")
    assert connection.execute("DELETE FROM freshet_server.source").rowcount == 0
    assert connection.execute("SHOW SOURCES").fetchall() == []
    connection.execute('SET ROLE "Source ""maker"')
    connection.execute("GRANT SELECT ON c, a_progress TO stranger")
    connection.execute("SET ROLE stranger")
    assert [row[0] for row in connection.execute("SHOW SOURCES").fetchall()] == ["a", "a_progress", "c"]
    assert connection.execute("SHOW CREATE SOURCE c").fetchone()[1] is None
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="must be owner of source a"):
        connection.execute("DROP SOURCE a")
    connection.execute('SET ROLE "Source ""maker"')
    # what the owner hangs on its tables runs, as the owner
    connection.execute("CREATE TABLE trapped (session_role text, role text)")
    connection.execute("CREATE FUNCTION trap() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN"
                       " EXECUTE 'RESET ROLE'; INSERT INTO trapped VALUES (session_user, current_user);"
                       " RETURN new; END$$")
    connection.execute(f"ALTER FUNCTION trap() SET search_path = {place.schema}")
    connection.execute("CREATE TRIGGER trap BEFORE INSERT ON c FOR EACH ROW EXECUTE FUNCTION trap()")
    place.wait_for(table(place, "trapped", "count(*) > 0"), True)
    assert place.value("SELECT array_agg(DISTINCT (session_role, role)::text) FROM trapped") == [
        '("Source ""maker","Source ""maker")']
    # an error is the owner's to see, and ends with its cause
    connection.execute("CREATE OR REPLACE FUNCTION trap() RETURNS trigger LANGUAGE plpgsql AS"
                       " $$BEGIN RAISE EXCEPTION 'not this one'; END$$")
    place.wait_for("SELECT max(error) FROM freshet_server.source WHERE name = 'c'", "not this one")
    stopped = place.value(table(place, "c"))
    connection.execute("DROP TRIGGER trap ON c")
    place.wait_for(table(place, "c", f"count(*) > {stopped} + 3"), True)
    connection.execute("DROP SOURCE c, a CASCADE")
    connection.execute("RESET ROLE")
    connection.execute('DROP OWNED BY "Source ""maker", stranger, mute CASCADE;'
                       ' DROP ROLE "Source ""maker", stranger, mute')


@pytest.mark.timeout(180)
def test_exactly_once_through_kills(fresh_server):
    server = fresh_server
    connection = server.psycopg()
    connection.execute("CREATE SOURCE c FROM LOAD GENERATOR COUNTER (TICK INTERVAL '2ms')")
    connection.execute("CREATE SOURCE a FROM LOAD GENERATOR AUCTION (TICK INTERVAL '2ms')")
    connection.close()
    seen = 0
    for end in (server.kill, server.stop, server.kill):
        time.sleep(1)
        end()
        server.start()
        connection = server.psycopg()
        count, top, offset, state = connection.execute(
            "SELECT count(*), max(counter), (SELECT \"offset\" FROM c_progress),"
            " (SELECT tick FROM freshet_server.source WHERE name = 'c') FROM c").fetchone()
        assert count == top == offset == state > seen
        seen = count
        auctions, bids, ticks = connection.execute(
            "SELECT (SELECT count(*) FROM auctions), (SELECT count(*) FROM bids),"
            " (SELECT \"offset\" FROM a_progress)").fetchone()
        assert auctions + bids == ticks
        connection.close()
    deadline = time.monotonic() + 20
    connection = server.psycopg()
    while connection.execute("SELECT max(counter) FROM c").fetchone()[0] <= seen:
        assert time.monotonic() < deadline, "the source goes on"
        time.sleep(0.05)
    connection.close()
