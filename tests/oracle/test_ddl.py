"""Whatever is done to a view's tables, types and functions: after each step every view equals its query."""

import threading
import time

import psycopg
import pytest
from harness import system

from .compare import differences
from .shapes import Shape
from .test_oracle import create_views, database  # noqa: F401 (a fixture)

SCHEMA = """
CREATE TABLE s (id int PRIMARY KEY, label text);
INSERT INTO s SELECT g, 'l' || g FROM generate_series(0, 9) g;
CREATE TABLE t (id int PRIMARY KEY, kind int, name text, amount numeric, extra int);
INSERT INTO t SELECT g, g % 7, 'n' || g, g, g FROM generate_series(1, 200) g;
"""

VIEWS = {
    "listed": "SELECT id, name, amount FROM t",
    "filtered": "SELECT id, upper(name) AS u FROM t WHERE amount > 10",
    "joined": "SELECT t.id, s.label FROM t JOIN s ON s.id = t.kind",
    "grouped": "SELECT kind, count(*) AS n, sum(amount) AS amount, max(id) AS m FROM t GROUP BY kind",
    "kinds": "SELECT DISTINCT kind FROM t",
    "left_joined": "SELECT s.id, t.name FROM s LEFT JOIN t ON t.kind = s.id",
    "over_view": "SELECT kind, n FROM grouped WHERE n > 1",
}

CHANGE = "UPDATE t SET amount = amount + 1 WHERE id < 90"

