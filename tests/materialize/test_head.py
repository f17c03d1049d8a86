"""The first lines of a script written for Materialize: each works, or says by name that it is not supported."""

import psycopg
import pytest


def value(connection, query):
    return connection.execute(query).fetchone()[0]


def test_settings(place):
    connection = place.psycopg()
    assert value(connection, "SHOW cluster") == "quickstart"
    connection.execute("SET cluster = 'Other'")
    assert value(connection, "SHOW cluster") == "Other"
    connection.execute("RESET cluster")
    assert value(connection, "SHOW cluster") == "quickstart"
    with connection.transaction():
        connection.execute("SET LOCAL statement_logging_sample_rate = 0.5")
        assert value(connection, "SHOW statement_logging_sample_rate") == "0.5"
    assert value(connection, "SHOW statement_logging_sample_rate") == "1"
    for setting in ("real_time_recency TO on", "max_query_result_size = '1MB'", "auto_route_catalog_queries = off"):
        connection.execute(f"SET {setting}")
    with psycopg.ClientCursor(connection) as cursor:
        assert cursor.execute("SET SESSION emit_timestamp_notice = on").statusmessage == "SET"


def test_settings_of_a_role(place):
    connection = place.psycopg()
    connection.execute("CREATE ROLE at_a_cluster LOGIN PASSWORD 'secret'")
    try:
        connection.execute("ALTER ROLE at_a_cluster SET cluster = 'c1'")
        assert value(place.psycopg(user="at_a_cluster", password="secret"), "SHOW cluster") == "c1"
        connection.execute("ALTER ROLE at_a_cluster RESET cluster")
    finally:
        connection.execute("DROP ROLE at_a_cluster")


def test_database_and_schema(place):
    connection = place.psycopg()
    assert value(connection, "SHOW database") == "materialize"
    connection.execute("SET database = materialize")
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="cannot change its database"):
        connection.execute("SET database = other")
    connection.execute(f"SET schema TO {place.schema}")
    assert value(connection, "SHOW schema") == place.schema
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="cross-database"):
        connection.execute("SUBSCRIBE other.public.t")


@pytest.mark.parametrize("level", ["strict serializable", "serializable"])
def test_isolation(place, level):
    place.run("CREATE TABLE t AS SELECT 1 AS a")
    connection = place.psycopg(autocommit=False)
    connection.execute(f"SET transaction_isolation = '{level}'")
    connection.execute("DECLARE c CURSOR FOR SUBSCRIBE t")
    assert len(connection.execute("FETCH ALL c").fetchall()) == 1
    connection.rollback()
    # on PostgreSQL's own port the setting is PostgreSQL's
    other = place.psycopg(autocommit=False, door="postgres")
    with pytest.raises(psycopg.Error):
        other.execute(f"SET transaction_isolation = '{level}'")
        other.execute("DECLARE c CURSOR FOR SUBSCRIBE t")


@pytest.mark.parametrize("statement, tag", [
    ("CREATE CLUSTER c SIZE = '25cc'", "CREATE CLUSTER"), ("CREATE CLUSTER REPLICA c.r1 SIZE '25cc'", "CREATE CLUSTER REPLICA"),
    ("ALTER CLUSTER c SET (SIZE '50cc')", "ALTER CLUSTER"), ("DROP CLUSTER REPLICA c.r1", "DROP CLUSTER REPLICA"),
    ("DROP CLUSTER IF EXISTS c CASCADE", "DROP CLUSTER"), ("GRANT USAGE ON CLUSTER c TO PUBLIC", "GRANT"),
    ("REVOKE USAGE ON CLUSTER c FROM PUBLIC", "REVOKE"), ("CREATE DEFAULT INDEX ON t", "CREATE INDEX")])
@pytest.mark.parametrize("extended", [False, True])
def test_what_means_nothing_here_says_so(place, statement, tag, extended):
    connection = place.psycopg()
    notices = []
    connection.add_notice_handler(lambda notice: notices.append(notice.severity))
    assert connection.execute(statement, prepare=extended).statusmessage == tag
    assert notices == ["NOTICE"]


def test_refresh_and_history(place):
    connection = place.psycopg()
    notices = []
    connection.add_notice_handler(lambda notice: notices.append(notice.message_primary))
    connection.execute("CREATE TABLE t AS SELECT 1 AS a")
    connection.execute("CREATE MATERIALIZED VIEW v WITH (REFRESH EVERY '1 day') AS SELECT a FROM t")
    assert notices == ["REFRESH is not needed: the view is always fresh"]
    connection.execute("CREATE INDEX i IN CLUSTER c ON v (a)")


def test_now_in_temporal_filters(place):
    place.run("CREATE TABLE t AS SELECT g AS a, clock_timestamp() + g * interval '1 second' AS until FROM generate_series(1, 3) g",
              "CREATE MATERIALIZED VIEW live AS SELECT a FROM t WHERE mz_now() < until")
    assert place.value("SELECT strategy FROM freshet.views WHERE view = 'live'::regclass") != "C"
    place.wait_for("SELECT count(*) FROM live", 0, seconds=10)


