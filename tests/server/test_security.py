"""What a role without rights tries with the server's own connections; and the network side."""

import itertools
import os
import signal
import socket
import subprocess
import time

import psycopg
import pytest

from harness import system
from harness.paths import freshet_bin
from harness.server import Freshet

from .wire import Wire, startup

_numbers = itertools.count(1)


class Hostile:
    """A role that may log in, with a password, and a schema of its own."""

    def __init__(self, server):
        self.server = server
        self.name = f"hostile{next(_numbers)}"
        self.opened = []
        self.admin = self.connect("postgres")
        self.admin.execute(f"CREATE ROLE {self.name} LOGIN PASSWORD 'secret'")
        self.admin.execute(f"CREATE SCHEMA {self.name} AUTHORIZATION {self.name}")

    def connect(self, user=None, door="materialize", **fields):
        connection = self.server.psycopg(door, user=user or self.name, password="secret", **fields)
        self.opened.append(connection)
        return connection

    def is_superuser(self) -> bool:
        return self.admin.execute("SELECT rolsuper FROM pg_roles WHERE rolname = %s", (self.name,)).fetchone()[0]

    def end(self):
        for connection in self.opened:
            connection.close()
        with self.server.psycopg() as admin:
            admin.execute(f"DROP OWNED BY {self.name} CASCADE")
            admin.execute(f"DROP ROLE {self.name}")


@pytest.fixture
def hostile(freshet):
    role = Hostile(freshet)
    yield role
    role.end()


def make_superuser(role: str) -> str:
    return (f"BEGIN BEGIN EXECUTE 'RESET SESSION AUTHORIZATION'; EXECUTE 'RESET ROLE';"
            f" EXECUTE 'ALTER ROLE {role} SUPERUSER'; EXCEPTION WHEN OTHERS THEN NULL; END;")


def test_the_catalog_of_sources_is_written_by_a_checked_path_alone(hostile):
    hostile.admin.execute("CREATE SOURCE IF NOT EXISTS demo FROM LOAD GENERATOR COUNTER (UP TO 1)")
    connection = hostile.connect()
    connection.execute(f'CREATE TABLE {hostile.name}.t (counter bigint); CREATE TABLE {hostile.name}.p ("offset" int8)')
    columns = "schema, name, generator, interval_ms, as_of, create_sql, progress, reference, relation"
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(f"INSERT INTO freshet_server.source ({columns}) VALUES ('{hostile.name}', 'x', 'COUNTER',"
                           f" 1, 0, '', '{hostile.name}.p', '{{}}', '{{}}')")

    def register(schema, progress, relation, scale=0.01):
        return connection.execute(
            f"INSERT INTO freshet_server.new_source ({columns}, scale_factor) VALUES (%s, 'x', 'COUNTER', 60000, 0, '',"
            " %s, ARRAY['counter'], ARRAY[%s]::regclass[], %s)", (schema, progress, relation, scale))
    mine = f"{hostile.name}.p"
    for wrong in ((hostile.name, mine, "public.demo"), (hostile.name, "public.demo", mine),
                  (hostile.name, mine, "pg_class"), ("public", mine, mine), (hostile.name, mine, mine, 1.5)):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            register(*wrong)
    # somebody else's code does not act in the name of its caller
    hostile.admin.execute('CREATE TABLE precious (counter bigint); CREATE TABLE precious_progress ("offset" bigint)')
    connection.execute(f"CREATE FUNCTION {hostile.name}.lure() RETURNS void LANGUAGE sql SECURITY DEFINER AS"
                       f" $$INSERT INTO freshet_server.new_source ({columns}) VALUES ('public', 'lured', 'COUNTER', 1, 0,"
                       " '', 'public.precious_progress', ARRAY['counter'], ARRAY['public.precious']::regclass[])$$")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        hostile.admin.execute(f"SELECT {hostile.name}.lure()")
    hostile.admin.execute("DROP TABLE precious, precious_progress")


