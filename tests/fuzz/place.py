"""Where cases run: a new database after each failure, a new cluster when the old one has crashed."""

from harness.postgres import Postgres

# What makes one run like another.
SETTINGS = {"max_parallel_workers_per_gather": "0", "jit": "off", "autovacuum": "off"}


class Place:
    def __init__(self):
        self.cluster: Postgres | None = None
        self.number = 0

    def database(self):
        """A function that connects to a new database with the extension."""
        if self.cluster is None:
            self.cluster = Postgres(SETTINGS).start()
        self.number += 1
        name = f"fuzz{self.number}"
        with self.cluster.psycopg() as admin:
            admin.execute(f"DROP DATABASE IF EXISTS fuzz{self.number - 1} WITH (FORCE)")
            admin.execute(f"CREATE DATABASE {name}")
        with self.cluster.psycopg(name) as connection:
            connection.execute("CREATE EXTENSION freshet")
        return lambda: self.cluster.psycopg(name, prepare_threshold=None)

    def crashed(self) -> str:
        """What the log says of the crash; the next database will be in a new cluster."""
        lines = [line for line in self.cluster.log_tail(10_000).splitlines()
                 if "terminated by signal" in line or "PANIC" in line or "TRAP" in line]
        self.close()
        return lines[0] if lines else ""

    def close(self) -> None:
        if self.cluster:
            self.cluster.kill()
            self.cluster.remove()
        self.cluster = None
