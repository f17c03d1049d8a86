"""A private PostgreSQL with the extension and without the server."""

import os
import pathlib
import signal
import subprocess
from contextlib import contextmanager

import psycopg
import psycopg2

from . import system
from .paths import pg_bin

SETTINGS = {
    "shared_preload_libraries": "'freshet'",
    "listen_addresses": "'127.0.0.1'",
    "max_connections": "60",
    "max_prepared_transactions": "20",
    "shared_buffers": "'128MB'",
    "fsync": "off",
    "log_min_messages": "warning",
    "log_line_prefix": "'%m [%p] %b %q%u@%d '",
    "restart_after_crash": "on",
}

_template: pathlib.Path | None = None


def _initdb(target: pathlib.Path) -> None:
    """A fresh cluster in target; initdb itself runs once per test session."""
    global _template
    if _template is None:
        _template = system.temp_dir("template") / "data"
        subprocess.run(
            system.as_pg_user(
                [pg_bin("initdb"), "-D", str(_template), "-U", "postgres", "-A", "trust",
                 "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]),
            check=True, stdout=subprocess.DEVNULL, cwd="/")
    subprocess.run(system.as_pg_user(["cp", "-a", str(_template), str(target)]), check=True, cwd="/")


def remove_template() -> None:
    if _template is not None:
        system.remove(_template.parent)


class Postgres:
    """One cluster: started, stopped, killed and started again."""

    def __init__(self, settings: dict[str, str] | None = None, program: str | None = None):
        self.program = program or pg_bin("postgres")
        self.dir = system.temp_dir("pg")
        self.data = self.dir / "data"
        self.log = self.dir / "log"
        self.port = system.free_port()
        self.pid = 0
        _initdb(self.data)
        values = SETTINGS | {
            "port": str(self.port),
            "unix_socket_directories": f"'{self.dir}'",
        } | (settings or {})
        with open(self.data / "postgresql.conf", "a") as conf:
            conf.writelines(f"{name} = {value}\n" for name, value in values.items())

    def start(self) -> "Postgres":
        with open(self.log, "a") as log:
            system.own(self.log)
            process = subprocess.Popen(
                system.as_pg_user([self.program, "-D", str(self.data)], nice=True),
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd="/",
                start_new_session=True)
        self._process = process

        def answers():
            if process.poll() is not None:
                raise AssertionError("PostgreSQL did not start:\n" + self.log_tail())
            try:
                psycopg2.connect(self.dsn("postgres")).close()
            except psycopg2.OperationalError:
                return False
            return True

        system.wait_until(answers, 30, 0.05, "PostgreSQL answers")
        self.pid = int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
        return self

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Fast shutdown by default."""
        if system.is_running(self.pid):
            os.kill(self.pid, how)
        try:
            self._process.wait(system.patience(30))
        except subprocess.TimeoutExpired:
            tail = self.log_tail()
            self.kill()
            raise AssertionError("PostgreSQL did not stop:\n" + tail) from None

    def kill(self) -> None:
        """kill -9 the postmaster and every process of it."""
        system.kill_tree(self.pid)
        self._process.wait(system.patience(30))

    def remove(self) -> None:
        system.remove(self.dir)

    def dsn(self, dbname: str = "postgres", user: str = "postgres") -> str:
        return f"host={self.dir} port={self.port} dbname={dbname} user={user}"

    def psycopg2(self, dbname: str = "postgres", autocommit: bool = True, **options):
        connection = psycopg2.connect(self.dsn(dbname), **options)
        connection.autocommit = autocommit
        return connection

    def psycopg(self, dbname: str = "postgres", autocommit: bool = True, **options):
        return psycopg.connect(self.dsn(dbname), autocommit=autocommit, **options)

    @contextmanager
    def database(self, name: str, schema: str = ""):
        """A database with the extension and a schema, gone in the end; gives its name, which begins with the one given."""
        name = f"{name}_{os.urandom(4).hex()}"
        with self.psycopg() as admin:
            admin.execute(f"CREATE DATABASE {name}")
            try:
                with self.psycopg(name) as connection:
                    connection.execute("CREATE EXTENSION freshet")
                    connection.execute(schema)
                yield name
            finally:
                admin.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def log_tail(self, lines: int = 60) -> str:
        """The last lines of the log, without what clients were told themselves."""
        try:
            kept = [line for line in self.log.read_text(errors="replace").splitlines() if "client backend" not in line]
        except OSError:
            return "(no log)"
        return "\n".join(kept[-lines:])
