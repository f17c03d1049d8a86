"""On Materialize's door DDL that opens a block commits at once; elsewhere it does not."""

import pytest
from server.wire import SYNC, Wire, bind, execute, message, parse, query


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


@pytest.mark.parametrize("driver, more", [("psycopg", {}), ("psycopg", {"prepare": True}), ("psycopg2", {})])
def test_the_first_says_so(place, driver, more):
    """Once, with the port where DDL waits for COMMIT; where nothing is committed at once, nothing is said."""
    def notices(**door):
        connection = getattr(place, driver)(autocommit=False, **door)
        said = []
        if driver == "psycopg":
            connection.add_notice_handler(lambda notice: said.append(f"{notice.message_primary}: {notice.message_hint}"))
        cursor = connection.cursor()
        for statement in ("SELECT 1", "CREATE TABLE behind (k int)", None, "CREATE TABLE a (k int)", None,
                          "CREATE TABLE b (k int)", None, "DROP TABLE IF EXISTS a, b, behind"):
            cursor.execute(statement, **more) if statement else connection.rollback()
        connection.commit()
        return [notice for notice in said or getattr(connection, "notices", []) if "committed at once" in notice]

    (notice,) = notices()
    assert f"use port {place.server.ports['postgres']}" in notice
    assert notices(door="postgres") == []


@pytest.mark.parametrize("prepare", [False, True])
def test_behind_a_cursor_it_waits(place, prepare):
    place.run("CREATE TABLE t AS SELECT 1 AS a")
    connection = place.psycopg(autocommit=False)
    connection.execute("DECLARE c CURSOR FOR SUBSCRIBE t", prepare=prepare)
    connection.execute("CREATE TABLE behind (k int)", prepare=prepare)
    assert len(connection.execute("FETCH ALL c", prepare=prepare).fetchall()) == 1
    connection.rollback()
    assert not exists(place, "behind")
    connection.execute("CREATE SOURCE s FROM LOAD GENERATOR COUNTER", prepare=prepare)
    connection.rollback()
    assert exists(place, "s")


def test_the_other_door_is_postgresqls(place):
    connection = place.psycopg(autocommit=False, door="postgres")
    connection.execute("CREATE TABLE t (k int)")
    connection.close()
    assert not exists(place, "t")


LARGE = "x" * 1_100_000  # more than is kept of a message


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_a_large_insert_is_not_committed(place, driver):
    place.run("CREATE TABLE t (v text)")
    connection = getattr(place, driver)(autocommit=False)
    cursor = connection.cursor()
    cursor.execute("INSERT INTO t VALUES (%s)", (LARGE,))
    cursor.execute("CREATE TABLE u (k int)")
    connection.rollback()
    assert place.value("SELECT count(*) FROM t") == 0 and not exists(place, "u")


def test_a_function_call_is_not_committed(place):
    connection = place.psycopg2(autocommit=False)
    large_object = connection.lobject(0, "w").oid
    connection.cursor().execute("CREATE TABLE u (k int)")
    connection.rollback()
    assert not exists(place, "u")
    assert place.value(f"SELECT count(*) FROM pg_largeobject_metadata WHERE oid = {large_object}") == 0


INSERT = "INSERT INTO t VALUES ('x')"
BLOCKS = {
    "named insert": ([parse(INSERT, "i"), SYNC], [query("BEGIN")], [bind("", "i"), execute(), SYNC]),
    "unnamed insert reused": ([parse("BEGIN", "b"), parse(INSERT), SYNC], [bind("", "b"), execute(), SYNC],
                              [bind(), execute(), SYNC]),
    "insert before begin in one flight": ([parse(INSERT), bind(), execute(), parse("BEGIN"), bind(), execute(), SYNC],),
    "begin again": ([query("BEGIN"), query(INSERT), query("BEGIN")],),
    "begin under another name": ([parse("BEGIN", "b"), SYNC], [query("DEALLOCATE b"), query(f"PREPARE b AS {INSERT}")],
                                 [query("BEGIN")], [bind("", "b"), execute(), SYNC]),
    "ddl under another name": ([parse("CREATE TABLE w (k int)", "d"), SYNC], [query("DEALLOCATE d")],
                               [query(f"PREPARE d AS {INSERT}")], [query("BEGIN")], [bind("", "d"), execute(), SYNC]),
    "large insert": ([query("BEGIN")], [query(f"INSERT INTO t VALUES ('{LARGE}')")]),
    "large parse": ([query("BEGIN")], [parse(f"INSERT INTO t VALUES ('{LARGE}')"), bind(), execute(), SYNC]),
    "large parse in the place of ddl": ([parse("CREATE TABLE w (k int)"), SYNC], [query("BEGIN")],
                                        [parse(f"INSERT INTO t VALUES ('{LARGE}')"), bind(), execute(), SYNC]),
    "copy": ([query("BEGIN")], [query("COPY t FROM STDIN"), message("d", b"x\n"), message("c")]),
    "show": ([query("BEGIN")], [query("SHOW TABLES")], [query(INSERT)]),
}


@pytest.mark.parametrize("block", BLOCKS)
def test_nothing_but_ddl_is_committed(place, block):
    place.run("CREATE TABLE t (v text)")
    with Wire(place.server.ports["materialize"]) as wire:
        wire.log_in(options=f"-csearch_path={place.schema}")
        for flight in BLOCKS[block]:
            wire.send(*flight)
            for part in flight:
                if part[:1] in b"QS":
                    answers = wire.until("Z")
                    assert "E" not in [kind for kind, _ in answers], answers
        wire.send(query("CREATE TABLE u (k int)"))
        assert wire.until("Z")[-1][1] == b"T"
        wire.send(query("ROLLBACK"))
        wire.until("Z")
        assert place.value("SELECT count(*) FROM t") == 0 and not exists(place, "u")


def test_a_begin_by_name_opens_a_block_for_ddl(place):
    with Wire(place.server.ports["materialize"]) as wire:
        wire.log_in(options=f"-csearch_path={place.schema}")
        wire.send(parse("BEGIN", "S_1"), SYNC)
        wire.until("Z")
        wire.send(bind("", "S_1"), execute(), parse("CREATE TABLE u (k int)"), bind(), execute(), SYNC)
        assert wire.until("Z")[-1][1] == b"T"
        assert exists(place, "u")
