"""Make a failing case small: first the statements, then the queries of its views, then the statements again."""

import time

from .case import CHECK, Step
from .query import smaller
from .run import Failure


class Shrinker:
    """fails(steps) runs them in a clean place and returns the Failure, if there is one."""

    def __init__(self, fails, seconds: float):
        self.fails = fails
        self.deadline = time.monotonic() + seconds
        self.runs = 0

    def same(self, steps: list[Step], kind: str) -> Failure | None:
        self.runs += 1
        failure = self.fails(steps)
        return failure if failure and failure.kind == kind else None

    def time_left(self) -> bool:
        return time.monotonic() < self.deadline

    def shrink(self, steps: list[Step], failure: Failure) -> tuple[list[Step], Failure] | None:
        """The smallest failing steps found, and their failure; None if the failure does not come again."""
        if failure.kind != "left behind":
            steps = steps[:failure.step + 1]
        for _ in range(3):
            again = self.same(steps, failure.kind)
            if again:
                break
        else:
            return None
        best, failure = steps, again
        best, failure = self.fewer_steps(best, failure)
        best, failure = self.simpler_queries(best, failure)
        best, failure = self.fewer_rows(best, failure)
        best, failure = self.one_session(best, failure)
        return self.fewer_steps(best, failure)

    def fewer_steps(self, steps: list[Step], failure: Failure) -> tuple[list[Step], Failure]:
        size = max(1, len(steps) // 2)
        while self.time_left():
            start, changed = 0, False
            while start < len(steps) and self.time_left():
                candidate = steps[:start] + steps[start + size:]
                found = candidate and self.same(candidate, failure.kind)
                if found:
                    steps, failure, changed = candidate, found, True
                else:
                    start += size
            if size == 1 and not changed:
                break
            size = max(1, size // 2)
        return steps, failure

    def simpler_queries(self, steps: list[Step], failure: Failure) -> tuple[list[Step], Failure]:
        for index in range(len(steps)):
            progress = steps[index].query is not None
            while progress and self.time_left():
                progress = False
                name = steps[index].sql.split()[3]
                for query in smaller(steps[index].query):
                    candidate = steps[:index] + [Step.view(name, query)] + steps[index + 1:]
                    found = self.same(candidate, failure.kind)
                    if found:
                        steps, failure, progress = candidate, found, True
                        break
                    if not self.time_left():
                        break
        return steps, failure

    def fewer_rows(self, steps: list[Step], failure: Failure) -> tuple[list[Step], Failure]:
        """Leave out rows of an INSERT with several."""
        for index in range(len(steps)):
            head, values, rows = steps[index].sql.partition(" VALUES ")
            if not head.startswith("INSERT") or " ON CONFLICT" in rows:
                continue
            kept = rows[1:-1].split("), (")
            number = 0
            while number < len(kept) and len(kept) > 1 and self.time_left():
                fewer = kept[:number] + kept[number + 1:]
                candidate = steps[:index] + [Step(steps[index].session, f"{head} VALUES ({'), ('.join(fewer)})")] + steps[index + 1:]
                found = self.same(candidate, failure.kind)
                if found:
                    steps, failure, kept = candidate, found, fewer
                else:
                    number += 1
        return steps, failure

    def one_session(self, steps: list[Step], failure: Failure) -> tuple[list[Step], Failure]:
        candidate = [Step(0, step.sql, step.query) for step in steps]
        if any(step.session for step in steps) and self.time_left():
            found = self.same(candidate, failure.kind)
            if found:
                return candidate, found
        return steps, failure


def script(steps: list[Step], failure: Failure, seed: object) -> str:
    """The steps as a file for psql, and for replay()."""
    views = [step.sql.split()[3] for step in steps if step.sql.startswith("CREATE MATERIALIZED VIEW")]
    lines = [f"-- Seed {seed}: {' '.join(str(failure).split())}", "-- /* n */ says which session a statement belongs to.",
             "CREATE EXTENSION IF NOT EXISTS freshet;"]
    for step in steps:
        if step.sql == CHECK:
            lines += [CHECK] + [f"SELECT count(*) AS {view} FROM {view}; SELECT freshet.verify('{view}'); -- must be 0"
                                for view in views]
        else:
            lines.append(f"/* {step.session} */ {' '.join(step.sql.split())};")
    return "\n".join(lines) + "\n"


def replay(text: str) -> list[Step]:
    """The steps of such a file."""
    steps = []
    for line in text.splitlines():
        if line == CHECK:
            steps.append(Step(0, CHECK))
        elif line.startswith("/* "):
            steps.append(Step(int(line[3]), line[8:].removesuffix(";")))
    return steps
