"""docs/cratedb.md: its program prints what it says."""

import subprocess
import sys

from harness import system
from harness.paths import ROOT
from harness.server import Freshet

from .blocks import blocks


def test_the_page():
    (program,) = [block.code for block in blocks(ROOT / "docs" / "cratedb.md") if block.language == "python"]
    server = Freshet(ports={"cratedb": system.free_port()}).start()
    try:
        done = subprocess.run([sys.executable, "-c", program.replace("4200", str(server.ports["cratedb"]))],
                              capture_output=True, text=True, timeout=60)
        assert done.stdout == "[['cake', 2.8], ['tea', 7.5]]\n", done.stderr
    finally:
        server.stop()
        server.remove()