def test_functions(place):
    connection = place.psycopg()
    assert value(connection, "SELECT mz_version()").startswith("v")
    assert value(connection, "select mz_environment_id()").startswith("freshet-")
    assert value(connection, "SELECT mz_uptime()").total_seconds() > 0


@pytest.mark.parametrize("statement", [
    "CREATE CONNECTION k TO KAFKA (BROKER 'b')", "CREATE SECRET s AS 'x'", "CREATE SINK s FROM t INTO KAFKA CONNECTION k",
    "CREATE SOURCE s FROM KAFKA CONNECTION k (TOPIC 't')", "EXPLAIN OPTIMIZED PLAN FOR SELECT 1", "EXPLAIN TIMESTAMP FOR SELECT 1",
    "EXPLAIN ANALYZE MEMORY FOR INDEX i", "EXPLAIN SUBSCRIBE t", "EXPLAIN (ANALYZE, COSTS OFF) SUBSCRIBE (SELECT 1)",
    "EXPLAIN ANALYZE VERBOSE SUBSCRIBE t", "PREPARE p (int) AS SUBSCRIBE (SELECT $1)", "SELECT * FROM t AS OF 123", "SELECT 1 AS OF AT LEAST now()",
    "COPY (SELECT 1) TO 's3://bucket/path'", "WITH MUTUALLY RECURSIVE r (a int) AS (SELECT 1) SELECT * FROM r",
    "CREATE VIEW v AS WITH MUTUALLY RECURSIVE r (a int) AS (SELECT 1) SELECT * FROM r",
    "CREATE MATERIALIZED VIEW v WITH (ASSERT NOT NULL a) AS SELECT 1 AS a"])
@pytest.mark.parametrize("extended", [False, True])
def test_what_is_not_supported_says_so(place, statement, extended):
    connection = place.psycopg()
    with pytest.raises(psycopg.errors.FeatureNotSupported) as raised:
        connection.execute(statement, prepare=extended)
    assert "syntax" not in raised.value.diag.message_primary and raised.value.diag.message_hint


def test_postgresqls_own_of_the_same_words(place):
    connection = place.psycopg()
    assert value(connection, "SELECT 1 AS of") == 1
    for explain in ("EXPLAIN", "EXPLAIN VERBOSE", "EXPLAIN (VERBOSE, COSTS OFF)", "EXPLAIN ANALYZE VERBOSE"):
        assert "Result" in value(connection, f"{explain} SELECT 1") and "Result" in value(connection, f"{explain} (SELECT 1)")
    assert value(connection, "SHOW transaction_isolation") == "read committed"
    connection.execute("CREATE TABLE clustered (a int PRIMARY KEY); CLUSTER clustered USING clustered_pkey")


def test_show_in_a_schema_whose_name_needs_quotes(place):
    connection = place.psycopg()
    name = f"My {place.schema}"
    connection.execute(f'CREATE SCHEMA "{name}"; SET search_path = "{name}"; CREATE TABLE tab (a int)')
    try:
        assert connection.execute("SHOW TABLES").fetchall() == [("tab", "")]
        assert len(connection.execute("SHOW OBJECTS").fetchall()) == 1
        assert connection.execute("SHOW INDEXES").fetchall() == []
    finally:
        connection.execute(f'DROP SCHEMA "{name}" CASCADE')


@pytest.mark.parametrize("door", ["materialize", "postgres"])
def test_an_index_on_a_plain_view(place, door):
    place.run("CREATE VIEW v AS SELECT 1 AS a")
    connection = place.psycopg(door=door)
    for name in ("v", f"{place.schema}.v"):
        with pytest.raises(psycopg.errors.WrongObjectType) as raised:
            connection.execute(f"CREATE INDEX i ON {name} (a)")
        assert "materialized view" in raised.value.diag.message_hint
    with pytest.raises(psycopg.errors.UndefinedTable):
        connection.execute("CREATE INDEX i ON nosuch (a)")
    if door == "materialize":
        notices = []
        connection.add_notice_handler(lambda notice: notices.append(notice.message_hint))
        connection.execute("CREATE DEFAULT INDEX ON v")
        assert "materialized view" in notices[0]


def test_show_create_of_what_is_not_there(place):
    connection = place.psycopg()
    connection.execute("CREATE TABLE t (a int)")
    assert len(connection.execute("SHOW CREATE TABLE t").fetchall()) == 1
    for statement in ("SHOW CREATE TABLE nosuch", "SHOW CREATE VIEW t", "SHOW CREATE MATERIALIZED VIEW t"):
        for extended in (False, True):
            with pytest.raises(psycopg.errors.UndefinedTable):
                connection.execute(statement, prepare=extended)
    with pytest.raises(psycopg.errors.UndefinedObject):
        connection.execute("SHOW CREATE SINK nosuch")


def test_as_of_now_in_a_block_is_now(place):
    place.run("CREATE TABLE t AS SELECT 1 AS a")
    connection = place.psycopg(autocommit=False)
    connection.execute("SELECT pg_sleep(0.3)")
    place.run("INSERT INTO t VALUES (2)")
    connection.execute("DECLARE c CURSOR FOR SUBSCRIBE t AS OF now()")
    assert len(connection.execute("FETCH ALL c").fetchall()) == 2
    connection.rollback()
