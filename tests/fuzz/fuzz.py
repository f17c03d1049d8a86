"""Case after case until the time is up; each failure is made small and written down as a script."""

import pathlib
import random
import time

import psycopg

from .case import Case, Step
from .place import Place
from .run import Failure, Runner, Statistics
from .shrink import Shrinker, script


class Fuzz:
    def __init__(self, results: pathlib.Path | None = None, shrink_seconds: float = 60, say=print):
        self.place = Place()
        self.results = results
        self.shrink_seconds = shrink_seconds
        self.say = say
        self.runner: Runner | None = None
        self.statistics = Statistics()

    def close(self) -> None:
        self.leave()
        self.place.close()

    def leave(self) -> None:
        """What went wrong in a database may have left something: the next case gets another."""
        if self.runner:
            self.runner.close()
        self.runner = None

    def fails(self, steps: list[Step], at_once: bool = False) -> Failure | None:
        try:
            if self.runner is None:
                self.runner = Runner(self.place.database(), self.statistics)
            failure = self.runner.run(steps, at_once)
        except psycopg.OperationalError as error:
            failure = Failure("server", "-", str(error))
        if failure:
            self.leave()
        if failure and failure.kind == "server":
            failure.detail += " " + self.place.crashed()
        return failure

    def one(self, seed: int) -> Failure | None:
        steps = Case(seed).steps
        at_once = seed % 4 == 3
        failure = self.fails(steps, at_once)
        if failure is None:
            return None
        self.say(f"seed {seed}: {failure}" + (", with sessions at once" if at_once else ""))
        # If it needs no race, it is easier to understand without.
        found = (Shrinker(self.fails, self.shrink_seconds).shrink(steps, failure)
                 or at_once and Shrinker(lambda fewer: self.fails(fewer, True), self.shrink_seconds).shrink(steps, failure))
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
