"""docs/databend.md: its program prints what it says."""

import subprocess

from harness import system
from harness.paths import ROOT
from harness.server import Freshet

from .blocks import blocks
from .test_databend_guide import make_python


def test_the_page():
    (program,) = [block.code for block in blocks(ROOT / "docs" / "databend.md") if block.language == "python"]
    server = Freshet(ports={"databend": system.free_port()}).start()
    try:
        done = subprocess.run([make_python("now"), "-c", program.replace("8000", str(server.ports["databend"]))],
                              capture_output=True, text=True, timeout=60)
        assert done.stdout == "[('cake', 1, 1.4), ('tea', 2, 3.75)]\n", done.stdout + done.stderr
    finally:
        server.stop()
        server.remove()
