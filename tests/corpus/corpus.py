"""Each SELECT of PostgreSQL's own regression suite as a view over its tables, which then change in three rounds.

The scripts run one after the other, in the order of the suite's schedule, in one database. A run of SELECTs that stand
together becomes a batch: a view of each, then the tables below them change, and after each round every view is compared
with its query, asked by the script's own session. What a script does not allow is left out: SELECTs inside a transaction,
over temporary tables (those are made ordinary ones), or without a table.
"""

import pathlib
import random
import re
import time
from dataclasses import dataclass, field

import psycopg
from psycopg.pq import TransactionStatus

from . import script

# Scripts that are about the server as a whole, take the session away, or time things.
LEFT_OUT = {"tablespace", "database", "euc_kr", "publication", "subscription", "stats", "event_trigger", "prepared_xacts",
            "vacuum_parallel", "maintain_every", "largeobject", "psql", "test_setup_end", "infinite_recurse", "type_sanity",
            "opr_sanity", "misc_sanity", "sanity_check", "oidjoins", "xmlmap"}
# What makes the tables, types and functions that others use.
FOUNDATIONS = {"test_setup", "copy", "create_function_c", "create_misc", "create_operator", "create_procedure", "create_table",
               "create_type", "create_schema", "create_index", "create_view", "create_aggregate", "create_function_sql",
               "create_cast", "constraints", "triggers"}
QUERY = re.compile(r"\(*\s*(select|with|values|table)\b", re.IGNORECASE)
WRITES = re.compile(r"\b(into|insert|update|delete|merge)\b|\bfor\s+(no\s+key\s+)?(update|share|key)", re.IGNORECASE)
TO_CLIENT = re.compile(r"copy\b.*\bto\s+stdout", re.IGNORECASE | re.DOTALL)
TEMPORARY = re.compile(r"\b(create\s+(?:or\s+replace\s+)?)(?:local\s+|global\s+)?temp(?:orary)?\s+((?:recursive\s+)?(?:table|view)\s+(?:if\s+not\s+exists\s+)?)([\w.\"]+)",
                       re.IGNORECASE)
MOST_ROWS = 20_000
SMALL = 1000  # rows of a table that is put back as it was
ROUNDS = 3
# One query can have several right answers: then plans of other kinds give others.
PLANS = ("enable_sort", "enable_hashagg", "enable_seqscan", "enable_indexscan", "enable_hashjoin", "enable_mergejoin", "enable_nestloop")
SCHEMA = "corpus_views"


@dataclass
class Statistics:
    queries: int = 0
    views: int = 0
    kept: int = 0
    checks: int = 0
    ambiguous: int = 0
    strategies: dict[str, int] = field(default_factory=dict)


@dataclass
class Wrong:
    script: str
    query: str
    detail: str

    def __str__(self) -> str:
        return f"{self.script}: {' '.join(self.query.split())[:300]}\n      {self.detail}"


@dataclass
class View:
    name: str
    query: str
    wrong: str = ""