# A step is a statement, or a list of them that make one; views are compared after each step.
CASES = {
    "truncate": [
        "TRUNCATE t", "INSERT INTO t VALUES (1, 1, 'x', 50, 1)",
        ["BEGIN", "TRUNCATE t", "INSERT INTO t VALUES (1, 1, 'x', 50, 1)", "COMMIT"],
        ["BEGIN", "TRUNCATE t", "INSERT INTO t VALUES (1, 1, 'x', 50, 1)", "TRUNCATE t",
         "INSERT INTO t VALUES (2, 1, 'x', 60, 1)", "COMMIT"],
        ["BEGIN", "SAVEPOINT a", "TRUNCATE t", "ROLLBACK TO a", "INSERT INTO t VALUES (3, 1, 'x', 50, 1)", "COMMIT"],
        ["BEGIN", "SAVEPOINT a", "TRUNCATE t", "RELEASE a", "INSERT INTO t VALUES (3, 1, 'x', 50, 1)", "COMMIT"],
        "TRUNCATE s, t"],
    "columns": [
        "ALTER TABLE t ADD COLUMN more int DEFAULT 5", "UPDATE t SET more = 6 WHERE id < 5", CHANGE,
        "ALTER TABLE t ADD COLUMN noise float8 DEFAULT random()", CHANGE,
        "ALTER TABLE t DROP COLUMN extra", CHANGE, "INSERT INTO t VALUES (1001, 1, 'x', 50)",
        "ALTER TABLE t RENAME COLUMN name TO title", "UPDATE t SET title = 'z' WHERE id < 9",
        "ALTER TABLE t ALTER more TYPE bigint", CHANGE,
        "ALTER TABLE t ALTER kind SET STATISTICS 10", "ANALYZE t"],
    "names": [
        "ALTER TABLE t RENAME TO other", "UPDATE other SET amount = 1 WHERE id < 9", "ALTER TABLE other RENAME TO t",
        "CREATE SCHEMA elsewhere", "ALTER TABLE t SET SCHEMA elsewhere", "UPDATE elsewhere.t SET amount = 2 WHERE id < 9"],
    "rewritten": [
        "DELETE FROM t WHERE id < 50", "VACUUM FULL t", CHANGE, "CLUSTER t USING t_pkey", CHANGE,
        "VACUUM (FREEZE, ANALYZE) t", CHANGE, "ALTER TABLE t SET ACCESS METHOD heap", CHANGE,
        "ALTER TABLE t SET (fillfactor = 50)", "VACUUM FULL t"],
    "indexes": [
        "REINDEX TABLE t", CHANGE, "REINDEX TABLE CONCURRENTLY t", CHANGE,
        "CREATE INDEX CONCURRENTLY by_kind ON t (kind)", "UPDATE t SET kind = kind + 1 WHERE id < 90",
        "DROP INDEX by_kind", CHANGE],
    "the views themselves": [
        "CREATE UNIQUE INDEX listed_id ON listed (id)", CHANGE, "REINDEX INDEX CONCURRENTLY listed_id", CHANGE,
        "REINDEX TABLE listed", "VACUUM FULL listed", CHANGE, "CLUSTER listed USING listed_id", CHANGE,
        "VACUUM FULL grouped", CHANGE, "VACUUM FULL kinds", "UPDATE t SET kind = 8 WHERE id < 90",
        "DROP INDEX listed_id", CHANGE],
    "without WAL": [
        "ALTER TABLE t SET UNLOGGED", CHANGE, "TRUNCATE t", "INSERT INTO t VALUES (1, 1, 'x', 50, 1)",
        "ALTER TABLE t SET LOGGED", CHANGE,
        "CREATE UNLOGGED TABLE u (id int)", "CREATE MATERIALIZED VIEW of_u AS SELECT count(*) AS n FROM u",
        "INSERT INTO u VALUES (1), (2)", "DELETE FROM u WHERE id = 1"],
    "ways to write": [
        "SET session_replication_role = replica", CHANGE, "RESET session_replication_role",
        ["BEGIN", "TRUNCATE t", "COPY t FROM PROGRAM 'printf \"1\\t1\\tx\\t5\\t1\\n2\\t1\\ty\\t5\\t1\\n\"' WITH (FREEZE)",
         "COMMIT"], CHANGE,
        ["BEGIN", CHANGE, "PREPARE TRANSACTION 'one'"], "COMMIT PREPARED 'one'",
        ["BEGIN", "TRUNCATE t", "INSERT INTO t VALUES (1, 1, 'a', 99, 1)", "PREPARE TRANSACTION 'two'",
         "COMMIT PREPARED 'two'"],
        ["BEGIN", "TRUNCATE t", "PREPARE TRANSACTION 'three'", "ROLLBACK PREPARED 'three'"],
        "CREATE FUNCTION doubled() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN NEW.amount := NEW.amount * 2; RETURN NEW; END'",
        "CREATE TRIGGER doubling BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION doubled()", CHANGE],
    "constraints": [
        "ALTER TABLE t ADD CHECK (amount > -5)", "ALTER TABLE t ADD FOREIGN KEY (kind) REFERENCES s (id) ON UPDATE CASCADE",
        "UPDATE s SET id = 20 WHERE id = 1", "DELETE FROM s WHERE id = 9", "ALTER TABLE s DROP CONSTRAINT s_pkey CASCADE",
        "INSERT INTO s VALUES (20, 'twice')", CHANGE, "DROP TABLE s CASCADE", CHANGE],
    "plain views": [
        "CREATE VIEW large AS SELECT id, kind FROM t WHERE amount > 50",
        "CREATE MATERIALIZED VIEW of_large AS SELECT kind, count(*) AS n FROM large GROUP BY kind",
        "CREATE OR REPLACE VIEW large AS SELECT id, kind FROM t WHERE amount > 150",
        "UPDATE t SET amount = amount + 100 WHERE id < 20",
        "ALTER VIEW large RENAME TO larger", "UPDATE t SET amount = amount + 100 WHERE id < 20"],
    "functions": [
        "CREATE FUNCTION f(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1'",
        "CREATE FUNCTION g(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN f($1) + 1; END'",
        "CREATE MATERIALIZED VIEW of_f AS SELECT id, f(id) AS y FROM t",
        "CREATE MATERIALIZED VIEW of_g AS SELECT kind, sum(g(id)) AS y FROM t GROUP BY kind",
        "CREATE OR REPLACE FUNCTION f(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 2'", CHANGE,
        "CREATE OR REPLACE FUNCTION g(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN f($1) * 2; END'",
        ["BEGIN", "CREATE OR REPLACE FUNCTION f(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 3'",
         "PREPARE TRANSACTION 'f'", "COMMIT PREPARED 'f'"],
        ["ALTER FUNCTION f(int) RENAME TO ff",
         "CREATE OR REPLACE FUNCTION g(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT ff($1)'"]],
    "types": [
        "CREATE TYPE mood AS ENUM ('sad', 'ok')", "CREATE DOMAIN positive AS int CHECK (VALUE > 0)",
        "CREATE TYPE point2 AS (x int, y int)",
        "CREATE TABLE k (id int, mood mood, number positive, p point2, r int4range, m int4multirange, "
        "twice int GENERATED ALWAYS AS (id * 2) STORED)",
        "CREATE MATERIALIZED VIEW moods AS SELECT mood, mood::text AS t, count(*) AS n, max(mood) AS x FROM k GROUP BY mood",
        "CREATE MATERIALIZED VIEW numbers AS SELECT number, twice FROM k",
        "CREATE MATERIALIZED VIEW points AS SELECT p, (p).x AS x FROM k",
        "CREATE MATERIALIZED VIEW grouped_points AS SELECT p, count(*) AS n FROM k GROUP BY p",
        "CREATE MATERIALIZED VIEW ranges AS SELECT r, m, count(*) AS n FROM k GROUP BY r, m",
        "CREATE MATERIALIZED VIEW joined_ranges AS SELECT range_agg(r) AS r FROM k",
        "INSERT INTO k VALUES (1, 'sad', 1, (1, 2), '[1,5)', '{[1,2),[4,5)}'), (2, 'ok', 2, (1, 2), '[1,5)', NULL), "
        "(3, 'ok', 3, NULL, 'empty', '{}')",
        "UPDATE k SET p.x = 5 WHERE id = 1", "ALTER TYPE mood ADD VALUE 'happy' AFTER 'sad'",
        "INSERT INTO k VALUES (4, 'happy', 3)", "ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'",
        "ALTER DOMAIN positive DROP CONSTRAINT positive_check", "INSERT INTO k VALUES (5, 'happy', -3)",
        "ALTER TYPE point2 ADD ATTRIBUTE z int CASCADE", "UPDATE k SET p.z = 5 WHERE id = 2",
        "ALTER TYPE point2 DROP ATTRIBUTE y CASCADE", "UPDATE k SET id = id + 1, r = '[2,3)' WHERE id = 1",
        "DELETE FROM k WHERE id = 3"],
    "operators": [
        "CREATE FUNCTION near(int, int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN abs($1 - $2) < 2; END'",
        "CREATE OPERATOR ~~~ (FUNCTION = near, LEFTARG = int, RIGHTARG = int)",
        "CREATE MATERIALIZED VIEW neighbours AS SELECT a.id, b.id AS other FROM s a JOIN s b ON a.id ~~~ b.id",
        "CREATE MATERIALIZED VIEW some_near AS SELECT id FROM t WHERE id ~~~ ANY (ARRAY[3, 5])",
        "CREATE OR REPLACE FUNCTION near(int, int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1 = $2; END'",
        "UPDATE s SET id = id + 100 WHERE id < 4", "ALTER OPERATOR ~~~ (int, int) SET SCHEMA pg_catalog",
        "UPDATE s SET id = id - 100 WHERE id > 100"],
    "operator classes": [
        "CREATE TYPE version AS (major int, minor int)",
        "CREATE FUNCTION version_compare(version, version) RETURNS int LANGUAGE plpgsql IMMUTABLE AS "
        "'BEGIN RETURN sign($1.major - $2.major); END'",
        "CREATE FUNCTION version_equal(version, version) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS "
        "'BEGIN RETURN version_compare($1, $2) = 0; END'",
        "CREATE FUNCTION version_less(version, version) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS "
        "'BEGIN RETURN version_compare($1, $2) < 0; END'",
        "CREATE OPERATOR === (FUNCTION = version_equal, LEFTARG = version, RIGHTARG = version, COMMUTATOR = ===)",
        "CREATE OPERATOR <<< (FUNCTION = version_less, LEFTARG = version, RIGHTARG = version)",
        "CREATE OPERATOR CLASS versions DEFAULT FOR TYPE version USING btree AS OPERATOR 1 <<<, OPERATOR 3 ===, "
        "FUNCTION 1 version_compare(version, version)",
        "CREATE TABLE releases (v version)", "INSERT INTO releases VALUES ((1, 1)), ((1, 2)), ((2, 1)), ((2, 2))",
        "CREATE MATERIALIZED VIEW majors AS SELECT count(*) AS n FROM releases GROUP BY v",
        "INSERT INTO releases VALUES ((1, 3))",
        "CREATE OR REPLACE FUNCTION version_compare(version, version) RETURNS int LANGUAGE plpgsql IMMUTABLE AS "
        "'BEGIN RETURN sign($1.minor - $2.minor); END'", "DELETE FROM releases WHERE (v).minor = 3"],
    "casts": [
        "CREATE FUNCTION whole(text) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN length($1); END'",
        "CREATE CAST (text AS int) WITH FUNCTION whole(text)",
        "CREATE MATERIALIZED VIEW lengths AS SELECT id, name::int AS n FROM t",
        "CREATE OR REPLACE FUNCTION whole(text) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 2 * length($1); END'",
        "UPDATE t SET name = name || 'x' WHERE id < 50", "DROP MATERIALIZED VIEW lengths", "DROP CAST (text AS int)"],
    "text search": [
        "CREATE TEXT SEARCH DICTIONARY stems (TEMPLATE = snowball, Language = english, StopWords = english)",
        "CREATE TEXT SEARCH CONFIGURATION mine (COPY = simple)",
        "CREATE TABLE documents (id int, d text)",
        "INSERT INTO documents VALUES (1, 'the cats are running'), (2, 'a cat runs'), (3, 'dogs')",
        "CREATE FUNCTION lexemes(text) RETURNS tsvector LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN to_tsvector(''mine'', $1); END'",
        "CREATE MATERIALIZED VIEW vectors AS SELECT id, to_tsvector('mine', d) AS v FROM documents",
        "CREATE MATERIALIZED VIEW found AS SELECT id FROM documents WHERE to_tsvector('mine', d) @@ to_tsquery('mine', 'cats')",
        "CREATE MATERIALIZED VIEW of_lexemes AS SELECT lexemes(d) AS v, count(*) AS n FROM documents GROUP BY 1",
        "CREATE MATERIALIZED VIEW headlines AS SELECT id, ts_headline('mine', d, 'cat') AS h FROM documents",
        "CREATE MATERIALIZED VIEW stemmed AS SELECT id, ts_lexize('stems', d) AS l FROM documents",
        "ALTER TEXT SEARCH CONFIGURATION mine ALTER MAPPING FOR asciiword WITH stems",
        "INSERT INTO documents VALUES (4, 'the cat')", "ALTER TEXT SEARCH DICTIONARY stems (StopWords)",
        "ALTER TEXT SEARCH CONFIGURATION mine DROP MAPPING FOR asciiword", "UPDATE documents SET d = d || ' s1' WHERE id < 3",
        ["ALTER TEXT SEARCH CONFIGURATION mine ADD MAPPING FOR asciiword WITH simple"]],
    "domains": [
        "CREATE DOMAIN base AS int", "CREATE DOMAIN upon AS base CHECK (VALUE < 1000)",
        "CREATE MATERIALIZED VIEW cast_ids AS SELECT id::upon AS id FROM t",
        "CREATE FUNCTION small(int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1 < 5000; END'",
        "ALTER DOMAIN base ADD CONSTRAINT is_small CHECK (small(VALUE))", CHANGE,
        "ALTER DOMAIN upon DROP CONSTRAINT upon_check", "INSERT INTO t VALUES (3000, 1, 'x', 1, 1)"],
    "long values": [
        "CREATE TABLE long (id int, d text)", "ALTER TABLE long ALTER d SET STORAGE EXTERNAL",
        "CREATE MATERIALIZED VIEW longs AS SELECT id, d FROM long",
        "CREATE MATERIALIZED VIEW long_groups AS SELECT d, count(*) AS n FROM long GROUP BY d",
        "INSERT INTO long SELECT g, repeat(chr(65 + g % 3), 20000) FROM generate_series(1, 20) g",
        "UPDATE long SET id = id + 1", "UPDATE long SET d = d || 'x' WHERE id % 4 = 0", "DELETE FROM long WHERE id % 5 = 0",
        "VACUUM FULL long", "UPDATE long SET d = d || 'y' WHERE id % 3 = 0",
        "ALTER TABLE long ALTER d SET STORAGE MAIN", "VACUUM FULL long"],
    "collations": [
        "CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
        "CREATE TABLE words (id int, w text COLLATE ci)",
        "CREATE MATERIALIZED VIEW counted AS SELECT w, count(*) AS n, min(id) AS m FROM words GROUP BY w",
        "INSERT INTO words VALUES (1, 'a'), (2, 'A'), (3, 'b')", "DELETE FROM words WHERE id = 1",
        "ALTER COLLATION ci REFRESH VERSION", "UPDATE words SET w = 'B' WHERE id = 3", "INSERT INTO words VALUES (4, 'a'), (5, 'b')"],
    "partitions": [
        "CREATE TABLE p (id int, k int, v text) PARTITION BY LIST (k)", "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)",
        "CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2)",
        "INSERT INTO p SELECT g, g % 2 + 1, 'v' || g FROM generate_series(1, 40) g",
        "CREATE MATERIALIZED VIEW of_p AS SELECT id, k, v FROM p",
        "CREATE MATERIALIZED VIEW p_groups AS SELECT k, count(*) AS n FROM p GROUP BY k",
        "CREATE MATERIALIZED VIEW p_tables AS SELECT tableoid::regclass::text AS t, count(*) AS n FROM p GROUP BY 1",
        "CREATE MATERIALIZED VIEW p_joined AS SELECT p.id, s.label FROM p JOIN s ON s.id = p.k",
        "INSERT INTO p VALUES (100, 1, 'z')", "UPDATE p SET k = 2 WHERE id < 5 AND k = 1",
        "CREATE TABLE p3 (id int, k int, v text)", "INSERT INTO p3 VALUES (200, 3, 'q')",
        "ALTER TABLE p ATTACH PARTITION p3 FOR VALUES IN (3)", "INSERT INTO p VALUES (201, 3, 'r')",
        "ALTER TABLE p DETACH PARTITION p2", "INSERT INTO p2 VALUES (1, 2, 'gone')", "DROP TABLE p1",
        "CREATE TABLE p4 PARTITION OF p DEFAULT", "INSERT INTO p VALUES (202, 9, 'd')",
        "DROP TABLE p4", "ALTER TABLE p DETACH PARTITION p3 CONCURRENTLY", "INSERT INTO p3 VALUES (203, 3, 'gone')",
        "TRUNCATE p"],
    "inheritance": [
        "CREATE TABLE parent (id int, v text)", "CREATE TABLE child (more int) INHERITS (parent)",
        "CREATE MATERIALIZED VIEW all_of_it AS SELECT id, v FROM parent",
        "CREATE MATERIALIZED VIEW only_it AS SELECT id, v FROM ONLY parent",
        "INSERT INTO parent VALUES (1, 'a')", "INSERT INTO child VALUES (2, 'b', 3)",
        "CREATE TABLE later () INHERITS (parent)", "INSERT INTO later VALUES (3, 'c')",
        "ALTER TABLE child NO INHERIT parent", "INSERT INTO later VALUES (4, 'c')", "DELETE FROM parent WHERE id = 3",
        "ALTER TABLE child INHERIT parent", "DROP TABLE child"],
}


