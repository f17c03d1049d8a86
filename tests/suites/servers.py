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

# Who proves what to enter; everybody else is trusted directly, and treated as Freshet treats them at the door.
METHODS = {"pass_user": "password", "md5_user": "md5", "scram_user": "scram-sha-256", "ssl_user": "trust"}


def rules(connection: str, address: str) -> str:
    """METHODS as lines of pg_hba.conf."""
    return "".join(f"{connection} all {role} {address} {method}\n" for role, method in METHODS.items())


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
        file = self.server.data / "pg_hba.conf"
        file.write_text(rules("host", "127.0.0.1/32") + file.read_text())
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
        ours.write_text(rules("local", "") + (self.server.data / "pgdata" / "pg_hba.conf").read_text())
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