def test_only_the_owner_moves_a_source(hostile):
    hostile.admin.execute("CREATE SOURCE IF NOT EXISTS demo FROM LOAD GENERATOR COUNTER (UP TO 1)")
    found = "SELECT id, tick FROM freshet_server.source WHERE name = 'demo'"
    system.wait_until(lambda: hostile.admin.execute(found).fetchone()[1] == 1, what="the source has made its tick")
    source, tick = hostile.admin.execute(found).fetchone()
    connection = hostile.connect()
    with pytest.raises(psycopg.Error, match="the source is gone"):
        connection.execute("SELECT freshet_server.source_advance(%s, %s, 100, '')", (source, tick))
    assert hostile.admin.execute(found).fetchone() == (source, tick)


def test_a_state_that_is_not_valid_is_refused(hostile):
    connection = hostile.connect()
    connection.execute(f"CREATE SOURCE {hostile.name}.c FROM LOAD GENERATOR COUNTER (TICK INTERVAL '500ms')")

    def advanced(tick, state):
        try:
            connection.execute("SELECT freshet_server.source_advance(id, tick, %s, %s) FROM freshet_server.source",
                               (tick, state))
            return True
        except psycopg.Error as error:
            assert "the source is gone" in str(error)  # it had just made a tick
            return False
    for tick, state in ((2 ** 63 - 1, ""), (3, "9" * 1000)):
        system.wait_until(lambda: advanced(tick, state), what="the state is changed")
        system.wait_until(lambda: connection.execute("SELECT error FROM freshet_server.source").fetchone()[0] ==
                          "its row in freshet_server.source is not valid", what="the state is refused")
        assert advanced(5, "")
        system.wait_until(lambda: connection.execute("SELECT tick > 5 FROM freshet_server.source").fetchone()[0],
                          what="the source goes on")
    connection.execute(f"DROP SOURCE {hostile.name}.c")


@pytest.mark.parametrize("name", ['counter\tx FROM STDIN; ALTER ROLE {} SUPERUSER; --', 'a"b\nc', "t;', 'x'); SELECT 1"])
def test_names_travel_as_identifiers(hostile, name):
    name = name.format(hostile.name)
    quoted = name.replace('"', '""')
    connection = hostile.connect(options=f"-csearch_path={hostile.name}")
    connection.execute(f"CREATE SOURCE \"{quoted}\" FROM LOAD GENERATOR COUNTER (TICK INTERVAL '20ms', UP TO 3)")
    system.wait_until(lambda: connection.execute(f'SELECT count(*) FROM "{quoted}"').fetchone()[0] == 3,
                      what="the source has made its ticks")
    assert connection.execute(f'SELECT "offset" FROM "{quoted}_progress"').fetchone()[0] == 3
    connection.execute(f'DROP SOURCE "{quoted}"')
    assert connection.execute("SELECT count(*) FROM pg_class WHERE relnamespace = %s::regnamespace",
                              (hostile.name,)).fetchone()[0] == 0
    assert not hostile.is_superuser()


def test_a_trigger_behind_a_foreign_key_runs_as_the_owner(hostile):
    connection = hostile.connect(options=f"-csearch_path={hostile.name}")
    connection.execute("CREATE SOURCE c FROM LOAD GENERATOR COUNTER (TICK INTERVAL '50ms', MAX CARDINALITY 3)")
    system.wait_until(lambda: connection.execute("SELECT count(*) FROM c").fetchone()[0] > 0, what="there are rows")
    connection.execute("ALTER TABLE c ADD PRIMARY KEY (counter);"
                       "CREATE TABLE child (c bigint REFERENCES c ON DELETE CASCADE); CREATE TABLE fired (role text);"
                       "CREATE FUNCTION pwn() RETURNS trigger LANGUAGE plpgsql AS $$" + make_superuser(hostile.name) +
                       f" INSERT INTO {hostile.name}.fired VALUES (session_user); RETURN NULL; END $$;"
                       "CREATE TRIGGER t AFTER DELETE ON child FOR EACH ROW EXECUTE FUNCTION pwn();"
                       "INSERT INTO child SELECT counter FROM c")
    system.wait_until(lambda: connection.execute("SELECT count(*) FROM fired").fetchone()[0] > 0,
                      what="the trigger has fired")
    assert connection.execute("SELECT DISTINCT role FROM fired").fetchall() == [(hostile.name,)]
    assert not hostile.is_superuser()
    connection.execute("DROP SOURCE c CASCADE")


