"""The two servers a suite is run against: PostgreSQL as it is packaged, and Freshet's door."""

import subprocess

import psycopg

from harness import system
from harness.postgres import Postgres
from harness.server import Freshet

# What some suites want to find, on both sides.
SETTINGS = {
    "max_connections": "200",
    "max_prepared_transactions": "20",
    "wal_level": "logical",
    "max_replication_slots": "20",
    "fsync": "off",
    "default_text_search_config": "'pg_catalog.english'",
    "TimeZone": "'UTC'",
}

# Who may enter: trusted roles without a password, as Freshet has it, and others by whatever method tests ask for.
RULES = """\
{connection} all pass_user {address} password
{connection} all ssl_user {address} trust
"""
DIRECT_RULES = RULES + """\
{connection} all,replication postgres {address} trust
{connection} all,replication all {address} md5
local all all trust
"""


class Direct:
    """PostgreSQL without the extension."""

    name = "directly"

    def __init__(self):
        self.server = Postgres(SETTINGS | {"shared_preload_libraries": "''", "ssl": "on"})
        # the door speaks TLS, and drivers take another way through their code then
        certificate, key = self.server.data / "server.crt", self.server.data / "server.key"
        subprocess.run(["openssl", "req", "-new", "-x509", "-nodes", "-subj", "/CN=localhost", "-days", "2",
                        "-out", certificate, "-keyout", key], check=True, capture_output=True)
        for path in (certificate, key):
            path.chmod(0o600)
            system.own(path)
        (self.server.data / "pg_hba.conf").write_text(DIRECT_RULES.format(connection="host", address="127.0.0.1/32"))
        self.certificate = certificate
        self.server.start()
        self.port = self.server.port

    def stop(self):
        self.server.stop()
        self.server.remove()


class Door:
    """Freshet, at its door for PostgreSQL's clients."""

    name = "door"

    def __init__(self):
        self.server = Freshet().start(120)
        self.port = self.server.ports["postgres"]
        self.certificate = self.server.data / "tls" / "server.crt"
        # Freshet writes pg_hba.conf itself, and its sessions come by the socket
        ours = self.server.data / "pgdata" / "suites_hba.conf"
        theirs = (self.server.data / "pgdata" / "pg_hba.conf").read_text().replace("scram-sha-256", "md5")
        ours.write_text(RULES.format(connection="local", address="") + theirs)
        system.own(ours)
        with self.server.psycopg("native") as connection:
            for name, value in (SETTINGS | {"hba_file": f"'{ours}'"}).items():
                connection.execute(f"ALTER SYSTEM SET {name} = {value}")
        self.server.stop()
        self.server.start(120)

    def stop(self):
        self.server.stop()
        self.server.remove()


def prepare(side, databases, statements, setting=None) -> None:
    """Fresh databases on this side (but `postgres` as it is), with this setting, and these statements run in the first of them."""
    dsn = f"host=127.0.0.1 port={side.port} user=postgres"
    with psycopg.connect(f"{dsn} dbname=postgres", autocommit=True) as connection:
        for name in set(databases) - {"postgres"}:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            connection.execute(f"CREATE DATABASE {name}")
            if setting:
                connection.execute(f"ALTER DATABASE {name} SET {setting}")
    with psycopg.connect(f"{dsn} dbname={databases[0]}", autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)
