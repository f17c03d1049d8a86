"""A private `freshet serve`: started, watched for `ready`, stopped, killed and started again."""

import os
import signal
import subprocess

import asyncpg
import psycopg
import psycopg2

from . import system
from .paths import freshet_bin, pg_bin, pg_dir

DOORS = ("postgres", "materialize", "cratedb", "databend", "console", "native")


class Freshet:
    """One data directory and the server on it. ports: door name to port, 0 for a closed door."""

    def __init__(self, ports: dict[str, int] | None = None, arguments: list[str] | None = None):
        self.dir = system.temp_dir("serve")
        self.data = self.dir / "data"
        self.output = self.dir / "output"
        self.arguments = arguments or []
        chosen = {"postgres": system.free_port(), "materialize": system.free_port(),
                  "native": system.free_port()} | (ports or {})
        self.ports = {door: chosen.get(door, 0) for door in DOORS}
        self.process: subprocess.Popen | None = None

    def command(self) -> list[str]:
        command = [freshet_bin(), "serve", "--data", str(self.data)]
        for door, port in self.ports.items():
            command += [f"--{door}-port", str(port)]
        return command + self.arguments

    @property
    def environment(self) -> dict[str, str]:
        """Ours, without the settings of a server somebody runs beside the tests."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith("FRESHET_")}
        return ours | {"FRESHET_POSTGRES_BIN": str(pg_dir("bindir"))}

    def start(self, timeout: float = 60, cwd: os.PathLike | None = None) -> "Freshet":
        """Start, in its own directory unless another is given, and wait for the line `ready`."""
        if os.path.exists(self.output):
            offset = self.output.stat().st_size
        else:
            offset = 0
        with open(self.output, "a") as output:
            system.own(self.output)
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                env=self.environment, start_new_session=True, cwd=cwd or self.dir)

        def is_ready():
            printed = self.output.read_text(errors="replace")[offset:]
            if "ready" in printed.splitlines():
                return True
            if self.process.poll() is not None:
                raise AssertionError(
                    f"freshet serve ended with status {self.process.returncode}:\n" + self.log_tail())
            return False

        try:
            system.wait_until(is_ready, timeout, 0.05, "freshet prints ready")
        except AssertionError as error:
            tail = self.log_tail()
            self.kill()
            raise AssertionError(f"{error}\n{tail}") from None
        return self

    def stop(self, timeout: float = 30) -> None:
        """SIGTERM must end it with status 0."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(system.patience(timeout))
        except subprocess.TimeoutExpired:
            tail = self.log_tail()
            self.kill()
            raise AssertionError(f"freshet did not stop within {timeout} s:\n{tail}") from None
        self.process = None
        assert status == 0, f"freshet ended with status {status}:\n{self.log_tail()}"

    def kill(self) -> None:
        """kill -9 the server, the PostgreSQL below it and every backend."""
        if self.process is not None:
            system.kill_tree(self.process.pid)
            self.process.wait(system.patience(30))
            self.process = None

    def remove(self) -> None:
        system.remove(self.dir)

    def postmaster_pid(self) -> int:
        """The pid of the embedded PostgreSQL."""
        return int((self.data / "pgdata" / "postmaster.pid").read_text().split()[0])

    def dsn(self, door: str = "materialize", dbname: str = "materialize",
            user: str = "postgres", **more) -> str:
        fields = {"host": "127.0.0.1", "port": self.ports[door], "dbname": dbname, "user": user,
                  "sslmode": "disable" if door == "native" else "require"} | more
        return " ".join(f"{name}={value}" for name, value in fields.items())

    def psycopg2(self, door: str = "materialize", autocommit: bool = True, **fields):
        connection = psycopg2.connect(self.dsn(door, **fields))
        connection.autocommit = autocommit
        return connection

    def psycopg(self, door: str = "materialize", autocommit: bool = True, **fields):
        return psycopg.connect(self.dsn(door, **fields), autocommit=autocommit)

    async def asyncpg(self, door: str = "materialize", database: str = "materialize",
                      user: str = "postgres", **options):
        options.setdefault("ssl", False if door == "native" else "require")
        return await asyncpg.connect(host="127.0.0.1", port=self.ports[door], database=database,
                                     user=user, **options)

    def psql(self, *arguments: str, door: str = "materialize", timeout: float = 60,
             **fields) -> subprocess.CompletedProcess:
        """psql -XAt through a door."""
        return subprocess.run([pg_bin("psql"), "-XAt", self.dsn(door, **fields), *arguments],
                              capture_output=True, text=True, timeout=timeout,
                              stdin=subprocess.DEVNULL)

    def log_tail(self, lines: int = 60) -> str:
        """The last lines of what the server printed and of any PostgreSQL log it keeps."""
        tails = []
        for path in [self.output, *sorted(self.data.glob("**/*.log"))]:
            try:
                text = path.read_text(errors="replace").splitlines()[-lines:]
            except OSError:
                continue
            tails.append(f"--- {path.name}\n" + "\n".join(text))
        return "\n".join(tails)