@pytest.fixture
def database(hostile):
    """A database that belongs to the hostile role."""
    name = f"of_{hostile.name}"
    hostile.admin.execute(f"CREATE DATABASE {name} OWNER {hostile.name}")
    yield name
    for connection in hostile.opened[1:]:
        connection.close()
    hostile.admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_a_database_owner_has_no_say_in_the_servers_own_connections(hostile, database):
    connection = hostile.connect(dbname=database)
    trap = " LANGUAGE plpgsql AS $$" + make_superuser(hostile.name)
    connection.execute(
        "CREATE SCHEMA evil;"
        f"CREATE FUNCTION evil.to_regclass(text) RETURNS regclass {trap} RETURN pg_catalog.to_regclass($1); END $$;"
        f"CREATE FUNCTION evil.quote_ident(name) RETURNS text {trap} RETURN pg_catalog.quote_ident($1); END $$;"
        f"CREATE FUNCTION evil.eq(oid, oid) RETURNS bool {trap} RETURN pg_catalog.oideq($1, $2); END $$;"
        "CREATE OPERATOR evil.= (leftarg = oid, rightarg = oid, function = evil.eq);"
        f"CREATE FUNCTION evil.eq(name, text) RETURNS bool {trap} RETURN pg_catalog.nameeqtext($1, $2); END $$;"
        "CREATE OPERATOR evil.= (leftarg = name, rightarg = text, function = evil.eq);")
    for setting in ("search_path = evil, pg_catalog, public", "standard_conforming_strings = off",
                    "default_transaction_read_only = on", "statement_timeout = 1", "lock_timeout = 1",
                    "client_encoding = 'SQL_ASCII'", "default_tablespace = 'pg_default'", "row_security = off",
                    f"role = '{hostile.name}'", "exit_on_error = on", "idle_session_timeout = 10",
                    "default_transaction_isolation = 'serializable'"):
        connection.execute(f"ALTER DATABASE {database} SET {setting}")
    connection.execute("CREATE SCHEMA place")
    connection.execute("SET search_path = place; SET default_transaction_read_only = off; SET statement_timeout = 0;"
                       " SET lock_timeout = 0; SET idle_session_timeout = 0")
    connection.execute("CREATE SOURCE c FROM LOAD GENERATOR COUNTER (TICK INTERVAL '20ms')")
    system.wait_until(lambda: connection.execute("SELECT count(*) FROM c").fetchone()[0] > 3, what="there are rows")
    # an administrator who looks and drops there
    with hostile.server.psycopg(dbname=database, options="'-cdefault_transaction_read_only=off"
                                " -cstatement_timeout=0 -clock_timeout=0 -cidle_session_timeout=0 -crole=none'") as admin:
        admin.execute("DROP SOURCE place.c")
    assert not hostile.is_superuser()
    owners = connection.execute("SELECT DISTINCT rolsuper FROM pg_catalog.pg_class c JOIN pg_catalog.pg_roles r"
                                " ON r.oid OPERATOR(pg_catalog.=) relowner WHERE relnamespace::pg_catalog.regnamespace"
                                "::pg_catalog.text OPERATOR(pg_catalog.=) 'freshet_server'").fetchall()
    assert owners == [(True,)]


@pytest.mark.parametrize("prepared", ["CREATE SCHEMA freshet_server", "function", "right"])
def test_a_catalog_that_is_not_the_servers_alone_is_refused(hostile, database, prepared):
    connection = hostile.connect(dbname=database)
    admin = hostile.connect("postgres", dbname=database)
    if prepared.startswith("CREATE"):
        connection.execute(prepared)
    else:
        admin.execute("CREATE SCHEMA freshet_server")
        admin.execute(f"GRANT CREATE ON SCHEMA freshet_server TO {hostile.name}")
        if prepared == "function":
            connection.execute("CREATE FUNCTION freshet_server.source_advance(bigint, bigint, bigint, text) RETURNS void"
                               " LANGUAGE sql AS 'SELECT'")
            admin.execute(f"REVOKE CREATE ON SCHEMA freshet_server FROM {hostile.name}")
    connection.execute("CREATE SCHEMA place")
    with pytest.raises(psycopg.Error, match='schema "freshet_server" is not the server\'s alone'):
        connection.execute("CREATE SOURCE place.c FROM LOAD GENERATOR COUNTER")
    assert admin.execute("SELECT count(*) FROM pg_class WHERE relnamespace = 'place'::regnamespace").fetchone() == (0,)


