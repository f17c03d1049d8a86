"""On Materialize's door DDL that opens a block commits at once; elsewhere it does not."""

import pytest


def exists(place, name):
    return place.value(f"SELECT to_regclass('{place.schema}.{name}') IS NOT NULL")


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_ddl_survives_without_commit(place, driver):
    connection = getattr(place, driver)(autocommit=False)
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE t (k int)")
    assert connection.info.transaction_status == 2, "the driver's block goes on"
    assert exists(place, "t")
    cursor.execute("CREATE MATERIALIZED VIEW m AS SELECT count(*) FROM t")
    cursor.execute("CREATE SOURCE s FROM LOAD GENERATOR COUNTER")
    cursor.execute("SHOW SOURCES")
    assert [row[0] for row in cursor.fetchall()] == ["s", "s_progress"]
    connection.close()
    assert exists(place, "m") and exists(place, "s")


def test_prepared_ddl(place):
    connection = place.psycopg(autocommit=False)
    connection.execute("CREATE TABLE t (k int)", prepare=True)
    assert exists(place, "t") and connection.info.transaction_status == 2
    connection.rollback()
    assert exists(place, "t")


def test_not_after_other_statements(place):
    place.run("CREATE TABLE t (k int)")
    connection = place.psycopg(autocommit=False)
    connection.execute("INSERT INTO t VALUES (1)")
    connection.execute("CREATE TABLE u (k int)")
    connection.rollback()
    assert not exists(place, "u")
    assert place.value("SELECT count(*) FROM t") == 0
    # what follows DDL is an ordinary transaction
    connection.execute("CREATE TABLE u (k int)")
    connection.execute("INSERT INTO t VALUES (1)")
    connection.execute("CREATE TABLE w (k int)")
    connection.rollback()
    assert exists(place, "u") and not exists(place, "w")
    assert place.value("SELECT count(*) FROM t") == 0


def test_prepared_insert_is_not_committed(place):
    place.run("CREATE TABLE t (k int)")
    connection = place.psycopg(autocommit=False)
    connection.prepare_threshold = 0
    connection.execute("INSERT INTO t VALUES (1)")
    connection.rollback()
    connection.execute("INSERT INTO t VALUES (1)")  # by name, without another Parse
    connection.execute("CREATE TABLE u (k int)")
    connection.rollback()
    assert place.value("SELECT count(*) FROM t") == 0 and not exists(place, "u")


def test_failed_ddl(place):
    connection = place.psycopg(autocommit=False)
    for prepare in (False, True):
        with pytest.raises(Exception, match="does not exist"):
            connection.execute("DROP TABLE nothing", prepare=prepare)
        assert connection.info.transaction_status == 3
        connection.rollback()
        assert connection.info.transaction_status == 0


def test_temporary_tables_wait_for_their_commit(place):
    connection = place.psycopg(autocommit=False)
    connection.execute("CREATE TEMPORARY TABLE t (k int) ON COMMIT DROP")
    connection.execute("INSERT INTO t VALUES (1)")
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (1,)


def test_isolation_is_kept(place):
    connection = place.psycopg(autocommit=False)
    connection.isolation_level = 3
    connection.execute("CREATE TABLE t (k int)")
    assert connection.execute("SHOW transaction_isolation").fetchone() == ("repeatable read",)


def test_the_other_door_is_postgresqls(place):
    connection = place.psycopg(autocommit=False, door="postgres")
    connection.execute("CREATE TABLE t (k int)")
    connection.close()
    assert not exists(place, "t")
