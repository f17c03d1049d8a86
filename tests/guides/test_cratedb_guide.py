"""CrateDB's Python guide, word for word, against the server.

Each sample is a process of its own. What the guide leaves to its reader (cluster, password) is filled in, and the ports
are others; the certificate is the one the server made, which clients trust by its authority, as they would a cluster's.
"""

import os
import subprocess
import sys

import pytest
from harness import paths, system
from harness.server import Freshet

from .blocks import rst_blocks

shared = paths.shared_dir()
GUIDE = shared / "guides" / "cratedb-python.rst" if shared else None

pytestmark = pytest.mark.skipif(not GUIDE or not GUIDE.exists(), reason="the guide is not beside the repository")

SAMPLES = rst_blocks(GUIDE) if GUIDE and GUIDE.exists() else []


@pytest.fixture(scope="module")
def server():
    server = Freshet(ports={"cratedb": system.free_port()}).start()
    with server.psycopg("postgres") as connection:
        connection.execute("CREATE ROLE admin LOGIN PASSWORD 'correct horse'")
    yield server
    server.stop()
    server.remove()


def fill_in(server, code: str) -> str:
    return (code.replace("<name-of-your-cluster>.cratedb.net", "localhost").replace("<PASSWORD>", "correct horse")
            .replace(":4200", f":{server.ports['cratedb']}").replace("5432", str(server.ports["postgres"])))


def run(server, code: str) -> list[str]:
    authority = str(server.data / "tls" / "ca.crt")
    done = subprocess.run([sys.executable, "-c", fill_in(server, code)], capture_output=True, text=True, timeout=60,
                          env=os.environ | {"REQUESTS_CA_BUNDLE": authority, "SSL_CERT_FILE": authority})
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_guide_has_five_samples():
    assert [sample.heading for sample in SAMPLES] == ["crate-python", "psycopg2", "psycopg3", "aiopg", "asyncpg"]


@pytest.mark.parametrize("sample", SAMPLES, ids=[sample.heading for sample in SAMPLES])
def test_sample(server, sample):
    printed = run(server, sample.code)
    if sample.heading == "psycopg3":
        summits = [eval(line) for line in printed]
        assert len(summits) >= 50 and ("Mont Blanc", 4808) in [summit[:2] for summit in summits]
    else:
        assert printed == {"crate-python": ["['crate']"], "psycopg2": ["('crate',)"], "aiopg": ["('crate',)"],
                           "asyncpg": ["[<Record name='crate'>]"]}[sample.heading]


def test_a_wrong_password_is_an_error(server):
    with pytest.raises(AssertionError, match="401 Client Error: Unauthorized"):
        run(server, SAMPLES[0].code.replace("<PASSWORD>", "wrong"))
