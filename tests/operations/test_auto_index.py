"""freshet.auto_index: missing indexes are made, for whom it is wanted, and in nobody's way."""

import pytest
from psycopg import errors

from harness.system import wait_until

SCHEMA = """
CREATE EXTENSION freshet;
CREATE TABLE item (id int, name text, kind int);
CREATE TABLE sale (id int, item text, kind int);
INSERT INTO item SELECT g, 'n' || g, g % 50 FROM generate_series(1, 4000) g;
INSERT INTO sale SELECT g, 'n' || g % 4000, g % 50 FROM generate_series(1, 8000) g;
CREATE INDEX ON sale (item);
ANALYZE;
CREATE MATERIALIZED VIEW sold AS SELECT s.id, i.id AS item FROM sale s JOIN item i ON i.name = s.item;
"""


@pytest.fixture
def database(pg_shared, request):
    name = f"index_{request.node.name}"
    admin = pg_shared.psycopg()
    admin.execute(f"CREATE DATABASE {name}")
    connection = pg_shared.psycopg(name)
    connection.execute(SCHEMA)
    connection.execute("SELECT count(*) FROM sold")
    yield connection, lambda: pg_shared.psycopg(name)
    connection.close()
    admin.execute("ALTER SYSTEM RESET freshet.auto_index")
    admin.execute("SELECT pg_reload_conf()")
    admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    admin.close()


def made(connection) -> list[tuple]:
    return connection.execute("SELECT relation::text, name, valid FROM freshet.made_indexes ORDER BY name").fetchall()


def indexes(connection, table: str) -> list[str]:
    return [row[0] for row in connection.execute(
        "SELECT indexdef FROM pg_indexes WHERE tablename = %s ORDER BY indexname", (table,)).fetchall()]


def explain(connection, view: str) -> str:
    return "\n".join(row[0] for row in connection.execute("SELECT freshet.explain(%s)", (view,)).fetchall())


def set_on(connection) -> None:
    connection.execute("ALTER SYSTEM SET freshet.auto_index = on")
    connection.execute("SELECT pg_reload_conf()")


def test_label(database):
    """Made for the table whose owner wants it; a value too long for a B-tree is no error."""
    connection, _ = database
    connection.execute("CREATE TABLE other (id int, kind int); INSERT INTO other SELECT g, g FROM generate_series(1, 4000) g;"
                       "CREATE MATERIALIZED VIEW others AS SELECT i.id, o.id AS other FROM item i JOIN other o ON o.kind = i.kind")
    assert "missing index: CREATE INDEX ON public.item (name)" in explain(connection, "sold")
    connection.execute("SECURITY LABEL FOR freshet ON TABLE item IS 'auto_index'")
    wait_until(lambda: ("item", "item_name_freshet_idx", True) in made(connection) and
               ("item", "item_kind_freshet_idx", True) in made(connection), 30, what="the indexes of item")
    assert indexes(connection, "item") == ["CREATE INDEX item_kind_freshet_idx ON public.item USING btree (kind)",
                                           "CREATE INDEX item_name_freshet_idx ON public.item USING hash (name)"]
    assert indexes(connection, "other") == []
    assert "item_name_freshet_idx (made by freshet.auto_index)" in explain(connection, "sold")
    connection.execute("INSERT INTO item SELECT 5000, string_agg(md5(g::text), '') FROM generate_series(1, 500) g")
    connection.execute("INSERT INTO sale VALUES (9000, 'n7', 1)")
    assert connection.execute("SELECT freshet.verify('sold'), freshet.verify('others')").fetchone() == (0, 0)


def test_setting(database):
    """By the setting for every table but those whose owners do not want it."""
    connection, _ = database
    connection.execute("CREATE TABLE other (id int, name text); INSERT INTO other SELECT id, name FROM item;"
                       "SECURITY LABEL FOR freshet ON TABLE item IS 'no auto_index';"
                       "CREATE MATERIALIZED VIEW others AS SELECT s.id, o.id AS other FROM sale s JOIN other o ON o.name = s.item")
    set_on(connection)
    wait_until(lambda: made(connection) == [("other", "other_name_freshet_idx", True)], 30, what="the index of other")
    assert indexes(connection, "item") == []
    assert connection.execute("SELECT freshet.verify('sold'), freshet.verify('others')").fetchone() == (0, 0)


