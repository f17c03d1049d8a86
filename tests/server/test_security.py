"""What a role without rights tries with the server's own connections; and the network side."""

import itertools

import psycopg
import pytest

from harness import system

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
