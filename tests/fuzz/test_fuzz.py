"""Random cases within a time budget, and every script that once showed a failure.

FUZZ_SECONDS is the budget, FUZZ_SEED the first seed. `make fuzz` goes on for hours. A script it writes goes
into failures/ with the change that mends what it shows.
"""

import os
import pathlib

import pytest

from .fuzz import Fuzz
from .shrink import replay

SECONDS = float(os.environ.get("FUZZ_SECONDS", "25"))
SEED = os.environ.get("FUZZ_SEED")
FAILURES = sorted((pathlib.Path(__file__).parent / "failures").glob("*.sql"))


@pytest.fixture(scope="module")
def fuzz():
    made = Fuzz()
    yield made
    made.close()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("path", FAILURES, ids=lambda path: path.stem)
def test_script_that_failed_once(fuzz, path):
    failure = fuzz.fails(replay(path.read_text()))
    if failure:
        pytest.fail(str(failure), pytrace=False)


@pytest.mark.timeout(SECONDS + 240)
def test_random_cases(fuzz):
    found = fuzz.run(SECONDS, int(SEED) if SEED else None)
    print(fuzz.statistics)
    if found:
        pytest.fail(str(found[0]), pytrace=False)
    # A generator whose texts are seldom queries would test nothing.
    assert sum(fuzz.statistics.not_queries.values()) < fuzz.statistics.views / 4
