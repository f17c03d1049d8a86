"""Random transactions, interleaved over several connections by one thread, so a seed repeats them.

A statement that would wait for another connection's lock fails after lock_timeout instead; the
transaction goes on from a savepoint or rolls back, as an application's would.
"""

import random

import psycopg
from psycopg import errors

from .shapes import TABLES

NUMERICS = ("0", "0.0", "1", "1.0", "1.00", "2.5", "2.50", "7.125", "10", "99.99", "-3", "NaN", "NULL")
FLOATS = ("0", "'-0'", "0.5", "0.25", "1024", "-8", "'NaN'", "'Infinity'", "NULL")
TEXTS = ("'a'", "'A'", "'b'", "''", "'north'", "'south'", "'west'", "NULL", "repeat('long', 900)")


class Writer:
    """One connection and where it is in its transaction."""

    def __init__(self, connection: psycopg.Connection):
        self.connection = connection
        self.in_transaction = False
        self.savepoints = 0


class Workload:
    def __init__(self, seed: int, connect, writers: int = 3):
        self.random = random.Random(seed)
        self.writers = [Writer(connect()) for _ in range(writers)]
        self.prepared: list[str] = []
        self.next_id = 0
        self.journal: list[str] = []
        for writer in self.writers:
            writer.connection.execute("SET lock_timeout = '20ms'")

    def close(self) -> None:
        for writer in self.writers:
            writer.connection.close()

    def execute(self, writer: Writer, sql: str) -> bool:
        """Run a statement; on an expected conflict, end the transaction (or its savepoint)."""
        number = self.writers.index(writer)
        self.journal.append(f"/* {number} */ {sql};")
        try:
            writer.connection.execute(sql)
            return True
        except (errors.LockNotAvailable, errors.SerializationFailure, errors.UniqueViolation,
                errors.DeadlockDetected, errors.ObjectInUse) as error:
            self.journal.append(f"/* {number} */ -- {error.sqlstate}")
            if writer.in_transaction:
                if writer.savepoints and self.random.random() < 0.5:
                    self.execute(writer, f"ROLLBACK TO s{writer.savepoints}")
                else:
                    self.finish(writer, "ROLLBACK")
            return False

    def finish(self, writer: Writer, how: str) -> None:
        # Out of the transaction first: an error of COMMIT itself leaves none behind.
        writer.in_transaction = False
        writer.savepoints = 0
        self.execute(writer, how)

    def step(self) -> None:
        """A handful of random actions of random writers."""
        for _ in range(self.random.randint(1, 14)):
            self.action(self.random.choice(self.writers))

    def settle(self) -> None:
        """End every transaction, prepared ones too."""
        for writer in self.writers:
            if writer.in_transaction:
                self.finish(writer, self.random.choice(("COMMIT", "ROLLBACK")))
        while self.prepared:
            self.resolve_prepared(self.writers[0])

    def action(self, writer: Writer) -> None:
        pick = self.random.random()
        if not writer.in_transaction:
            if pick < 0.45:
                level = self.random.choice(("READ COMMITTED", "READ COMMITTED", "REPEATABLE READ"))
                writer.in_transaction = self.execute(writer, "BEGIN ISOLATION LEVEL " + level)
            elif pick < 0.50 and self.prepared:
                self.resolve_prepared(writer)
            elif pick < 0.53:
                table = self.random.choice(TABLES)
                how = self.random.choice(("VACUUM", "VACUUM", "VACUUM (FREEZE)", "VACUUM FULL", "ANALYZE"))
                self.execute(writer, f"{how} {table}")
            else:
                self.change(writer)
        elif pick < 0.16:
            self.finish(writer, "COMMIT")
        elif pick < 0.22:
            self.finish(writer, "ROLLBACK")
        elif pick < 0.25 and len(self.prepared) < 3:
            self.next_id += 1
            name = f"gid{self.next_id}"
            if self.execute(writer, f"PREPARE TRANSACTION '{name}'"):
                writer.in_transaction = False
                writer.savepoints = 0
                self.prepared.append(name)
        elif pick < 0.33:
            if self.execute(writer, f"SAVEPOINT s{writer.savepoints + 1}"):
                writer.savepoints += 1
        elif pick < 0.40 and writer.savepoints:
            how = self.random.choice(("ROLLBACK TO", "RELEASE"))
            if self.execute(writer, f"{how} s{writer.savepoints}") and how == "RELEASE":
                writer.savepoints -= 1
        else:
            self.change(writer)

    def resolve_prepared(self, writer: Writer) -> None:
        name = self.prepared.pop(self.random.randrange(len(self.prepared)))
        how = "COMMIT" if self.random.random() < 0.6 else "ROLLBACK"
        self.execute(writer, f"{how} PREPARED '{name}'")

    def change(self, writer: Writer) -> None:
        pick = self.random.random()
        if pick < 0.45:
            self.execute(writer, self.insert())
        elif pick < 0.72:
            self.execute(writer, self.update())
        elif pick < 0.94:
            self.execute(writer, self.delete())
        elif pick < 0.975:
            self.execute(writer, self.bulk())
        elif pick < 0.99:
            self.execute(writer, f"TRUNCATE {self.random.choice(TABLES)}")
        else:
            self.execute(writer, self.merge())

    def values(self, table: str) -> str:
        rng = self.random
        self.next_id += 1
        maybe_day = rng.choice(("NULL", f"DATE '2026-01-01' + {rng.randint(0, 90)}"))
        row = {
            "customers": lambda: (rng.randint(0, 20), rng.choice(TEXTS), self.numeric()),
            "orders": lambda: (rng.randint(0, 200), rng.choice(("NULL", rng.randint(0, 20))), self.numeric(),
                               rng.choice(("NULL", rng.randint(-5, 9))), rng.choice(FLOATS),
                               rng.choice(TEXTS), maybe_day, rng.choice(("true", "false", "NULL"))),
            "regions": lambda: (rng.choice(TEXTS), rng.choice(TEXTS)),
            "items": lambda: (self.next_id, rng.randint(0, 200), rng.randint(-3, 12)),
        }[table]()
        return "(" + ", ".join(map(str, row)) + ")"

    def numeric(self) -> str:
        value = self.random.choice(NUMERICS)
        return "'NaN'::numeric" if value == "NaN" else value

    def insert(self) -> str:
        table = self.random.choice(TABLES)
        rows = self.random.choice((1, 1, 1, 2, 5))
        if self.random.random() < 0.1 and table != "items":
            return f"INSERT INTO {table} SELECT * FROM {table} {self.where(table)} LIMIT 3"
        return f"INSERT INTO {table} VALUES " + ", ".join(self.values(table) for _ in range(rows))

    def where(self, table: str) -> str:
        rng = self.random
        # Not where it would make all keys of a join equal: millions of rows test nothing more.
        if rng.random() < 0.04 and table in ("orders", "items"):
            return ""
        if table == "regions":
            return f"WHERE name IS NOT DISTINCT FROM {rng.choice(TEXTS)}"
        if table == "orders" and rng.random() < 0.2:
            return f"WHERE customer IS NOT DISTINCT FROM {rng.choice(('NULL', rng.randint(0, 20)))}"
        return f"WHERE id % {rng.randint(5, 19)} = {rng.randint(0, 4)}"

    def update(self) -> str:
        rng = self.random
        table = rng.choice(TABLES)
        column, value = rng.choice({
            "customers": (("region", rng.choice(TEXTS)), ("credit", self.numeric()), ("id", "(id + 1) % 21"),
                          ("credit", "credit")),
            "orders": (("amount", self.numeric()), ("units", "units + 1"), ("customer", rng.randint(0, 20)),
                       ("price", rng.choice(FLOATS)), ("flag", "NOT flag"), ("note", rng.choice(TEXTS)),
                       ("day", "day + 1"), ("amount", "amount * 1.0")),
            "regions": (("manager", rng.choice(TEXTS)), ("name", rng.choice(TEXTS))),
            "items": (("units", "units + 1"), ("order_id", rng.randint(0, 200))),
        }[table])
        return f"UPDATE {table} SET {column} = {value} {self.where(table)}"

    def delete(self) -> str:
        table = self.random.choice(TABLES)
        return f"DELETE FROM {table} {self.where(table)}"

    def bulk(self) -> str:
        """Many rows at once, to pass the thresholds below which changes go row by row."""
        first, count = self.next_id + 1, self.random.choice((150, 600))
        self.next_id += count
        if self.random.random() < 0.5:
            return (f"INSERT INTO items SELECT g, g % 200, g % 13 FROM "
                    f"generate_series({first}, {self.next_id}) g")
        return (f"INSERT INTO orders SELECT g % 200, g % 21, (g % 7) / 2.0, g % 10, (g % 8) / 4.0, "
                f"chr(97 + g % 5), DATE '2026-01-01' + g % 60, g % 3 = 0 FROM "
                f"generate_series({first}, {first + count // 3}) g")

    def merge(self) -> str:
        return ("MERGE INTO items t USING (SELECT g AS id FROM generate_series(1, 40) g) s ON t.id = s.id "
                "WHEN MATCHED AND t.units > 3 THEN DELETE WHEN MATCHED THEN UPDATE SET units = t.units + 2 "
                "WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.id % 200, 1)")
