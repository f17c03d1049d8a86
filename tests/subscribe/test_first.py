"""The first rows of a subscription are never older than what its session has committed or seen."""

import psycopg
import pytest

SCHEMA = """
CREATE TABLE item (id int);
INSERT INTO item SELECT generate_series(1, 5);
CREATE TABLE limits (most int);
INSERT INTO limits VALUES (0);
CREATE TABLE guarded (id int);
INSERT INTO guarded SELECT generate_series(1, 5);
CREATE VIEW shown AS SELECT id FROM item WHERE id <= (SELECT max(most) FROM limits);
CREATE MATERIALIZED VIEW kept AS SELECT id FROM item WHERE id <= (SELECT max(most) FROM limits);
CREATE MATERIALIZED VIEW whole AS SELECT id, row_number() OVER (ORDER BY id) AS place FROM shown;
CREATE FUNCTION most() RETURNS int STABLE LANGUAGE sql AS 'SELECT max(most) FROM limits';
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
CREATE POLICY by_limit ON guarded USING (id <= (SELECT max(most) FROM limits));
GRANT SELECT ON guarded, limits TO PUBLIC;
CREATE ROLE first_reader LOGIN;
"""

SUBQUERY = "(SELECT id FROM item WHERE id <= (SELECT max(most) FROM limits))"


@pytest.fixture
def database(pg_shared):
    with pg_shared.database("first", SCHEMA) as name:
        yield name
    with pg_shared.psycopg("postgres") as connection:
        connection.execute("DROP ROLE first_reader")


def first(connection, target: str) -> int:
    """How many rows there are at first."""
    columns = connection.execute("SELECT freshet.subscribe('s', %s)", (target,)).fetchone()[0]
    rows = connection.execute("SELECT count(*) FROM freshet.changes('s') AS"
                              f" (mz_timestamp numeric, mz_diff bigint, {columns})").fetchone()[0]
    connection.execute("SELECT freshet.unsubscribe('s')")
    return rows


def as_role(connection, role: str):
    connection.execute(f"SET SESSION AUTHORIZATION {role}")


@pytest.mark.parametrize("who", ["itself", "another"])
@pytest.mark.parametrize("target", [SUBQUERY, "shown", "kept", "whole", "guarded", "(SELECT id FROM guarded)"])
def test_nothing_older_than_what_was_seen(pg_shared, database, target, who):
    warm = pg_shared.psycopg(database)
    warm.execute("SELECT freshet.subscribe('warm', 'item'), freshet.subscribe('too', 'guarded')")
    for most in [5, 0, 3] * 2:
        connection = pg_shared.psycopg(database)
        writer = connection if who == "itself" else warm
        writer.execute("UPDATE limits SET most = %s", (most,))
        if "guarded" in target:
            as_role(connection, "first_reader")
        assert connection.execute("SELECT max(most) FROM limits").fetchone() == (most,)
        assert first(connection, target) == most, (target, most)
        connection.close()
    warm.close()


def test_what_a_function_reads_is_refused(pg_shared, database):
    connection = pg_shared.psycopg(database)
    connection.execute("CREATE POLICY by_function ON item USING (id <= most())")
    with pytest.raises(psycopg.errors.FeatureNotSupported):
        first(connection, "(SELECT id FROM item WHERE id <= most())")
    connection.execute("ALTER TABLE item ENABLE ROW LEVEL SECURITY; GRANT SELECT ON item TO PUBLIC")
    as_role(connection, "first_reader")
    with pytest.raises(psycopg.errors.FeatureNotSupported):
        first(connection, "(SELECT id FROM item)")
    with pytest.raises(psycopg.errors.FeatureNotSupported):
        first(connection, "item")
    connection.close()