@pytest.fixture
def connection(database):  # noqa: F811
    connection = database()
    connection.execute(SCHEMA)
    create_views(connection, [Shape(name, "", query) for name, query in VIEWS.items()])
    connection.execute("SET statement_timeout = '30s'")
    connection.prepare_threshold = None  # PostgreSQL's kept plans do not notice changes of text search
    yield connection
    connection.close()


def shapes(connection) -> list[Shape]:
    """The views there are at present, with their queries as PostgreSQL writes them."""
    return [Shape(name, "", query.rstrip(";")) for name, query in connection.execute(
        "SELECT view::regclass::text, pg_get_viewdef(view) FROM freshet.view WHERE maintain").fetchall()]


@pytest.mark.parametrize("case", CASES)
def test_views_stay_exact(connection, case):
    for step in CASES[case]:
        for statement in step if isinstance(step, list) else [step]:
            connection.execute(statement)
        wrong = differences(connection, shapes(connection))
        assert not wrong, f"after {step}:\n" + "\n".join(wrong)
    assert connection.execute("SELECT view FROM freshet.views WHERE error IS NOT NULL").fetchall() == []


def test_a_partition_is_detached_while_others_read(connection):
    """It is gone once that is announced. That nobody can use it any more is waited for, and changes no rows."""
    for statement in ("CREATE TABLE p (id int, k int) PARTITION BY LIST (k)", "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)",
                      "CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2)", "INSERT INTO p SELECT g, g % 2 + 1 FROM generate_series(1, 40) g",
                      "CREATE MATERIALIZED VIEW p_rows AS SELECT id, k FROM p",
                      "CREATE MATERIALIZED VIEW p_groups AS SELECT k, count(*) AS n FROM p GROUP BY k",
                      "CREATE MATERIALIZED VIEW p_tables AS SELECT tableoid::regclass::text AS t, count(*) AS n FROM p GROUP BY 1"):
        connection.execute(statement)
    assert not differences(connection, shapes(connection))
    reader, other = (psycopg.connect(connection.info.dsn, autocommit=True) for _ in range(2))
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM p")
    detaching = threading.Thread(target=other.execute, args=("ALTER TABLE p DETACH PARTITION p2 CONCURRENTLY",))
    detaching.start()
    system.wait_until(lambda: connection.execute("SELECT 1 FROM pg_inherits WHERE inhdetachpending").fetchone(), 10,
                      what="the detachment is announced")
    assert not differences(connection, shapes(connection))
    assert connection.execute("SELECT k, n FROM p_groups").fetchall() == [(1, 20)]
    connection.execute("INSERT INTO p VALUES (41, 1)")
    assert not differences(connection, shapes(connection))
    reader.execute("COMMIT")
    detaching.join()
    assert not differences(connection, shapes(connection))
    connection.execute("INSERT INTO p2 VALUES (42, 2)")
    assert not differences(connection, shapes(connection))