def test_dropped_stays_dropped(database):
    connection, _ = database
    connection.execute("SECURITY LABEL FOR freshet ON TABLE item IS 'auto_index'")
    wait_until(lambda: made(connection) == [("item", "item_name_freshet_idx", True)], 30, what="the index")
    connection.execute("DROP INDEX item_name_freshet_idx")
    connection.execute("CREATE TABLE other (id int, name text); INSERT INTO other SELECT id, name FROM item;"
                       "CREATE MATERIALIZED VIEW others AS SELECT s.id, o.id AS other FROM sale s JOIN other o ON o.name = s.item;"
                       "SECURITY LABEL FOR freshet ON TABLE other IS 'auto_index'")
    wait_until(lambda: ("other", "other_name_freshet_idx", True) in made(connection), 30, what="the next index")
    assert indexes(connection, "item") == []
    connection.execute("SECURITY LABEL FOR freshet ON TABLE item IS 'auto_index'")
    wait_until(lambda: len(indexes(connection, "item")) == 1, 30, what="the index made anew")


def test_rights(database):
    """As the owner, who alone may choose; what goes wrong is said."""
    connection, connect = database
    connection.execute("DROP ROLE IF EXISTS index_owner; DROP ROLE IF EXISTS index_other;"
                       "CREATE ROLE index_owner; CREATE ROLE index_other;"
                       "ALTER TABLE item OWNER TO index_owner; SET ROLE index_other")
    with pytest.raises(errors.InsufficientPrivilege):
        connection.execute("SECURITY LABEL FOR freshet ON TABLE item IS 'auto_index'")
    connection.execute("RESET ROLE; SET ROLE index_owner")
    with pytest.raises(errors.InvalidParameterValue):
        connection.execute("SECURITY LABEL FOR freshet ON TABLE item IS 'often'")
    with pytest.raises(errors.WrongObjectType):
        connection.execute("SECURITY LABEL FOR freshet ON COLUMN item.name IS 'auto_index'")
    connection.execute("SECURITY LABEL FOR freshet ON TABLE item IS 'auto_index'")
    connection.execute("RESET ROLE")
    # In PostgreSQL 15 nobody may create in public unless told.
    wait_until(lambda: connection.execute("SELECT error FROM freshet.made_indexes WHERE error IS NOT NULL").fetchone(), 30,
               what="the error")
    error, = connection.execute("SELECT error FROM freshet.made_indexes").fetchone()
    assert error == "permission denied for schema public"
    assert "freshet.auto_index could not make it" in explain(connection, "sold")
    connection.execute("GRANT CREATE ON SCHEMA public TO index_owner; SECURITY LABEL FOR freshet ON TABLE item IS 'auto_index'")
    wait_until(lambda: made(connection) == [("item", "item_name_freshet_idx", True)], 30, what="the index")
    connection.execute("ALTER TABLE item OWNER TO postgres; DROP OWNED BY index_owner; DROP ROLE index_owner, index_other")


def test_gives_way(database):
    """A session that wants the table gets it, though the index is being made; it is made later."""
    connection, connect = database
    reader, changer = connect(), connect()
    reader.autocommit = False
    reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    reader.execute("SELECT 1 FROM sale LIMIT 1")  # an old snapshot, which the index has to wait for
    connection.execute("SECURITY LABEL FOR freshet ON TABLE item IS 'auto_index'")
    wait_until(lambda: connection.execute("SELECT 1 FROM pg_stat_activity WHERE backend_type = 'freshet indexer' "
                                          "AND wait_event_type = 'Lock'").fetchone(), 30, what="the index to wait")
    connection.execute("INSERT INTO item VALUES (5000, 'n7', 1)")
    changer.execute("SET lock_timeout = '10s'")
    changer.execute("ALTER TABLE item ADD COLUMN more int")
    wait_until(lambda: connection.execute("SELECT error FROM freshet.made_indexes WHERE error ~ 'cancel'").fetchone(), 30,
               what="the indexer to give way")
    reader.rollback()
    connection.execute("SECURITY LABEL FOR freshet ON TABLE item IS 'auto_index'")
    wait_until(lambda: made(connection) == [("item", "item_name_freshet_idx", True)], 30, what="the index")
    assert len(indexes(connection, "item")) == 1
    assert connection.execute("SELECT freshet.verify('sold')").fetchone() == (0,)
    reader.close()
    changer.close()
