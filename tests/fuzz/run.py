"""Run a case and say what is wrong: a view that differs from its query, an error that must not be, a wait without end."""

import re
import threading
import time
from dataclasses import dataclass, field

import psycopg
from psycopg import errors

from .case import CHECK, SESSIONS, Step

SCHEMA = "fuzz"
MOST_ROWS = 5000
VIEW = re.compile(r"CREATE MATERIALIZED VIEW (\w+) AS (.*)", re.DOTALL)


@dataclass
class Failure(Exception):
    kind: str
    view: str
    detail: str
    step: int = 0

    def __str__(self) -> str:
        return f"{self.kind}: {self.view}: {self.detail} (at statement {self.step})"


@dataclass
class Statistics:
    cases: int = 0
    checks: int = 0
    views: int = 0
    not_queries: dict[str, int] = field(default_factory=dict)
    strategies: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        return (f"{self.cases} cases, {self.views} views ({', '.join(f'{n} {s}' for s, n in sorted(self.strategies.items()))}), "
                f"{self.checks} comparisons, {sum(self.not_queries.values())} texts that are no query")


class Runner:
    """Connections to one database, in which one case after another is run."""

    def __init__(self, connect, statistics: Statistics):
        self.connect = connect
        self.sessions = [connect() for _ in range(SESSIONS)]
        self.checker = connect()
        self.statistics = statistics
        self.checker.execute("SET statement_timeout = '20s'")
        self.checker.execute("SET lock_timeout = '5s'")
        self.own = self.hidden()

    def close(self) -> None:
        for connection in (*self.sessions, self.checker):
            connection.close()  # does no harm to one that is lost

    def hidden(self) -> set[str]:
        return {row[0] for row in self.checker.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'freshet'::regnamespace").fetchall()}

    def reset(self) -> None:
        for session in self.sessions:
            session.execute("ROLLBACK")
            session.execute("DISCARD ALL")
            session.execute("SET lock_timeout = '100ms'")
            session.execute("SET statement_timeout = '20s'")
            session.execute("SET client_min_messages = error")
        for (name,) in self.checker.execute("SELECT gid FROM pg_prepared_xacts WHERE database = current_database()").fetchall():
            self.checker.execute(f"ROLLBACK PREPARED '{name}'")
        self.checker.execute("SET client_min_messages = error")
        self.checker.execute("ALTER SYSTEM RESET ALL")
        self.checker.execute("SELECT pg_reload_conf()")
        self.checker.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
        self.checker.execute(f"CREATE SCHEMA {SCHEMA}")
        for connection in (*self.sessions, self.checker):
            connection.execute(f"SET search_path = {SCHEMA}")

    def run(self, steps: list[Step], at_once: bool = False) -> Failure | None:
        """The first thing that is wrong, if anything is. At once: sessions do not wait for each other but at checks."""
        number = 0
        try:
            self.reset()
            self.queries: dict[str, str] = {}
            waiting: list[Step] = []
            for number, step in enumerate(steps):
                if step.sql != CHECK and not at_once:
                    self.execute(step)
                elif step.sql != CHECK:
                    waiting.append(step)
                else:
                    self.execute_at_once(waiting)
                    waiting = []
                    self.check()
            self.end()
            self.statistics.cases += 1
        except Failure as failure:
            failure.step = number
            return None if failure.kind in ("stuck", "unreadable") and self.too_large() else failure
        except psycopg.OperationalError as error:
            if error.sqlstate in ("55P03", "57014") and self.too_large():
                return None
            lost = not error.sqlstate or error.sqlstate[:2] == "08" or error.sqlstate.startswith("57P")
            return Failure("server" if lost else "stuck", "-", f"{error.sqlstate} {error}".strip(), number)
        return None

    def execute(self, step: Step) -> None:
        session = self.sessions[step.session]
        made = VIEW.fullmatch(step.sql)
        try:
            if made and not self.is_query(made[2]):
                return
            session.execute(step.sql)
            if made:
                self.queries[made[1]] = made[2]
                self.statistics.views += 1
        except psycopg.Error as error:
            state = error.sqlstate or ""
            if state == "57014":
                raise Failure("stuck", "-", f"{step.sql[:200]}: {error}") from None
            if state[:2] in ("08", "57") or not state:
                raise  # the server is gone
            # PostgreSQL's own answer where two sessions change one row of a catalog
            if state[:2] == "XX" and error.diag.message_primary != "tuple concurrently updated":
                raise Failure("error", "-", f"{step.sql[:200]}: {state} {error}") from None
            if made and state not in ("55P03", "25P02", "40P01", "40001"):
                raise Failure("refused", made[1], f"{state} {error}") from None

    def execute_at_once(self, steps: list[Step]) -> None:
        """Each session's statements in a thread."""
        failures: list[Exception] = []

        def run(session: int) -> None:
            try:
                for step in steps:
                    if step.session == session:
                        self.execute(step)
            except (Failure, psycopg.Error) as failure:
                failures.append(failure)

        threads = [threading.Thread(target=run, args=(session,)) for session in {step.session for step in steps}]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]

    def is_query(self, query: str) -> bool:
        """Whether the server takes a text as a query, and its result is small."""
        session = self.sessions[0]
        if session.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            return False
        try:
            session.execute("SET statement_timeout = '2s'")
            rows = session.execute(f"SELECT count(*) FROM ({query}) q").fetchone()[0]
            session.execute(f"CREATE TEMP VIEW accepted AS {query}")
            session.execute("DROP VIEW accepted")
            return rows <= MOST_ROWS
        except psycopg.Error as error:
            if not isinstance(error, errors.LockNotAvailable):
                what = f"{error.sqlstate} {error.diag.message_primary}"
                self.statistics.not_queries[what] = self.statistics.not_queries.get(what, 0) + 1
            return False
        finally:
            session.execute("SET statement_timeout = '20s'")

    # checking

    def unasked(self) -> bool:
        """Whether an open transaction keeps the queries from being asked, or a table has no WAL to learn from."""
        return self.checker.execute(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND locktype = 'relation' "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
            "AND pid IS DISTINCT FROM (SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
            "AND backend_type LIKE 'freshet%%')) "
            "OR EXISTS (SELECT FROM pg_class WHERE relpersistence = 'u' AND relnamespace = %s::regnamespace)",
            (SCHEMA,)).fetchone()[0]

    def live(self) -> list[str]:
        """The views that are kept; one made while a table of its was not logged is not."""
        there = {row[0] for row in self.checker.execute(
            "SELECT view::text FROM freshet.views WHERE maintained OR reason NOT LIKE '%unlogged%'").fetchall()}
        return [view for view in self.queries if view in there]

    def check(self) -> None:
        if self.unasked():
            return
        views = self.live()
        wrong = self.differences(views)
        if wrong:
            time.sleep(1)
            later = self.differences([view for view, _ in wrong])
            view, detail = later[0] if later else wrong[0]
            raise Failure("wrong" if later else "late", view, detail)

    def differences(self, views: list[str]) -> list[tuple[str, str]]:
        """Views that differ from their queries, and how; in one snapshot, which the first statement fixes."""
        if not views:
            return []
        found, broken = [], []
        with self.checker.transaction():
            self.checker.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            try:
                self.checker.execute("SELECT " + ", ".join(f"(SELECT count(*) FROM {view})" for view in views))
            except psycopg.Error as error:
                if not error.sqlstate or error.sqlstate[:2] == "08":
                    raise
                raise Failure("unreadable", views[0], f"{error.sqlstate} {error}") from None
            owners = dict(self.checker.execute("SELECT matviewname, quote_ident(matviewowner) FROM pg_matviews WHERE schemaname = %s",
                                               (SCHEMA,)).fetchall())
            for view in views:
                self.statistics.checks += 1
                try:
                    with self.checker.transaction():
                        self.checker.execute(f"SET LOCAL ROLE {owners[view]}")
                        extra, missing = self.checker.execute(f"""
                            WITH have AS MATERIALIZED (SELECT have_row::text AS row FROM {view} have_row),
                                 want AS MATERIALIZED (SELECT want_row::text AS row FROM ({self.queries[view]}) want_row)
                            SELECT ARRAY(SELECT row FROM have EXCEPT ALL SELECT row FROM want),
                                   ARRAY(SELECT row FROM want EXCEPT ALL SELECT row FROM have)""").fetchone()
                        self.checker.execute("RESET ROLE")
                except psycopg.Error as error:
                    if (error.sqlstate or "08")[:2] in ("08", "57"):
                        raise
                    if error.sqlstate[:2] == "XX":
                        raise Failure("error", view, f"{error.sqlstate} {error}") from None
                    broken.append(view)
                    continue
                if extra or missing:
                    found.append((view, f"in the view only: {short(extra)}; in the query only: {short(missing)}"))
        for view, error in self.checker.execute("SELECT view::text, error FROM freshet.views WHERE maintained").fetchall():
            if error and view in views and view not in broken:
                found.append((view, f"its query can be asked, but the view has an error: {error}"))
        for view in views:
            if view in broken or any(view == name for name, _ in found):
                continue
            try:
                count = self.checker.execute("SELECT freshet.verify(%s::regclass)", (view,)).fetchone()[0]
            except psycopg.Error as error:
                found.append((view, f"freshet.verify fails: {error.sqlstate} {error}"))
                continue
            if count:
                found.append((view, f"freshet.verify says {count} rows differ"))
        return found

    def too_large(self) -> bool:
        """Whether a query by itself takes long: joins can multiply small tables to millions of rows."""
        with self.connect() as other:
            other.execute(f"SET search_path = {SCHEMA}")
            other.execute("SET freshet.max_staleness = -1")
            other.execute("SET statement_timeout = '1s'")
            for query in self.queries.values():
                try:
                    other.execute(f"SELECT count(*) FROM ({query}) q")
                except errors.QueryCanceled:
                    return True
                except psycopg.Error:
                    pass
        return False

    def end(self) -> None:
        """Count strategies; drop everything and see that nothing is left."""
        for strategy, maintained, reason in self.checker.execute(
                "SELECT strategy, maintained, reason FROM freshet.views").fetchall():
            shown = strategy if maintained and strategy else "-"
            self.statistics.strategies[shown] = self.statistics.strategies.get(shown, 0) + 1
            if shown not in ("A", "B"):
                self.statistics.reasons[str(reason)] = self.statistics.reasons.get(str(reason), 0) + 1
        self.reset()
        deadline = time.monotonic() + 5
        while True:
            left = self.hidden() - self.own
            # Indexes and toast tables of the extension's own tables may be made anew under other names.
            if not left:
                return
            if time.monotonic() > deadline:
                raise Failure("left behind", "-", ", ".join(sorted(left)[:5]))
            time.sleep(0.02)


def short(rows: list[str]) -> str:
    return f"{len(rows)} rows {[row[:90] for row in rows[:4]]}" if rows else "none"