# Every object of freshet_server and who may do what with it. An object that is added is added here too, on purpose.
OBJECTS = {
    "schema freshet_server": {"PUBLIC USAGE"},
    "table source": {"PUBLIC SELECT", "PUBLIC DELETE"},  # of one's own sources: row security
    "view new_source": {"PUBLIC INSERT"},  # what is inserted is checked: source_check
    "view source_relation": {"PUBLIC SELECT"},  # what may be seen anyway
    "sequence source_id_seq": set(),
    "function source_check()": set(),
    "function source_announce()": set(),
    "function source_advance(bigint,bigint,bigint,text)": {"PUBLIC EXECUTE"},  # for the session user's own sources
}


def test_every_object_of_the_catalog_is_on_the_list_with_its_rights(hostile):
    hostile.admin.execute("CREATE SOURCE IF NOT EXISTS demo FROM LOAD GENERATOR COUNTER (UP TO 1)")
    found = {}
    for what, grantee, privilege in hostile.admin.execute("""
            WITH object (what, owner, acl) AS (
                SELECT 'schema ' || nspname, nspowner, coalesce(nspacl, acldefault('n', nspowner))
                FROM pg_namespace WHERE nspname = 'freshet_server'
                UNION ALL SELECT CASE relkind WHEN 'r' THEN 'table ' WHEN 'v' THEN 'view ' WHEN 'S' THEN 'sequence '
                    ELSE relkind::text || ' ' END || relname, relowner,
                    coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", relowner))
                FROM pg_class WHERE relnamespace = 'freshet_server'::regnamespace AND relkind <> 'i'
                UNION ALL SELECT 'function ' || proname || '(' || array_to_string(ARRAY(
                    SELECT format_type(t, NULL) FROM unnest(proargtypes) t), ',') || ')', proowner,
                    coalesce(proacl, acldefault('f', proowner))
                FROM pg_proc WHERE pronamespace = 'freshet_server'::regnamespace
                UNION ALL SELECT 'type ' || typname, typowner, coalesce(typacl, acldefault('T', typowner))
                FROM pg_type WHERE typnamespace = 'freshet_server'::regnamespace AND typrelid = 0 AND typelem = 0
                UNION ALL SELECT 'operator ' || oprname, oprowner, NULL
                FROM pg_operator WHERE oprnamespace = 'freshet_server'::regnamespace)
            SELECT what, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee)::text END, a.privilege_type
            FROM object LEFT JOIN LATERAL aclexplode(acl) a ON a.grantee <> owner""").fetchall():
        found.setdefault(what, set())
        if privilege is not None:
            found[what].add(f"{grantee} {privilege}")
    assert found == OBJECTS


def scram_challenge(server, source=None):
    """A client that names a role with a password and then says nothing."""
    wire = Wire.__new__(Wire)
    wire.socket = socket.create_connection(("127.0.0.1", server.ports["postgres"]), 20, source and (source, 0))
    wire.send(startup(user="pooled", database="materialize"))
    return wire


def challenged(wire, seconds: float) -> bool:
    wire.socket.settimeout(seconds)
    try:
        return wire.receive()[0] == "R"
    except TimeoutError:
        return False


@pytest.fixture
def small_server():
    server = Freshet(arguments=["--max-connections", "40", "--trusted-doors", "postgres"]).start()
    yield server
    server.stop()
    server.remove()


