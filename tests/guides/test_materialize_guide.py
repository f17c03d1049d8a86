"""Materialize's Python guide, word for word, against the server.

Every Python block is a process of its own, in the guide's order; what the guide leaves to its reader
(user, password, host) is filled in, and the port only if 6875 is taken on this machine.
"""

import os
import re
import subprocess

import pytest
from harness import paths, system
from harness.server import Freshet

from . import scripts
from .blocks import blocks

shared = paths.shared_dir()
GUIDE = shared / "guides" / "materialize-python.md" if shared else None

pytestmark = [
    pytest.mark.skipif(not GUIDE or not GUIDE.exists(), reason="the guide is not beside the repository"),
    pytest.mark.timeout(180),
]


@pytest.fixture(scope="module")
def server():
    port = 6875 if system.port_is_free(6875) else system.free_port()
    server = Freshet(ports={"materialize": port}).start()
    admin = server.psycopg("postgres")
    scripts.make_reader(admin)
    yield server
    admin.close()
    server.stop()
    server.remove()


def test_the_guide(server):
    found = blocks(GUIDE)
    python = [block for block in found if block.language == "python" and "import" in block.code]
    assert len(python) >= 8
    port = server.ports["materialize"]
    printed = {}
    for block in python:
        endless = "SUBSCRIBE" in block.code
        result = scripts.run_script(scripts.fill_in(block.code, port), scripts.saw_an_update if endless else None)
        assert result.status == (None if endless else 0), f"{block.heading}:\n{result.errors}\n{result.lines}"
        printed[block.heading] = result.lines
        if endless:
            rows = scripts.subscribed_rows(result.lines)
            assert rows[0][1] == 1, "the snapshot comes first"
            times = [row[0] for row in rows]
            assert times == sorted(times)
    assert printed["Create tables"][0].startswith("('countries'")
    assert printed["Insert data into tables"] == ["(4,)"]
    assert sorted(printed["Query"]) == ["('CA', 'Canada')", "('DE', 'Germany')", "('MX', 'Mexico')",
                                        "('US', 'United States')"]
    assert printed["Create a source from Python"][0].startswith("('accounts', 'subsource'")

    clean_up = [block for block in found if block.language == "mzsql"]
    assert clean_up
    for block in clean_up:
        result = psql(block.code, port)
        assert result.returncode == 0, result.stderr
    admin = server.psycopg("postgres")
    left = admin.execute("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace").fetchall()
    assert left == []
    admin.close()


def test_it_can_be_read_twice(server):
    """After the clean-up, creating everything again works."""
    found = [block for block in blocks(GUIDE) if block.language == "python"]
    again = [block for block in found if re.match("Create a (source|view)", block.heading)]
    for block in again:
        result = scripts.run_script(scripts.fill_in(block.code, server.ports["materialize"]))
        assert result.status == 0, result.errors
    for block in blocks(GUIDE):
        if block.language == "mzsql":
            assert psql(block.code, server.ports["materialize"]).returncode == 0


def psql(sql: str, port: int) -> subprocess.CompletedProcess:
    """psql as the guide's reader starts it."""
    return subprocess.run(
        [paths.pg_bin("psql"), "-X", "-v", "ON_ERROR_STOP=1",
         f"host=127.0.0.1 port={port} user={scripts.USER} dbname=materialize sslmode=require", "-f", "-"],
        input=sql, env=os.environ | {"PGPASSWORD": scripts.PASSWORD}, capture_output=True, text=True, timeout=60)