class Corpus:
    """The suite's scripts, and a database they run in."""

    def __init__(self, connect, regress: pathlib.Path, share: float, seed: int):
        self.connect = connect
        self.regress = regress
        self.share = share
        self.random = random.Random(seed)
        self.statistics = Statistics()
        self.wrong: list[Wrong] = []
        self.number = 0
        self.admin = connect()
        self.admin.execute(f"CREATE SCHEMA {SCHEMA}")
        self.admin.execute(f"GRANT ALL ON SCHEMA {SCHEMA} TO PUBLIC")
        self.admin.execute("SET session_replication_role = replica")  # no triggers, no foreign keys
        self.admin.execute("SET client_min_messages = error")
        self.admin.execute("SET statement_timeout = '20s'")
        self.admin.execute("SET lock_timeout = '5s'")

    def scripts(self) -> list[str]:
        lines = (self.regress / "parallel_schedule").read_text().splitlines()
        return [name for line in lines if line.startswith("test:") for name in line[5:].split() if name not in LEFT_OUT]

    def run(self, until: float, only: set[str] | None = None) -> None:
        """The scripts, as far as the time goes; of those not asked for, the ones that others build on."""
        for name in self.scripts():
            if time.monotonic() > until:
                return
            if only is None or name in only or name in FOUNDATIONS:
                self.run_script(name, only is None or name in only)

    def run_script(self, name: str, checked: bool) -> None:
        self.script = name
        self.session = self.connect()
        self.session.execute("SET statement_timeout = '20s'")
        self.session.execute("SET client_min_messages = error")
        variables = {"abs_srcdir": str(self.regress), "libdir": "/nonexistent", "dlsuffix": ".so", "abs_builddir": str(self.regress)}
        variables |= {"filename": f"{self.regress}/data/none", "regresslib": "/nonexistent"}
        made: list[str] = []
        batch: list[str] = []
        for statement in script.read(self.regress / "sql" / f"{name}.sql", variables):
            sql = TEMPORARY.sub(lambda match: made.append(match[3]) or match[1] + match[2] + match[3], statement.sql)
            if checked and QUERY.match(sql) and not WRITES.search(sql):
                batch.append(sql)
                continue
            self.run_batch(batch)
            batch = []
            if not TO_CLIENT.match(sql):
                self.execute(sql, statement.copy)
        self.run_batch(batch)
        self.session.close()
        for relation in made:
            for kind in ("TABLE", "VIEW"):
                try:
                    self.admin.execute(f"DROP {kind} IF EXISTS {relation} CASCADE")
                except psycopg.Error:
                    pass

    def execute(self, sql: str, copy: str | None = None) -> bool:
        try:
            if copy is None:
                self.session.execute(sql)
            else:
                with self.session.cursor().copy(sql) as data:
                    data.write(copy)
            return True
        except psycopg.OperationalError as error:
            if error.sqlstate is None or self.session.closed:
                raise
        except (psycopg.Error, UnicodeError):
            pass
        return False

    # a batch of queries

    def run_batch(self, queries: list[str]) -> None:
        if self.session.info.transaction_status != TransactionStatus.IDLE:
            for query in queries:
                self.execute(query)
            return
        for query in queries:
            if re.search(r"\b(set_config|nextval|setval|pg_notify|lo_\w+|pg_advisory\w*|pg_sleep)\b", query):
                self.execute(query)
        views = [view for query in queries if self.random.random() < self.share for view in self.make(query)]
        if not views:
            return
        try:
            tables = self.tables(views)
            self.check(views)
            kept = {table: self.save(table) for table in tables}
            for step in range(ROUNDS):
                for table in tables:
                    if step == ROUNDS - 1:
                        self.put_back(table, kept[table])
                    else:
                        self.change(table)
                self.check(views)
            for table in tables:
                self.admin.execute("DROP TABLE IF EXISTS " + kept[table])
        finally:
            self.drop(views)
        self.wrong += [Wrong(self.script, view.query, view.wrong) for view in views if view.wrong]

    def make(self, query: str) -> list[View]:
        """A view of a query, if it can have one and that is kept."""
        self.statistics.queries += 1
        self.number += 1
        name = f"{SCHEMA}.v{self.number}"
        count = f"SELECT count(*) FROM ({query}) AS q"
        if not self.execute(f"CREATE MATERIALIZED VIEW {name} AS {query}"):
            return []
        view = View(name, query)
        self.statistics.views += 1
        rows, maintained, strategy = self.admin.execute(
            f"SELECT (SELECT count(*) FROM {name}), maintained, strategy FROM freshet.views WHERE view = %s::regclass", (name,)).fetchone()
        if rows > MOST_ROWS or not maintained or not self.tables([view]) or not self.execute(count):
            self.drop([view])
            return []
        self.statistics.kept += 1
        self.statistics.strategies[strategy] = self.statistics.strategies.get(strategy, 0) + 1
        return [view]

    def tables(self, views: list[View]) -> list[str]:
        """The users' tables that views read, through views too."""
        return [row[0] for row in self.admin.execute("""
            WITH RECURSIVE read(relid) AS (
                SELECT unnest(%s::regclass[])::oid
                UNION SELECT d.refobjid FROM read JOIN pg_rewrite r ON r.ev_class = read.relid
                    JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
                    WHERE d.refclassid = 'pg_class'::regclass)
            SELECT c.oid::regclass::text FROM read JOIN pg_class c ON c.oid = read.relid JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind IN ('r', 'p') AND n.nspname NOT LIKE 'pg\\_%%' AND n.nspname NOT IN ('information_schema', 'freshet')
            ORDER BY 1""", ([view.name for view in views],)).fetchall()]

    def drop(self, views: list[View]) -> None:
        for view in views:
            self.admin.execute(f"DROP MATERIALIZED VIEW IF EXISTS {view.name}")

    # what changes

    def save(self, table: str) -> str:
        """A copy of a small table; empty for a large one."""
        self.number += 1
        copy = f"{SCHEMA}.saved{self.number}"
        self.quietly(f"CREATE UNLOGGED TABLE {copy} AS SELECT * FROM {table} LIMIT {SMALL + 1}")
        return copy

    def put_back(self, table: str, copy: str) -> None:
        columns = self.columns(table)
        try:
            with self.admin.transaction():
                if self.admin.execute(f"SELECT count(*) FROM {copy}").fetchone()[0] > SMALL:
                    return
                self.admin.execute(f"DELETE FROM {table}")
                self.admin.execute(f"INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM {copy}")
        except psycopg.Error:
            pass

    def columns(self, table: str) -> str:
        return ", ".join(row[0] for row in self.admin.execute(
            "SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 "
            "AND NOT attisdropped AND attgenerated = ''", (table,)).fetchall())

    def change(self, table: str) -> None:
        """Some rows come, some change, some go."""
        columns = self.columns(table)
        if not columns:
            return
        some = f"(SELECT array_agg(c) FROM (SELECT ctid AS c FROM {table} ORDER BY hashtext(ctid::text || '{self.random.random()}') LIMIT 3) s)"
        self.quietly(f"INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM {table} WHERE ctid = ANY {some}")
        column = self.random.choice(columns.split(", "))
        for value in (f"(SELECT {column} FROM {table} ORDER BY hashtext(ctid::text || '{self.random.random()}') LIMIT 1)", "NULL"):
            self.quietly(f"UPDATE {table} SET {column} = {value} WHERE ctid = ANY {some}")
        self.quietly(f"DELETE FROM {table} WHERE ctid = ANY {some}")

    def quietly(self, sql: str) -> None:
        """What a constraint forbids does not happen."""
        try:
            self.admin.execute(sql)
        except psycopg.Error as error:
            if error.sqlstate is None:
                raise

    # comparison

    def check(self, views: list[View]) -> None:
        for view in views:
            if not view.wrong:
                self.statistics.checks += 1
                view.wrong = self.difference(view)

    def difference(self, view: View) -> str:
        """How a view differs from its query, asked in the script's session with one snapshot."""
        compare = f"""
            WITH have AS MATERIALIZED (SELECT have_row::text AS row FROM {view.name} have_row),
                 want AS MATERIALIZED (SELECT want_row::text AS row FROM ({view.query}\n) want_row)
            SELECT ARRAY(SELECT row FROM have EXCEPT ALL SELECT row FROM want),
                   ARRAY(SELECT row FROM want EXCEPT ALL SELECT row FROM have)"""
        try:
            with self.session.transaction():
                self.session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                self.session.execute(f"SELECT count(*) FROM {view.name}")
                extra, missing = self.session.execute(compare).fetchone()
        except psycopg.Error as error:
            if error.sqlstate is None:
                raise
            return ""  # the query's own error, most often
        error = self.admin.execute("SELECT error FROM freshet.views WHERE view = %s::regclass", (view.name,)).fetchone()[0]
        if error:
            return f"error: {error}"
        if extra or missing:
            if self.ambiguous(view.query):
                self.statistics.ambiguous += 1
                return ""
            return f"in the view only: {shown(extra)}; in the query only: {shown(missing)}"
        try:
            wrong = self.admin.execute("SELECT freshet.verify(%s::regclass)", (view.name,)).fetchone()[0]
        except psycopg.Error as error:
            return f"freshet.verify fails: {error}"
        return f"freshet.verify says {wrong} rows differ" if wrong and not self.ambiguous(view.query) else ""

    def ambiguous(self, query: str) -> bool:
        """Does another plan give another answer?"""
        answers = set()
        for setting in ("", *PLANS):
            if setting:
                self.session.execute(f"SET {setting} = off")
            try:
                answers.add(str(self.session.execute(
                    f"SELECT array_agg(q::text ORDER BY q::text COLLATE \"C\") FROM ({query}\n) q").fetchone()))
            except psycopg.Error as error:
                if error.sqlstate is None:
                    raise
            finally:
                if setting:
                    self.session.execute(f"RESET {setting}")
        return len(answers) > 1


def shown(rows: list[str]) -> str:
    return f"{len(rows)} rows {[row[:90] for row in rows[:3]]}" if rows else "none"