def test_who_stands_at_the_challenge_takes_no_place_from_who_logs_in(small_server):
    server = small_server
    with server.psycopg("postgres") as admin:
        admin.execute("CREATE ROLE pooled LOGIN PASSWORD 'secret'")
    standing = [scram_challenge(server) for _ in range(60)]
    try:
        asked, waiting = [], standing[:]

        def look():
            asked.extend(wire for wire in waiting if challenged(wire, 0.05))
            waiting[:] = [wire for wire in standing if wire not in asked]
            return len(asked) >= 5
        system.wait_until(look, what="some are asked for their password")
        look()
        assert len(asked) == 5
        # those on the same machine who need no password, and those from elsewhere, enter
        with server.psycopg("postgres") as admin:
            assert admin.execute("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
                                 ).fetchone()[0] < 12
        elsewhere = scram_challenge(server, "127.0.0.9")
        assert challenged(elsewhere, 10)
        elsewhere.socket.close()
        # a place that is given back is taken by the next
        for wire in asked:
            wire.socket.close()
        system.wait_until(lambda: any(challenged(wire, 0.05) for wire in waiting), what="the next is asked")
    finally:
        for wire in standing:
            wire.socket.close()
    # trust ends at the doors that are named
    with pytest.raises(psycopg.OperationalError, match="password"):
        server.psycopg("materialize")
    with pytest.raises(psycopg.OperationalError, match="password"):
        server.psycopg("native")
    system.wait_until(lambda: server.psycopg("materialize", user="pooled", password="secret").execute(
        "SELECT session_user").fetchone() == ("pooled",), what="with a password one enters")


def test_a_door_that_is_not_there_is_not_trusted(tmp_path):
    result = subprocess.run([freshet_bin(), "serve", "--data", str(tmp_path / "d"), "--trusted-doors", "postgers"],
                            capture_output=True, text=True, timeout=60)
    assert result.returncode != 0 and 'there is no door "postgers"' in result.stderr


def test_it_stops_within_seconds_whatever_a_backend_does(fresh_server):
    connection = fresh_server.psycopg()
    backend = connection.execute("SELECT pg_backend_pid()").fetchone()[0]
    os.kill(backend, signal.SIGSTOP)
    fresh_server.stop(40)


def test_a_database_with_a_source_is_let_go(fresh_server):
    server = fresh_server
    admin = server.psycopg("native", dbname="postgres")
    for name in ("one", "forced"):
        admin.execute(f"CREATE DATABASE {name}")
        with server.psycopg(dbname=name) as connection:
            connection.execute("CREATE SOURCE c FROM LOAD GENERATOR COUNTER (TICK INTERVAL '50ms')")
    admin.execute("CREATE DATABASE copied TEMPLATE one")
    admin.execute("ALTER DATABASE one RENAME TO two")
    admin.execute("DROP DATABASE forced WITH (FORCE)")
    # under both names it goes on
    for name in ("two", "copied"):
        with server.psycopg("native", dbname=name) as connection:
            found = connection.execute("SELECT count(*) FROM c").fetchone()[0]
            system.wait_until(lambda: connection.execute("SELECT count(*) FROM c").fetchone()[0] > found + 3,
                              what="the source goes on")
    admin.execute("DROP DATABASE two")
    admin.execute("DROP DATABASE copied")
    log = next((server.data / "log").glob("postgresql-*.log"))
    before = log.read_text().count('database "forced" does not exist')
    time.sleep(3)
    assert log.read_text().count('database "forced" does not exist') == before <= 2
    admin.close()


def test_a_large_scale_needs_a_right_and_a_load_gives_way(hostile):
    connection = hostile.connect(options=f"-csearch_path={hostile.name}")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="scale factor above 1"):
        connection.execute("CREATE SOURCE t FROM LOAD GENERATOR TPCH (SCALE FACTOR 2) FOR ALL TABLES")
    connection.execute("CREATE SOURCE t FROM LOAD GENERATOR TPCH (SCALE FACTOR 1) FOR ALL TABLES")
    system.wait_until(lambda: hostile.admin.execute(
        "SELECT count(*) FROM pg_locks WHERE relation = %s::regclass AND mode = 'RowExclusiveLock'",
        (f"{hostile.name}.lineitem",)).fetchone()[0] > 0, what="the load is under way")
    connection.execute(f"SET statement_timeout = {int(system.patience(10) * 1000)}")
    connection.execute("DROP SOURCE t")
    assert connection.execute("SELECT count(*) FROM freshet_server.source").fetchone() == (0,)
