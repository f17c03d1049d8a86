"""docs/drivers.md: each program follows a view, leaves, and goes on with its connection."""

import subprocess
import sys
import threading
from contextlib import closing

import pytest
from harness import system
from harness.paths import ROOT

from . import toolchains
from .application import Application
from .blocks import blocks

BLOCKS = blocks(ROOT / "docs" / "drivers.md")
PROGRAMS = [block for block in BLOCKS if block.language != "sql"]

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def shop(freshet):
    (script,) = [block.code for block in BLOCKS if block.language == "sql"]
    with closing(Application(freshet, "shop", script)) as application:
        yield application


def build(block, port: int) -> list[str]:
    """The command that runs a block's program."""
    assert "5432" in block.code
    code = block.code.replace("5432", str(port))
    if block.language == "python":
        return [sys.executable, "-c", code]
    return getattr(toolchains, block.language)(code)


def test_the_page_has_them_all():
    assert [block.language for block in PROGRAMS] == ["python"] * 5 + ["java", "js", "go", "rust"]


@pytest.mark.parametrize("number", range(len(PROGRAMS)),
                         ids=[f"{block.heading}-{number}" for number, block in enumerate(PROGRAMS)])
def test_program(shop, number):
    command = build(PROGRAMS[number], shop.server.ports["postgres"])
    shop.execute("DELETE FROM orders")
    shop.execute("INSERT INTO orders (item, amount) VALUES ('tea', 3.50), ('tea', 4.00), ('cake', 2.80)")
    program = subprocess.Popen(command, env=shop.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    watchdog = threading.Timer(30, program.kill)
    watchdog.start()
    try:
        first = [program.stdout.readline().rstrip(), program.stdout.readline().rstrip()]
        assert sorted(first) == ["+1 cake 1 2.80", "+1 tea 2 7.50"], program.stderr.read() if "" in first else ""
        shop.execute("INSERT INTO orders (item, amount) VALUES ('tea', 5)")
        output, errors = program.communicate()
    finally:
        watchdog.cancel()
        program.kill()
    assert output.splitlines() == ["-1 tea 2 7.50", "+1 tea 3 12.50", "4 orders"], errors
    assert program.returncode == 0, errors
    system.wait_until(lambda: shop.value(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = 'shop' AND backend_type = 'client backend'") == 1,
        10, what="no subscription is left")
    shop.assert_exact("totals")


def test_pgjdbc_cancels_a_fetch(shop):
    """What the page says about next() from another thread."""
    command = toolchains.java_class("Cancel")
    shop.execute("DELETE FROM orders")
    shop.execute("INSERT INTO orders (item, amount) VALUES ('tea', 3.50), ('cake', 2.80)")
    url = f"jdbc:postgresql://127.0.0.1:{shop.server.ports['postgres']}/shop?user=postgres"
    done = subprocess.run([*command, url], env=shop.environment, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=60)
    assert done.stdout.split() == ["57014", "1"], done.stderr
