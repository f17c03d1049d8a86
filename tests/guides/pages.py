"""Follow a page of docs/ as its reader would: block by block, in one directory.

A python block whose first line is a comment naming a file becomes that file, or the end of it where the comment says
", at the end"; any other is run, and must succeed. A sh block is run by bash. Blocks of other languages are for
reading.
"""

import pathlib
import re
import subprocess
import sys
import threading

from harness.paths import ROOT, pg_dir

from .blocks import Block, blocks


class Reader:
    """The reader of one page, whose server listens at another port than the page says."""

    def __init__(self, page: str, port: int, directory: pathlib.Path, environment: dict[str, str]):
        self.blocks = blocks(ROOT / "docs" / page)
        self.port = port
        self.directory = directory
        path = [str(pathlib.Path(sys.executable).parent), str(pg_dir("bindir")), environment["PATH"]]
        self.environment = environment | {"PATH": ":".join(path)}

    def read(self) -> None:
        for block in self.blocks:
            self.do(block)

    def do(self, block: Block) -> None:
        code = block.code.replace("5432", str(self.port))
        named = re.match(r"# (\S+\.\w+)(, at the end)?\n", code)
        if block.language == "python" and named:
            path = self.directory / named[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            before = path.read_text() + "\n" if named[2] else ""
            path.write_text(before + code)
        elif block.language == "python":
            self.run(block, sys.executable, "-c", code)
        elif block.language == "sh":
            self.run(block, "bash", "-e", "-c", code)

    def run(self, block: Block, *command: str) -> None:
        done = subprocess.run(command, cwd=self.directory, env=self.environment, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{block.heading}:\n{block.code}\n{done.stdout}\n{done.stderr}"

    def follow(self, lines: int, between, *command: str) -> list[str]:
        """Start a program that never ends; call between() after its first line; all lines up to so many."""
        program = subprocess.Popen(command, cwd=self.directory, env=self.environment, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        watchdog = threading.Timer(30, program.kill)
        watchdog.start()
        try:
            printed = [program.stdout.readline().rstrip()]
            between()
            printed += [program.stdout.readline().rstrip() for _ in range(lines - 1)]
        finally:
            watchdog.cancel()
            program.kill()
            errors = program.communicate()[1]
        assert "" not in printed, f"{printed}\n{errors}"
        return printed
