"""The same with the other SQLAlchemy, and with types checked."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from harness.paths import ROOT

from .conftest import SERVERS

OTHER = Path(sys.prefix) / "sqlalchemy20"       # installed beside the venv's own by the Makefile


@pytest.mark.timeout(600)
def test_sqlalchemy_20(freshet, plain_postgres):
    if not OTHER.is_dir():
        pytest.skip("SQLAlchemy 2.0 is not installed: make .venv/stamp")
    path = os.pathsep.join([str(OTHER), os.environ["PYTHONPATH"]])
    servers = {"freshet": freshet.ports["postgres"], "postgresql": plain_postgres.port}
    version = subprocess.run([sys.executable, "-c", "import sqlalchemy; print(sqlalchemy.__version__)"],
                             env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True)
    assert version.stdout.startswith("2.0.")
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-x", "test_views.py", "test_alembic.py",
                           "-k", "not hostile or psycopg2"], cwd=Path(__file__).parent, stdin=subprocess.DEVNULL,
                          env=os.environ | {"PYTHONPATH": path, SERVERS: json.dumps(servers)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr


@pytest.mark.timeout(300)
def test_types_and_style():
    for command in (["ruff", "check", "."], ["ruff", "format", "--check", "."],
                    ["mypy", "--config-file", "freshet/pyproject.toml", "freshet/src", "sqlalchemy_pgview/src"]):
        done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT / "python", capture_output=True, text=True,
                              env=os.environ | {"MYPY_CACHE_DIR": os.devnull, "RUFF_NO_CACHE": "true"})
        assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"
