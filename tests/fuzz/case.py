"""A random case: statements of several sessions, one after the other, with a check of every view now and then.

What a session does never depends on how a statement ended, so that any statement can be left out.
"""

import random as random_module
from dataclasses import dataclass

from .generate import Generator, Relation
from .query import Query
from .values import COLUMN_TYPES, INCOMPARABLE, PREAMBLE, TYPES, literal

CHECK = "-- check"
SESSIONS = 3


@dataclass
class Step:
    session: int
    sql: str
    query: Query | None = None  # of a view that this makes

    @staticmethod
    def view(name: str, query: Query) -> "Step":
        return Step(0, f"CREATE MATERIALIZED VIEW {name} AS {query.sql()}", query)


@dataclass
class Table:
    name: str
    columns: list[tuple[str, str]]
    form: str  # plain, keyed, partitioned, parent

    def relation(self) -> Relation:
        return Relation(self.name, tuple(self.columns))


class Case:
    def __init__(self, seed: int):
        self.random = random_module.Random(seed)
        self.steps: list[Step] = [Step(0, statement) for statement in PREAMBLE]
        self.tables: list[Table] = []
        self.views: list[str] = []
        self.next_key = 0
        self.open = [False] * SESSIONS  # in a transaction
        self.savepoints = [0] * SESSIONS
        self.prepared: list[str] = []
        self.plain: str | None = None
        self.choose(self.random.choice(("off", "off", "on")))
        self.make_tables()
        self.generator = Generator(self.random, [table.relation() for table in self.tables])
        self.make_plain_view()
        for _ in range(self.random.randint(0, 3)):
            self.change(0)
        for _ in range(self.random.randint(3, 6)):
            self.make_view()
        self.check()
        for number in range(self.random.randint(12, 40)):
            for _ in range(self.random.choice((1, 1, 2, 4))):
                self.act(self.random.randrange(SESSIONS))
            if number in (4, 10, 16) and len(self.views) < 10:
                self.settle()
                self.make_view()
            self.check()
            if self.random.random() < 0.1:
                self.settle()
            if self.random.random() < 0.05 and not self.open[0]:
                self.choose(self.random.choice(("off", "on")))
        self.settle()
        self.check()

    def add(self, session: int, sql: str) -> None:
        self.steps.append(Step(session, sql))

    def choose(self, recompute: str) -> None:
        """Whether a query is run whole where that is cheaper: over tables as small as these it often is."""
        self.add(0, f"ALTER SYSTEM SET freshet.enable_recompute = {recompute}")
        self.add(0, "SELECT pg_reload_conf()")

    def check(self) -> None:
        self.steps.append(Step(0, CHECK))

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    # tables and views

    def make_tables(self) -> None:
        self.add(0, "CREATE TABLE t0_limits (c0 int)")
        common = self.random.sample(("int", "text", "numeric", "date", "ci", "bigint", "interval", "float"), 3)
        for number in range(self.random.randint(2, 4)):
            name = f"t{number}"
            form = self.random.choices(("plain", "keyed", "partitioned", "parent"), (6, 5, 1, 1))[0]
            types = ["int"] + self.random.sample(common, self.random.randint(1, 3)) + \
                self.random.choices(COLUMN_TYPES, k=self.random.randint(0, 3))
            columns = [(f"c{n}", type_) for n, type_ in enumerate(types)]
            table = Table(name, columns, form)
            text = ", ".join(f"{column} {TYPES[type_].sql}" for column, type_ in columns) + ", spare int"
            if form == "keyed":
                text = f"id int PRIMARY KEY, {text}"
                table.columns = [("id", "int")] + columns
            if self.chance(0.15):
                text += f", made {TYPES[types[1]].sql} GENERATED ALWAYS AS ({columns[1][0]}) STORED"
                table.columns = table.columns + [("made", types[1])]
            self.add(0, f"CREATE TABLE {name} ({text})" + (" PARTITION BY LIST (c0)" if form == "partitioned" else ""))
            if form == "partitioned":
                self.make_child(f"{name}_low", text)
                self.add(0, f"ALTER TABLE {name} ATTACH PARTITION {name}_low FOR VALUES IN (-2, -1, 0, 1, 2)")
                self.add(0, f"CREATE TABLE {name}_rest PARTITION OF {name} DEFAULT")
            if form == "parent":
                self.make_child(f"{name}_child", text)
                self.add(0, f"ALTER TABLE {name}_child INHERIT {name}")
            for column, type_ in table.columns:
                if type_ not in INCOMPARABLE + ("range", "jsonb") and self.chance(0.3):
                    self.add(0, f"CREATE INDEX ON {name} ({column})")
            self.tables.append(table)
            if self.chance(0.85):
                self.add(0, self.insert(table, self.random.choice((1, 4, 12))))

    def make_child(self, name: str, columns: str) -> None:
        """A table with the columns of another, in another order and behind columns that are gone."""
        texts = columns.split(", ")
        self.random.shuffle(texts)
        gone = [f"gone{n}" for n in range(self.random.randint(0, 2))]
        for column in gone:
            texts.insert(self.random.randint(0, len(texts)), f"{column} int")
        self.add(0, f"CREATE TABLE {name} ({', '.join(texts)})")
        for column in gone:
            self.add(0, f"ALTER TABLE {name} DROP COLUMN {column}")

    def make_plain_view(self) -> None:
        if self.chance(0.5):
            query, columns = self.generator.view(1)
            self.plain = query.sql()
            self.add(0, f"CREATE VIEW plain AS {self.plain}")
            self.generator.relations = self.generator.relations + [Relation("plain", tuple(columns))]

    def make_view(self) -> None:
        name = f"v{len(self.views)}"
        query, columns = self.generator.view(self.random.choice((0, 1, 1, 2)))
        self.steps.append(Step.view(name, query))
        if self.chance(0.3):
            self.generator.relations = self.generator.relations + [Relation(name, tuple(columns))]
        self.views.append(name)

    # transactions

    def act(self, session: int) -> None:
        pick = self.random.random()
        if not self.open[session]:
            if pick < 0.3:
                level = self.random.choice(("READ COMMITTED", "READ COMMITTED", "REPEATABLE READ"))
                self.add(session, f"BEGIN ISOLATION LEVEL {level}")
                self.open[session] = True
            elif pick < 0.36 and self.prepared:
                self.finish_prepared(session)
            elif pick < 0.46:
                self.odd(session)
            else:
                self.change(session)
        elif pick < 0.2:
            self.finish(session, "COMMIT")
        elif pick < 0.27:
            self.finish(session, "ROLLBACK")
        elif pick < 0.31 and len(self.prepared) < 2:
            name = f"fuzz_{len(self.steps)}"
            self.finish(session, f"PREPARE TRANSACTION '{name}'")
            self.prepared.append(name)
        elif pick < 0.38:
            self.savepoints[session] += 1
            self.add(session, f"SAVEPOINT s{self.savepoints[session]}")
        elif pick < 0.45 and self.savepoints[session]:
            number = self.savepoints[session]
            how = self.random.choice(("ROLLBACK TO", "RELEASE"))
            self.add(session, f"{how} s{number}")
            self.savepoints[session] = number - (how == "RELEASE")
        elif pick < 0.48:
            self.odd(session, True)
        else:
            self.change(session)

    def finish(self, session: int, how: str) -> None:
        self.add(session, how)
        self.open[session] = False
        self.savepoints[session] = 0

    def finish_prepared(self, session: int) -> None:
        name = self.prepared.pop(self.random.randrange(len(self.prepared)))
        self.add(session, f"{self.random.choice(('COMMIT', 'COMMIT', 'ROLLBACK'))} PREPARED '{name}'")

    def settle(self) -> None:
        for session in range(SESSIONS):
            if self.open[session]:
                self.finish(session, self.random.choice(("COMMIT", "COMMIT", "ROLLBACK")))
        while self.prepared:
            self.finish_prepared(0)

    # changes

    def value(self, type_: str) -> str:
        return "NULL" if self.chance(0.12) else literal(self.random, type_)

    def insert(self, table: Table, rows: int) -> str:
        columns = [(name, type_) for name, type_ in table.columns if name != "made"]
        lines = []
        for _ in range(rows):
            values = []
            for name, type_ in columns:
                if name == "id":
                    self.next_key += 1
                    values.append(str(self.next_key if self.chance(0.97) else 1))
                else:
                    values.append(self.value(type_))
            lines.append(f"({', '.join(values)})")
        target = table.name
        if table.form == "parent" and self.chance(0.4):
            target += "_child"
        conflict = " ON CONFLICT (id) DO UPDATE SET c0 = excluded.c0" if table.form == "keyed" and self.chance(0.2) else ""
        return f"INSERT INTO {target} ({', '.join(name for name, _ in columns)}) VALUES {', '.join(lines)}{conflict}"

    def where(self, table: Table) -> str:
        column, type_ = self.random.choice(table.columns)
        if type_ in INCOMPARABLE or self.chance(0.1):
            return f"{column} IS {self.random.choice(('', 'NOT '))}NULL"
        if column == "id":
            return f"id % {self.random.randint(3, 7)} = {self.random.randint(0, 2)}"
        return f"{column} IS NOT DISTINCT FROM {self.value(type_)}"

    def change(self, session: int) -> None:
        table = self.random.choice(self.tables)
        pick = self.random.random()
        if pick < 0.42:
            self.add(session, self.insert(table, self.random.choice((1, 1, 1, 2, 5))))
        elif pick < 0.72:
            sets = []
            for column, type_ in self.random.sample(table.columns, min(len(table.columns), self.random.choice((1, 1, 2)))):
                if column not in ("id", "made"):
                    same = self.random.choice((column, self.value(type_), self.value(type_)))
                    sets.append(f"{column} = {same}")
            self.add(session, f"UPDATE {table.name} SET {', '.join(sets) or 'spare = 1'} WHERE {self.where(table)}")
        elif pick < 0.92:
            self.add(session, f"DELETE FROM {table.name} WHERE {self.where(table)}")
        elif pick < 0.95:
            self.add(session, f"DELETE FROM {table.name}")
        elif pick < 0.975:
            key, first = "", self.next_key + 1
            if table.form == "keyed":
                key, self.next_key = "id, ", self.next_key + 40
            columns = ", ".join(name for name, type_ in table.columns[:3] if type_ == "int" and name not in ("id", "made"))
            values = ", ".join("g % 9" for _ in columns.split(", "))
            self.add(session, f"INSERT INTO {table.name} ({key}{columns}) SELECT {'g, ' if key else ''}{values} "
                              f"FROM generate_series({first}, {first + 19}) g")
        else:
            self.add(session, f"TRUNCATE {table.name}")

    def redefine(self, session: int) -> None:
        """A type is another one for a while."""
        there, back = self.random.choice((
            ("ALTER TYPE mood RENAME VALUE 'sad' TO 'gloomy'", "ALTER TYPE mood RENAME VALUE 'gloomy' TO 'sad'"),
            ("ALTER TYPE pair RENAME ATTRIBUTE m TO feeling", "ALTER TYPE pair RENAME ATTRIBUTE feeling TO m"),
            ("ALTER TYPE pair ADD ATTRIBUTE more text", "ALTER TYPE pair DROP ATTRIBUTE more"),
            ("ALTER TYPE nested ADD ATTRIBUTE more pair", "ALTER TYPE nested DROP ATTRIBUTE more")))
        self.add(session, there)
        self.check()
        self.add(session, back)

    def odd(self, session: int, in_transaction: bool = False) -> None:
        """Statements that change more than rows, or rows in another way."""
        if not in_transaction and self.chance(0.08):
            self.redefine(session)
            return
        table = self.random.choice(self.tables)
        name = table.name
        choices = [f"ANALYZE {name}", f"REINDEX TABLE {name}", f"ALTER TABLE {name} ADD COLUMN x{len(self.steps)} int DEFAULT 7",
                   f"ALTER TABLE {name} ALTER COLUMN spare TYPE {self.random.choice(('bigint', 'int', 'numeric'))}",
                   f"CREATE INDEX ON {name} ({table.columns[0][0]})", f"TRUNCATE {name} CASCADE",
                   f"ALTER TABLE {name} DROP COLUMN IF EXISTS spare",
                   f"ALTER TABLE {name} SET (fillfactor = {self.random.randint(50, 100)})",
                   "CREATE OR REPLACE FUNCTION bucket(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS "
                   f"'BEGIN RETURN $1 % {self.random.randint(2, 5)}; END'",
                   "SELECT pg_switch_wal()",
                   f"ALTER TABLE {name} {self.random.choice(('ENABLE', 'ENABLE', 'DISABLE'))} ROW LEVEL SECURITY",
                   f"CREATE POLICY p{self.random.randint(0, 2)} ON {name} USING "
                   f"({self.random.choice(('c0 > 1', 'c0 % 2 = 0 OR c0 IS NULL', f'c0 IN (SELECT c0 FROM {self.tables[0].name}_limits)'))})",
                   f"DROP POLICY IF EXISTS p{self.random.randint(0, 2)} ON {name}",
                   f"INSERT INTO {self.tables[0].name}_limits SELECT generate_series(0, {self.random.randint(0, 8)})",
                   f"DELETE FROM {self.tables[0].name}_limits",
                   f"ALTER ROLE fuzz_reader {self.random.choice(('', 'NO'))}BYPASSRLS",
                   f"{self.random.choice(('GRANT SELECT ON {} TO', 'GRANT SELECT ON {} TO', 'REVOKE SELECT ON {} FROM')).format(name)} fuzz_reader",
                   f"SET session_replication_role = {self.random.choice(('replica', 'origin'))}"]
        if not in_transaction:
            choices += [f"VACUUM {name}", f"VACUUM (FREEZE) {name}", f"VACUUM FULL {name}"]
        if self.plain:
            choices.append(f"CREATE OR REPLACE VIEW plain AS SELECT q.* FROM ({self.plain}) q"
                           + self.random.choice(("", " WHERE false", " LIMIT 0")))
        if self.views:
            view = self.random.choice(self.views)
            choices += [f"ALTER MATERIALIZED VIEW {view} OWNER TO {self.random.choice(('fuzz_reader', 'fuzz_reader', 'CURRENT_USER'))}"] * 2
            choices += [f"REFRESH MATERIALIZED VIEW {view}", f"ANALYZE {view}",
                        f"CREATE INDEX ON {view} ({self.random.choice(('c0', 'c1', 'k0', 'a0', 'w0'))})",
                        f"DROP MATERIALIZED VIEW {view}", f"SELECT count(*) FROM {view}",
                        f"ALTER MATERIALIZED VIEW {view} SET (autovacuum_enabled = off)"]
        if table.form == "partitioned":
            low = f"{name}_low"
            choices += [f"ALTER TABLE {name} DETACH PARTITION {low}", f"UPDATE {name} SET c0 = c0 + 1",
                        f"ALTER TABLE {name} ATTACH PARTITION {low} FOR VALUES IN (-2, -1, 0, 1, 2)"] * 3
        if table.form == "parent":
            choices += [f"ALTER TABLE {name}_child NO INHERIT {name}", f"ALTER TABLE {name}_child INHERIT {name}"] * 3
        if table.form in ("plain", "keyed"):
            choices += [f"ALTER TABLE {name} SET {self.random.choice(('LOGGED', 'LOGGED', 'UNLOGGED'))}"]
        self.add(session, self.random.choice(choices))
