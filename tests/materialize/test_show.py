"""SHOW of Materialize's objects, and what of SHOW stays PostgreSQL's."""

import psycopg
import pytest


@pytest.fixture
def objects(place):
    place.run("CREATE TABLE t (k int PRIMARY KEY, \"Odd name\" numeric(10,2))",
              "CREATE TABLE other (x int)",
              "COMMENT ON TABLE t IS 'the table'",
              "COMMENT ON COLUMN t.k IS 'the key'",
              "CREATE VIEW v AS SELECT k FROM t",
              "CREATE MATERIALIZED VIEW m IN CLUSTER quickstart AS SELECT count(*) AS n FROM t",
              "CREATE INDEX by_name ON t (\"Odd name\", (k + 1))",
              "CREATE TYPE mood AS ENUM ('good')")
    return place


def show(place, statement, door="materialize", **options):
    cursor = place.psycopg(door=door).execute(statement, **options)
    return [column.name for column in cursor.description], cursor.fetchall()


@pytest.mark.parametrize("prepare", [False, True])
@pytest.mark.parametrize("door", ["materialize", "postgres"])
def test_tables(objects, door, prepare):
    assert show(objects, "SHOW TABLES", door, prepare=prepare) == (
        ["name", "comment"], [("other", ""), ("t", "the table")])


@pytest.mark.parametrize("statement, columns, rows", [
    ("SHOW TABLES LIKE 'o%'", "name comment", [("other", "")]),
    ("SHOW TABLES WHERE comment <> '' -- only with comments", "name comment", [("t", "the table")]),
    ("SHOW VIEWS", "name comment", [("v", "")]),
    ("SHOW MATERIALIZED VIEWS", "name cluster comment", [("m", "quickstart", "")]),
    ("SHOW MATERIALIZED VIEWS IN CLUSTER elsewhere", "name cluster comment", []),
    ("SHOW COLUMNS FROM t", "name nullable type comment",
     [("k", False, "integer", "the key"), ("Odd name", True, "numeric(10,2)", "")]),
    ("SHOW COLUMNS FROM t WHERE nullable", "name nullable type comment",
     [("Odd name", True, "numeric(10,2)", "")]),
    ("SHOW INDEXES ON t", "name on cluster key comment",
     [("by_name", "t", "quickstart", ['"Odd name"', "(k + 1)"], ""),
      ("t_pkey", "t", "quickstart", ["k"], "")]),
    ("SHOW TYPES", "name comment", [("mood", "")]),
    ("SHOW SOURCES", "name type cluster comment", []),
    ("SHOW SUBSOURCES", "name type", []),
    ("SHOW SINKS", "name type cluster comment", []),
    ("SHOW CONNECTIONS", "name type comment", []),
    ("SHOW SECRETS", "name comment", []),
    ("SHOW NETWORK POLICIES", "name rules comment", []),
    ("SHOW CLUSTERS", "name replicas comment", [("quickstart", "r1 (local)", "")]),
    ("SHOW CLUSTER REPLICAS", "cluster replica size ready comment",
     [("quickstart", "r1", "local", True, "")]),
    ("SHOW CLUSTER", "cluster", [("quickstart",)]),
    ("SHOW DATABASES LIKE 'mat%'", "name comment", [("materialize", "")]),
    ("SHOW ROLES LIKE 'postgres'", "name comment", [("postgres", "")]),
])
def test_forms(objects, statement, columns, rows):
    names, found = show(objects, statement)
    assert names == columns.split()
    assert [row[:len(row)] for row in found] == rows


def test_schemas_hide_the_engine(objects):
    names = [row[0] for row in show(objects, "SHOW SCHEMAS")[1]]
    assert "public" in names and objects.schema in names and "pg_catalog" in names
    assert not {"freshet", "freshet_server"} & set(names)


def test_another_schema(objects):
    assert show(objects, f"SHOW TABLES FROM {objects.schema} LIKE 't'")[1] == [("t", "the table")]
    with pytest.raises(psycopg.errors.InvalidSchemaName):
        show(objects, "SHOW TABLES FROM nowhere")


@pytest.mark.parametrize("statement", [
    "SHOW TABLES FROM other.{0}", "SHOW COLUMNS FROM other.{0}.t", "SHOW CREATE TABLE other.{0}.t", "SHOW INDEXES ON other.{0}.t",
    "SHOW SCHEMAS FROM other", "SHOW SUBSOURCES ON other.{0}.s"])
def test_names_in_a_database(objects, statement):
    for prepare in (False, True):
        with pytest.raises(psycopg.errors.FeatureNotSupported, match='in database "other"'):
            show(objects, statement.format(objects.schema), prepare=prepare)
        show(objects, statement.format(objects.schema).replace("other", "materialize"), prepare=prepare)


def test_filters_with_parameters(objects):
    connection = objects.psycopg()
    assert connection.execute("SHOW TABLES LIKE %s", ("o%",)).fetchall() == [("other", "")]
    assert connection.cursor(binary=True).execute("SHOW TABLES WHERE name = %b", ("t",)).fetchall() == [("t", "the table")]


def test_objects(objects):
    names, rows = show(objects, "SHOW OBJECTS")
    assert names == ["name", "type", "comment"]
    assert {row[0]: row[1] for row in rows} == {
        "t": "table", "other": "table", "v": "view", "m": "materialized-view", "t_pkey": "index",
        "by_name": "index", "mood": "type"}


def test_create(objects):
    for kind, name, text in (("TABLE", "t", "k integer NOT NULL"), ("VIEW", "v", "CREATE VIEW"),
                             ("MATERIALIZED VIEW", "m", "count(*)"), ("INDEX", "by_name", "CREATE INDEX")):
        names, rows = show(objects, f"SHOW CREATE {kind} {name}")
        assert names == ["name", "create_sql"]
        assert rows[0][0] == f"materialize.{objects.schema}.{name}"
        assert text in rows[0][1] and rows[0][1].endswith(";")


def test_privileges(objects):
    names, rows = show(objects, "SHOW PRIVILEGES")
    assert names == ["grantor", "grantee", "database", "schema", "name", "object_type", "privilege_type"]
    assert ("postgres", "postgres", "materialize", objects.schema, "t", "table", "SELECT") in rows
    assert show(objects, "SHOW ROLE MEMBERSHIP")[0] == ["role", "member", "grantor"]
    assert show(objects, "SHOW DEFAULT PRIVILEGES")[0][0] == "object_owner"


def test_settings_are_postgresqls(objects):
    assert show(objects, "SHOW search_path")[1] == [(objects.schema,)]
    assert show(objects, "SHOW ALL")[0] == ["name", "setting", "description"]
    assert show(objects, "SHOW TRANSACTION ISOLATION LEVEL")[1] == [("read committed",)]
    connection = objects.psycopg()
    connection.execute("SET tables.shown = 'no'")
    assert connection.execute("SHOW tables.shown").fetchone() == ("no",)


def test_errors(objects):
    with pytest.raises(psycopg.errors.SyntaxError, match='near "nonsense"'):
        show(objects, "SHOW TABLES nonsense")
    with pytest.raises(psycopg.errors.UndefinedTable):
        show(objects, "SHOW COLUMNS FROM nothing")


def test_several_in_one_query(objects):
    cursor = objects.psycopg().execute("SELECT 1; SHOW VIEWS; SELECT 2")
    results = [cursor.fetchall()]
    while cursor.nextset():
        results.append(cursor.fetchall())
    assert results == [[(1,)], [("v", "")], [(2,)]]
