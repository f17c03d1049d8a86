"""A pytest plugin: freshet_server starts a server for the session, freshet_database gives each test a clean database.

The server's data directory is copied from a template, which the first run makes, so that later ones start in a moment.
The template is kept in the user's cache directory, for each version of the program. Options: --freshet-bin, or
FRESHET_BIN, or `freshet` in the PATH.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ._channel import Query, open_channel

START = 60.0  # seconds a server may take


class FreshetServer:
    """`freshet serve` on a temporary directory and free ports, for whoever connects as postgres from this machine."""

    def __init__(self, program: str, data: Path) -> None:
        self.program, self.data = program, data
        self.port = _free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> FreshetServer:
        """Return once it is ready."""
        doors = {"postgres": self.port, "materialize": 0, "cratedb": 0, "databend": 0, "console": 0, "native": 0}
        command = [self.program, "serve", "--data", str(self.data)]
        for door, port in doors.items():
            command += [f"--{door}-port", str(port)]
        log = self.data.parent / "log"
        with open(log, "wb") as output:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
        deadline = time.monotonic() + START
        while "ready" not in log.read_text(errors="replace").splitlines():
            if self.process.poll() is not None or time.monotonic() > deadline:
                printed = log.read_text(errors="replace")
                self.stop()
                raise RuntimeError(f"{' '.join(command)} did not start:\n{printed}")
            time.sleep(0.02)
        return self

    def stop(self) -> None:
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def dsn(self, database: str = "postgres") -> str:
        """The address for psycopg2, psycopg and asyncpg."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: str, database: str = "postgres") -> list[Any]:
        with closing(open_channel(self.dsn(database))) as channel:
            return list(channel.query(Query(statement)).rows)


@dataclass(frozen=True)
class FreshetDatabase:
    """A database of one test."""

    server: FreshetServer
    name: str

    @property
    def host(self) -> str:
        return "127.0.0.1"

    @property
    def port(self) -> int:
        return self.server.port

    @property
    def dsn(self) -> str:
        """The address for psycopg2, psycopg and asyncpg."""
        return self.server.dsn(self.name)

    def url(self, driver: str = "psycopg") -> str:
        """The address for SQLAlchemy."""
        return self.dsn.replace("postgresql:", f"postgresql+{driver}:", 1)

    def execute(self, statement: str) -> list[Any]:
        return self.server.execute(statement, self.name)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("freshet").addoption("--freshet-bin", help="the program freshet, if it is not in the PATH")


@pytest.fixture(scope="session")
def freshet_server(request: pytest.FixtureRequest) -> Iterator[FreshetServer]:
    """A Freshet server for the whole session."""
    program = request.config.getoption("--freshet-bin") or os.environ.get("FRESHET_BIN") or shutil.which("freshet")
    if not program:
        pytest.fail("freshet is not in the PATH: --freshet-bin or FRESHET_BIN says where it is")
    directory = _directory("freshet-test-")
    server = FreshetServer(program, directory / "data")
    try:
        _copy(_template(program), server.data)
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def freshet_database(freshet_server: FreshetServer) -> Iterator[FreshetDatabase]:
    """An empty database, dropped after the test with all its connections."""
    database = FreshetDatabase(freshet_server, f"test_{uuid.uuid4().hex}")
    freshet_server.execute(f"CREATE DATABASE {database.name}")
    try:
        yield database
    finally:
        freshet_server.execute(f"DROP DATABASE {database.name} WITH (FORCE)")


def _template(program: str) -> Path:
    """A data directory as the first start makes it; made once for each program, whoever comes first."""
    stat = os.stat(program)
    key = hashlib.sha256(f"{os.path.realpath(program)} {stat.st_size} {stat.st_mtime_ns}".encode()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "freshet"
    template = cache / f"template-{key}"
    if template.is_dir():
        return template
    directory = _directory("freshet-template-")
    server = FreshetServer(program, directory / "data")
    try:
        server.start()
        # Tests do not outlive the machine.
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            server.execute(f"ALTER SYSTEM SET {setting} = off")
        server.stop()
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix="new-", dir=cache))
        _copy(server.data, made / "data")
        with suppress(OSError):  # another process was first
            os.rename(made / "data", template)
        shutil.rmtree(made, ignore_errors=True)
        return template
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


def _directory(prefix: str) -> Path:
    """A new directory that the user postgres reaches as well: started by root, the server becomes that user."""
    path = Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp"))  # a path short enough for a socket
    if os.geteuid() == 0:
        path.chmod(0o755)
    return path


def _copy(source: Path, target: Path) -> None:
    """With owners and modes; without copying blocks where the file system can share them."""
    subprocess.run(["cp", "-a", "--reflink=auto", str(source), str(target)], check=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
