"""What every bench stands on: private clusters, the four views, pgbench, medians and one table.

FRESHET_BENCH_RUNS     runs of each side, of which the median counts (3)
FRESHET_BENCH_SECONDS  seconds of each pgbench run (10)
FRESHET_BENCH_SCALE    factor on all row counts (1)
FRESHET_BENCH_SMOKE=1  small values for all three: whether it works, not how fast
"""

import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
_VENV = ROOT / ".venv" / "bin" / "python"
if _VENV.exists() and not os.path.samefile(sys.prefix, ROOT / ".venv"):
    os.execv(_VENV, [str(_VENV), *sys.argv])
sys.path.insert(0, str(ROOT / "tests"))

from harness import postgres, system  # noqa: E402
from harness.paths import pg_bin  # noqa: E402
from harness.postgres import Postgres  # noqa: E402

SMOKE = bool(os.environ.get("FRESHET_BENCH_SMOKE"))
RUNS = int(os.environ.get("FRESHET_BENCH_RUNS", 1 if SMOKE else 3))
SECONDS = int(os.environ.get("FRESHET_BENCH_SECONDS", 2 if SMOKE else 10))
SCALE = float(os.environ.get("FRESHET_BENCH_SCALE", 0.01 if SMOKE else 1))
CLIENTS = 8

SETTINGS = {
    "fsync": "on",
    "shared_buffers": "'2GB'",
    "max_wal_size": "'16GB'",
    "min_wal_size": "'4GB'",
    "checkpoint_timeout": "'1h'",
    "max_connections": "200",
}

SCHEMA = """
CREATE TABLE dims (id int PRIMARY KEY, name text);
INSERT INTO dims SELECT g, 'dimension ' || g FROM generate_series(0, 999) g;
CREATE TABLE facts (id bigserial PRIMARY KEY, k20 int NOT NULL, k100k int NOT NULL, dim int NOT NULL,
                    amount int NOT NULL, note text);
"""

VIEWS = {
    "projection": "SELECT id, amount, note FROM facts",
    "joined": "SELECT f.id, f.amount, d.name FROM facts f JOIN dims d ON d.id = f.dim",
    "groups_20": "SELECT k20, count(*) AS n, sum(amount) AS amount FROM facts GROUP BY k20",
    "groups_100k": "SELECT k100k, count(*) AS n, sum(amount) AS amount FROM facts GROUP BY k100k",
}
AGGREGATES = ("groups_20", "groups_100k")


def rows(count: int) -> int:
    """A row count at the chosen scale."""
    return max(100, int(count * SCALE))


def fill(connection, count: int) -> None:
    connection.execute(
        "INSERT INTO facts (k20, k100k, dim, amount, note) SELECT g % 20, g % 100000, g % 1000, g % 100, "
        f"'a note of some length' FROM generate_series(1, {count}) g")
    connection.execute("VACUUM ANALYZE facts")


class Cluster(Postgres):
    """A cluster with settings of a server rather than of a test."""

    def __init__(self, settings: dict[str, str] | None = None):
        super().__init__(SETTINGS | (settings or {}))

    def __enter__(self) -> "Cluster":
        self.start()
        self.recycle_wal()
        return self

    def recycle_wal(self) -> None:
        """Leave WAL files to be used again, as a server that has run for a while has them.

        Otherwise both sides are held up for every 16 MB by a new file being filled with zeros.
        """
        admin = self.psycopg()
        for _ in range(8 if SMOKE else 128):
            admin.execute("SELECT pg_logical_emit_message(false, 'bench', '')")
            admin.execute("SELECT pg_switch_wal()")
        admin.execute("CHECKPOINT")
        admin.close()

    def __exit__(self, *error) -> None:
        self.stop()
        self.remove()
        postgres.remove_template()

    def database(self, name: str, count: int, views: tuple[str, ...] | None, maintain: bool = True):
        """A database with the tables, count rows and the views; None: without the extension."""
        admin = self.psycopg()
        admin.execute(f"CREATE DATABASE {name}")
        admin.close()
        connection = self.psycopg(name)
        if maintain and views is not None:
            connection.execute("CREATE EXTENSION freshet")
        connection.execute(SCHEMA)
        fill(connection, count)
        for view in views or ():
            connection.execute(f"CREATE MATERIALIZED VIEW {view} AS {VIEWS[view]}")
        for view in views or ():
            connection.execute(f"SELECT FROM {view} LIMIT 1")
        return connection


def touch(connection, views) -> None:
    """Return when all the views are fresh; reads one row of each."""
    connection.execute("SELECT " + ", ".join(f"EXISTS (SELECT FROM {view})" for view in views))


