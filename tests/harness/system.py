"""Processes, ports and directories, as root or not.

PostgreSQL refuses to run as root. As root, clusters belong to the user postgres and their programs
run as that user; otherwise everything runs as whoever runs the tests.
"""

import os
import pathlib
import pwd
import random
import re
import shutil
import signal
import socket
import tempfile
import time

AS_ROOT = os.geteuid() == 0
CAP_SYS_NICE = 23  # linux/capability.h
# How many times longer everything takes under the tool the tests run with: valgrind, say.
SLOWNESS = float(os.environ.get("FRESHET_SLOWNESS", "1"))
PG_USER = "postgres" if AS_ROOT else pwd.getpwuid(os.geteuid()).pw_name


def as_pg_user(command: list[str], nice: bool = False) -> list[str]:
    """The command line that runs a PostgreSQL program as a user it accepts.

    nice: with CAP_SYS_NICE if root has it, as `freshet serve` started by root runs PostgreSQL.
    """
    if not AS_ROOT:
        return command
    if nice and root_may_nice():
        return ["setpriv", "--reuid", PG_USER, "--regid", PG_USER, "--init-groups",
                "--inh-caps=+sys_nice", "--ambient-caps=+sys_nice", "--", *command]
    return ["runuser", "-u", PG_USER, "--", *command]


def root_may_nice() -> bool:
    """Are we root, and one that can give processes a larger share of the processors?"""
    if not AS_ROOT:
        return False
    status = pathlib.Path("/proc/self/status").read_text()
    return bool(int(re.search(r"CapPrm:\s*(\w+)", status).group(1), 16) >> CAP_SYS_NICE & 1)


def temp_dir(name: str) -> pathlib.Path:
    """A new directory the PostgreSQL user owns, with a path short enough for unix sockets."""
    path = pathlib.Path(tempfile.mkdtemp(prefix=f"freshet-{name}-", dir="/tmp"))
    os.chmod(path, 0o755)
    own(path)
    return path


def own(path: pathlib.Path) -> None:
    """Give a path to the PostgreSQL user."""
    if AS_ROOT:
        shutil.chown(path, PG_USER, PG_USER)


def remove(path: pathlib.Path) -> None:
    """Remove a directory unless the tests were asked to keep what they leave."""
    if not os.environ.get("FRESHET_KEEP"):
        shutil.rmtree(path, ignore_errors=True)


def free_port() -> int:
    """A TCP port on loopback that was free a moment ago, below those the system gives to outgoing connections."""
    while True:
        port = random.SystemRandom().randrange(10000, 32000)
        if port_is_free(port):
            return port


def port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def descendants(pid: int) -> list[int]:
    """All processes below pid, parents first."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            stat = pathlib.Path("/proc", entry, "stat").read_text()
        except OSError:
            continue
        parent = int(stat.rpartition(")")[2].split()[1])
        children.setdefault(parent, []).append(int(entry))
    found, queue = [], [pid]
    while queue:
        below = children.get(queue.pop(0), [])
        found += below
        queue += below
    return found


def kill_tree(pid: int) -> None:
    """kill -9 a process and everything below it, parents first so that nobody tidies up; wait until they are gone."""
    victims = [pid] + descendants(pid)
    for victim in victims:
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            pass
    wait_until(lambda: not any(map(is_running, victims)), 30, 0.005, "killed processes are gone")


def is_running(pid: int) -> bool:
    """Whether a process exists and is more than a zombie."""
    try:
        stat = pathlib.Path("/proc", str(pid), "stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")


def cpu_seconds(pid: int) -> float:
    """The time a process has spent on a processor; in nanoseconds where the kernel tells, else in ticks."""
    try:
        return int(pathlib.Path("/proc", str(pid), "schedstat").read_text().split()[0]) / 1e9
    except (OSError, IndexError):
        fields = pathlib.Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def patience(seconds: float) -> float:
    """A limit for an idle machine, stretched by how busy this one is and by what the tests run under."""
    return seconds * SLOWNESS * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def wait_until(predicate, timeout: float = 10.0, interval: float = 0.02, what: str = ""):
    """Poll until predicate() is true and return its value; fail with a reason when patience ends."""
    started = time.monotonic()
    while True:
        value = predicate()
        if value:
            return value
        waited = time.monotonic() - started
        if waited > timeout and waited > patience(timeout):
            raise AssertionError(f"not within {waited:.0f} s: {what or predicate}")
        time.sleep(interval)