def test_rows_are_those_the_owner_may_see(connection):
    """Policies of row security, and the view's owner, decide what is in a view."""
    role = f"owner_{time.monotonic_ns()}"
    connection.execute(f"CREATE ROLE {role}")
    connection.execute(f"GRANT ALL ON t, s TO {role}")
    connection.execute(f"GRANT CREATE ON SCHEMA public TO {role}")
    connection.execute(f"ALTER MATERIALIZED VIEW listed OWNER TO {role}")
    for statement, rows in (
            ("ALTER TABLE t ENABLE ROW LEVEL SECURITY", 0),
            ("CREATE POLICY p ON t USING (kind < 3)", 86),
            ("INSERT INTO t VALUES (1000, 1, 'seen', 1), (1001, 5, 'not seen', 1)", 87),
            ("ALTER POLICY p ON t USING (kind < 1)", 28),
            ("ALTER TABLE t DISABLE ROW LEVEL SECURITY", 202),
            ("ALTER TABLE t ENABLE ROW LEVEL SECURITY", 28),
            (f"ALTER TABLE t OWNER TO {role}", 202),
            ("ALTER TABLE t FORCE ROW LEVEL SECURITY", 28),
            ("DROP POLICY p ON t", 0),
            ("ALTER MATERIALIZED VIEW listed OWNER TO CURRENT_USER", 202)):
        connection.execute(statement)
        assert connection.execute("SELECT count(*) FROM listed").fetchone()[0] == rows, statement
        assert connection.execute("SELECT freshet.verify('listed')").fetchone()[0] == 0, statement
    connection.execute(f"REASSIGN OWNED BY {role} TO CURRENT_USER; DROP OWNED BY {role}; DROP ROLE {role}")


