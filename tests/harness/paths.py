"""Where the programs under test are: PG_CONFIG and FRESHET_BIN, or what the build made."""

import functools
import os
import pathlib
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]


@functools.cache
def pg_config() -> str:
    """The pg_config of the PostgreSQL under test."""
    given = os.environ.get("PG_CONFIG")
    if given:
        return given
    debian = "/usr/lib/postgresql/15/bin/pg_config"
    return debian if os.path.exists(debian) else shutil.which("pg_config") or "pg_config"


@functools.cache
def pg_dir(which: str) -> pathlib.Path:
    """A directory of that PostgreSQL: bindir, pkglibdir, sharedir."""
    out = subprocess.run([pg_config(), "--" + which], check=True, capture_output=True, text=True)
    return pathlib.Path(out.stdout.strip())


def pg_bin(name: str) -> str:
    """A program of that PostgreSQL; pgbench and friends may live on the PATH only."""
    program = pg_dir("bindir") / name
    return str(program) if program.exists() else shutil.which(name) or str(program)


def freshet_bin() -> str:
    """The server under test."""
    given = os.environ.get("FRESHET_BIN")
    if given:
        return given
    built = ROOT / "server" / "build" / "freshet"
    if not built.exists():
        raise RuntimeError(f"{built} is not there: run make first, or set FRESHET_BIN")
    return str(built)


def shared_dir() -> pathlib.Path | None:
    """The guides and references beside the repository, where they are present."""
    shared = pathlib.Path(os.environ.get("FRESHET_SHARED", ROOT.parent / "shared"))
    return shared if shared.is_dir() else None
