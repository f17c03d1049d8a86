"""Run a script as its reader would: a process of its own, stopped once it has printed enough."""

import os
import subprocess
import sys
import threading
import time

USER, PASSWORD = "guide_reader", "correct horse"


def fill_in(code: str, port: int) -> str:
    """Put in what the guide leaves to its reader."""
    code = (code.replace("MATERIALIZE_USERNAME", USER)
            .replace("MATERIALIZE_PASSWORD", "'" + PASSWORD.replace("'", "\\\\'") + "'")
            .replace("MATERIALIZE_HOST", "127.0.0.1"))
    return code if port == 6875 else code.replace("port=6875", f"port={port}")


def make_reader(connection) -> None:
    """The role the guide's reader logs in as: an ordinary one, with a password."""
    connection.execute(f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'")
    connection.execute(f"GRANT CREATE ON SCHEMA public TO {USER}")


class Result:
    def __init__(self, lines: list[str], status: int | None, errors: str):
        self.lines = lines
        self.status = status  # None: it was stopped because it had printed enough
        self.errors = errors


def run_script(code: str, enough=None, timeout: float = 30) -> Result:
    """Run Python code. With enough(lines), stop it as soon as that says so; else it must end by itself."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", code], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"})
    lines: list[str] = []
    errors: list[str] = []
    readers = [threading.Thread(target=lambda: lines.extend(iter(process.stdout.readline, ""))),
               threading.Thread(target=lambda: errors.extend(iter(process.stderr.readline, "")))]
    for reader in readers:
        reader.start()
    deadline = time.monotonic() + timeout
    stopped = False
    while process.poll() is None:
        if enough and enough([line.rstrip("\n") for line in lines]):
            stopped = True
            process.kill()
            break
        if time.monotonic() > deadline:
            process.kill()
            process.wait()
            raise AssertionError(f"not done after {timeout} s; printed {lines}, errors {''.join(errors)}")
        time.sleep(0.05)
    process.wait()
    for reader in readers:
        reader.join()
    return Result([line.rstrip("\n") for line in lines], None if stopped else process.returncode, "".join(errors))


def subscribed_rows(lines: list[str]) -> list[tuple]:
    """Printed rows of a SUBSCRIBE as tuples."""
    from decimal import Decimal  # the name printed rows use
    return [eval(line, {"Decimal": Decimal}) for line in lines if line.startswith("(")]


def saw_an_update(lines: list[str]) -> bool:
    """At least a row, then a retraction and an insertion at one later time."""
    rows = subscribed_rows(lines)
    retracted = {row[0] for row in rows if row[1] == -1}
    return any(row[1] == 1 and row[0] in retracted for row in rows)