def verify(connection, views) -> None:
    for view in views:
        wrong = connection.execute("SELECT freshet.verify(%s::regclass)", (view,)).fetchone()[0]
        assert wrong == 0, f"{view}: {wrong} rows differ from the query"


def worker_pid(connection) -> int:
    return connection.execute("SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
                              "AND backend_type LIKE 'freshet%'").fetchone()[0]


class Pgbench:
    """One run of pgbench: tps, latency in ms, transactions, failed."""

    def __init__(self, dsn: str, script: str | None = None, seconds: int = 0, rate: float | None = None,
                 clients: int = CLIENTS, arguments: tuple[str, ...] = (), environment: dict | None = None):
        command = [pg_bin("pgbench"), "-n", "-M", "prepared", "-c", str(clients), "-j", "2",
                   "-T", str(seconds or SECONDS), *arguments]
        if script is not None:
            command += ["-f", "/dev/stdin"]
        if rate:
            command += ["-R", f"{rate:.0f}"]
        done = subprocess.run([*command, dsn], input=script, capture_output=True, text=True,
                              env=os.environ | (environment or {}))
        if done.returncode != 0:
            raise RuntimeError(f"pgbench failed:\n{done.stdout}\n{done.stderr}")
        self.tps = float(re.search(r"tps = ([\d.]+)", done.stdout).group(1))
        self.latency = float(re.search(r"latency average = ([\d.]+)", done.stdout).group(1))
        self.transactions = int(re.search(r"transactions actually processed: (\d+)", done.stdout).group(1))
        failed = re.search(r"number of failed transactions: (\d+)", done.stdout)
        self.failed = int(failed.group(1)) if failed else 0


class Watch:
    """Samples, while a load runs, how far views lag and whether a client waits for a lock of the worker."""

    def __init__(self, cluster: Cluster, database: str):
        self.connection = cluster.psycopg(database)
        self.connection.execute("SET freshet.max_staleness = -1")
        self.lag_ms = 0.0
        self.lock_waits = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *error) -> None:
        self._stop.set()
        self._thread.join()
        self.connection.close()

    def _sample(self) -> None:
        while not self._stop.wait(0.1):
            lag, waits = self.connection.execute(
                "SELECT (SELECT extract(epoch FROM max(lag)) * 1000 FROM freshet.views), "
                "(SELECT count(*) FROM pg_stat_activity waiting WHERE wait_event_type = 'Lock' AND "
                "datname = current_database() AND backend_type = 'client backend' AND EXISTS ("
                "SELECT FROM pg_stat_activity worker WHERE worker.backend_type LIKE 'freshet%' AND "
                "worker.pid = ANY (pg_blocking_pids(waiting.pid))))").fetchone()
            self.lag_ms = max(self.lag_ms, float(lag or 0))
            self.lock_waits += waits


def median(values) -> float:
    return statistics.median(values)


def percentile(values, part: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


class Table:
    """The rows a bench prints: what, must, measured, whether that passes."""

    def __init__(self):
        self.rows: list[dict] = []

    def add(self, what: str, measured: str, must: str = "", passed: bool | None = None) -> None:
        self.rows.append({"what": what, "must": must, "measured": measured,
                          "pass": "" if passed is None else "yes" if passed else "NO"})

    def at_least(self, what: str, value: float, bound: float, form: str = "{:.2f}", note: str = "") -> None:
        self.add(what, form.format(value) + note, "≥ " + form.format(bound), value >= bound)

    def at_most(self, what: str, value: float, bound: float, form: str = "{:.2f}", note: str = "") -> None:
        self.add(what, form.format(value) + note, "≤ " + form.format(bound), value <= bound)

    def print(self) -> None:
        print(render(self.rows), flush=True)
        collect = os.environ.get("FRESHET_BENCH_COLLECT")
        if collect:
            with open(collect, "a") as file:
                file.writelines(json.dumps(row) + "\n" for row in self.rows)


def render(table: list[dict]) -> str:
    """A Markdown table that is also readable as it is."""
    columns = ["what", "must", "measured", "pass"]
    width = {c: max(len(c), *(len(row[c]) for row in table)) for c in columns}

    def line(row: dict) -> str:
        return "| " + " | ".join(row[c].ljust(width[c]) for c in columns) + " |"

    return "\n".join([line({c: c for c in columns}),
                      "|" + "|".join("-" * (width[c] + 2) for c in columns) + "|",
                      *map(line, table)])


def say(text: str) -> None:
    """Progress, on stderr."""
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)