def test_a_foreign_table_is_looked_at_every_second(connection):
    notices = []
    connection.add_notice_handler(lambda message: notices.append(message.message_primary))
    connection.execute("CREATE EXTENSION postgres_fdw")
    server = connection.execute(
        "SELECT format('CREATE SERVER self FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host %L, port %L, dbname %L)', "
        "current_setting('unix_socket_directories'), current_setting('port'), current_database())").fetchone()[0]
    connection.execute(server)
    connection.execute("CREATE USER MAPPING FOR CURRENT_USER SERVER self OPTIONS (user 'postgres')")
    connection.execute("CREATE FOREIGN TABLE far (id int, kind int) SERVER self OPTIONS (table_name 't')")
    connection.execute("CREATE MATERIALIZED VIEW of_far AS SELECT kind, count(*) AS n FROM far GROUP BY kind")
    assert any("foreign table far" in notice for notice in notices)
    connection.execute("DELETE FROM t WHERE kind = 1")
    deadline = time.monotonic() + 15
    while connection.execute("SELECT count(*) FROM of_far WHERE kind = 1").fetchone()[0]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert connection.execute("SELECT freshet.verify('of_far')").fetchone()[0] == 0
    with pytest.raises(psycopg.errors.DependentObjectsStillExist):
        connection.execute("DROP FOREIGN TABLE far")


