"""Scripts of our own in the shape of Materialize's guide; they run wherever the tests do."""

import pathlib

import pytest

from . import scripts

SCRIPTS = sorted((pathlib.Path(__file__).parent / "materialize").glob("*.py"))
ENDLESS = ("03_fetch", "04_stream")

pytestmark = pytest.mark.timeout(180)


def test_the_scripts(fresh_server, monkeypatch):
    admin = fresh_server.psycopg("postgres")
    scripts.make_reader(admin)
    port = fresh_server.ports["materialize"]
    monkeypatch.setenv("DSN", f"host=127.0.0.1 port={port} user={scripts.USER} password='{scripts.PASSWORD}' "
                              "dbname=materialize sslmode=require")
    for name, value in (("HOST", "127.0.0.1"), ("PORT", str(port)), ("USER", scripts.USER),
                        ("PASSWORD", scripts.PASSWORD)):
        monkeypatch.setenv(name, value)
    printed = {}
    for path in SCRIPTS:
        endless = path.stem in ENDLESS
        result = scripts.run_script(path.read_text(), scripts.saw_an_update if endless else None)
        assert result.status == (None if endless else 0), f"{path.name}:\n{result.errors}\n{result.lines}"
        printed[path.stem] = result.lines
    assert "rates" in printed["01_tables"][0]
    assert printed["02_insert"] == ["(Decimal('1.10'),)"]
    assert printed["05_asyncio"] == ["it counts"]
    assert printed["06_clean_up"] == ["[]"]
    admin.close()
