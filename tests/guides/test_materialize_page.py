"""docs/materialize.md: its Python, in the page's order, each block a process of its own."""

import textwrap

import pytest
from harness.paths import ROOT

from . import scripts
from .blocks import blocks

PYTHON = [block for block in blocks(ROOT / "docs" / "materialize.md") if block.language == "python"]

# What the page's shorter blocks leave to their reader.
IMPORTS = "import asyncio, asyncpg, psycopg, psycopg2\n"
DSN = "dsn = 'user=postgres host=127.0.0.1 port=6875 dbname=materialize sslmode=require'\n"
ASYNC = """
async def main():
    conn = await asyncpg.connect("postgresql://postgres@127.0.0.1:6875/materialize")
{code}
asyncio.run(main())
"""


def complete(code: str, port: int) -> str:
    if "import" not in code:
        code = IMPORTS + DSN + (ASYNC.format(code=textwrap.indent(code, "    ")) if "await" in code or "async" in code
                                else code)
    assert "6875" in code
    return code.replace("6875", str(port))


@pytest.mark.timeout(180)
def test_the_page(fresh_server):
    assert len(PYTHON) == 5
    port = fresh_server.ports["materialize"]
    first = scripts.run_script(complete(PYTHON[0].code, port))
    assert first.status == 0 and len(first.lines) == 1, first.errors
    for block in PYTHON[1:]:
        # the auctions' source goes on: a sum is shown, then goes, and another comes
        result = scripts.run_script(complete(block.code, port), lambda lines: len(lines) >= 3)
        assert result.status is None, f"{block.heading}:\n{result.lines}\n{result.errors}"
    connection = fresh_server.psycopg()
    connection.execute("DROP SOURCE auction CASCADE")
    connection.close()