def test_another_server_that_does_not_answer_is_not_waited_for(connection):
    connection.execute("CREATE EXTENSION file_fdw")
    connection.execute("CREATE SERVER program FOREIGN DATA WRAPPER file_fdw")
    connection.execute("CREATE FOREIGN TABLE slow (a int) SERVER program OPTIONS (program 'echo 1')")
    connection.execute("CREATE MATERIALIZED VIEW of_slow AS SELECT a FROM slow")
    connection.execute("SELECT * FROM of_slow")
    connection.execute("ALTER FOREIGN TABLE slow OPTIONS (SET program 'sleep 60')")
    connection.execute(CHANGE)
    wrong = differences(connection, [shape for shape in shapes(connection) if shape.name != "of_slow"])
    assert not wrong
    assert connection.execute("SELECT a FROM of_slow").fetchall() == [(1,)]
    state = connection.execute("SELECT sqlstate FROM freshet.views WHERE view = 'of_slow'::regclass").fetchone()[0]
    assert state in ("57014", "38000")  # the program is told to end, too
    connection.execute("ALTER FOREIGN TABLE slow OPTIONS (SET program 'echo 2')")
    deadline = time.monotonic() + 30
    while connection.execute("SELECT a FROM of_slow").fetchall() != [(2,)]:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_relations_come_and_go(connection):
    """A relation that nothing reads any more is forgotten, with what was found in it; who comes later is seen as a whole."""
    connection.execute("CREATE TABLE lasting (n int)")
    connection.execute("CREATE MATERIALIZED VIEW lasts AS SELECT count(*) AS n FROM lasting")
    for number in range(80):
        connection.execute(f"CREATE TABLE passing{number} (n int)")
        connection.execute(f"CREATE MATERIALIZED VIEW passes AS SELECT n FROM passing{number}")
        connection.execute(f"INSERT INTO passing{number} VALUES (1), (2); INSERT INTO lasting VALUES (1)")
        assert connection.execute("SELECT count(*) FROM passes").fetchone() == (2,)
        assert connection.execute("SELECT n FROM lasts").fetchone() == (number + 1,)
        connection.execute("DROP MATERIALIZED VIEW passes")
    connection.execute("CREATE MATERIALIZED VIEW passes AS SELECT n FROM passing3")
    connection.execute("INSERT INTO passing3 VALUES (3)")
    assert connection.execute("SELECT count(*) FROM passes").fetchone() == (3,)
