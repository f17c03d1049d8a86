"""Case after case until the time is up; each failure is made small and written down as a script."""

import pathlib
import random
import time

from .case import Case
from .run import Failure, Runner
from .shrink import Shrinker, script


class Fuzz:
    """databases() makes a new database and returns a function that connects to it."""

    def __init__(self, databases, results: pathlib.Path | None, shrink_seconds: float = 60, say=print):
        self.databases = databases
        self.results = results
        self.shrink_seconds = shrink_seconds
        self.say = say
        self.runner: Runner | None = None
        self.statistics = None

    def fresh(self) -> Runner:
        """A runner in a new database: what went wrong in the old one may have left something."""
        before = self.runner
        deadline = time.monotonic() + 60
        while True:
            try:
                self.runner = Runner(self.databases())
                break
            except Exception:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)
        if before:
            self.runner.statistics = before.statistics
            try:
                before.close()
            except Exception:
                pass
        self.statistics = self.runner.statistics
        return self.runner

    def fails(self, steps) -> Failure | None:
        runner = self.runner or self.fresh()
        failure = runner.run(steps)
        if failure:
            self.fresh()
        return failure

    def one(self, seed: int) -> Failure | None:
        steps = Case(seed).steps
        failure = self.fails(steps)
        if failure is None:
            return None
        self.say(f"seed {seed}: {failure}")
        found = Shrinker(self.fails, self.shrink_seconds).shrink(steps, failure)
        text = script(*(found or (steps[:failure.step + 1], failure)), seed if found else f"{seed} (seen once)")
        if self.results:
            self.results.mkdir(parents=True, exist_ok=True)
            path = self.results / f"{failure.kind.replace(' ', '_')}_{seed}.sql"
            path.write_text(text)
            self.say(f"  written to {path}")
        failure.detail += "\n" + text
        return failure

    def run(self, seconds: float, first: int | None = None, most_failures: int = 1) -> list[Failure]:
        deadline = time.monotonic() + seconds
        seed = random.SystemRandom().randrange(1 << 40) if first is None else first
        found = []
        while time.monotonic() < deadline and len(found) < most_failures:
            failure = self.one(seed)
            if failure:
                found.append(failure)
            seed += 1
        return found

    def close(self) -> None:
        if self.runner:
            self.runner.close()
