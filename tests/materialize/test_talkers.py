"""Random conversations by drivers: each statement's answer is the one PostgreSQL gives to the same conversation.

On the native port a SUBSCRIBE stands as the plain query of the same shape, as in test_conversations.
FRESHET_CONVERSATIONS_SECONDS makes it longer; FRESHET_CONVERSATIONS_SEED repeats one.
"""

import os
import random
import time

import pytest

from .talkers import TALKERS
from .test_conversations import PLAIN, SUBSCRIBE

SECONDS = float(os.environ.get("FRESHET_CONVERSATIONS_SECONDS", "0")) / 13 or 1

# (driver and mode, seed) that once found a difference
FAILED = [("go pgx", 2387196646), ("pgjdbc portals", 3535091)]

SOON = "(extract(epoch FROM clock_timestamp()) * 1000 + 120)::bigint"

# statement, the same on the native port, and what its arguments are taken from
STATEMENTS = [
    ("SELECT 1 AS a", None, ()), ("SELECT k, v FROM conversed WHERE k > $1", None, ((0, 2, 9),)),
    ("SELECT k FROM conversed WHERE v <> $1 AND k < $2", None, (("v1", "x"), (2, 9))), ("SELECT 1/0", None, ()),
    ("SELECT nosuch FROM conversed", None, ()), ("SELECT count(*) AS n FROM scratch", None, ()),
    ("INSERT INTO scratch VALUES ($1)", None, ((1, 2),)), ("SHOW transaction_read_only", None, ()),
    ("DEALLOCATE ALL", None, ()), ("DISCARD ALL", None, ()), ("FETCH nosuch", None, ()), ("SAVEPOINT s", None, ()),
    ("ROLLBACK TO s", None, ()), ("DECLARE c CURSOR FOR SELECT 5 AS five", None, ()), ("CLOSE c", None, ()), ("CLOSE ALL", None, ()),
    *[("BEGIN", None, ())] * 3, *[("COMMIT", None, ())] * 2, *[("ROLLBACK", None, ())] * 2,
    *[(SUBSCRIBE.format(where=where, until=SOON), PLAIN.format(where=where), arguments) for where, arguments in (
        ("", ()), (" WHERE k > $1", ((0, 2, 9),)), (" WHERE v <> $1 AND k < $2", (("v1", "x"), (2, 9))), (" WHERE nosuch", ()))],
    *[("DECLARE c CURSOR FOR SUBSCRIBE conversed", "DECLARE c CURSOR FOR " + PLAIN.format(where=""), ())] * 2,
    ("DECLARE c CURSOR FOR SUBSCRIBE (SELECT * FROM conversed WHERE k > $1)", "DECLARE c CURSOR FOR " + PLAIN.format(where=" WHERE k > $1"),
     ((0, 2),)),
    *[("FETCH ALL c WITH (TIMEOUT '0s')", "FETCH ALL c", ())] * 3,
]


def shape(answer):
    """Rows in any order, without their times."""
    if answer.startswith("error"):
        return answer
    names, *rows = answer.split("|")
    timed = names.startswith(",mz_timestamp")
    return names, sorted(row.partition(",")[2] if timed else row for row in rows)


def hold(talker, place, door, side, seed):
    dice = random.Random(seed)
    talker.open(place.ports[door], ("dialect", "native")[side])
    talker.run("TRUNCATE scratch")
    if talker.mode in ("blocks", "portals"):
        talker.run("COMMIT")
    answers = []
    for _ in range(dice.randint(4, 14)):
        dialect, native, arguments = dice.choice(STATEMENTS)
        statement = native if side and native else dialect
        answers.append((statement, shape(talker.run(statement, *[dice.choice(each) for each in arguments]))))
    return answers


def converse(ground, talker, seed):
    for door in (("postgres", "materialize")[seed % 2],):
        # on a busy machine a subscription may come too late for its own UP TO
        for _ in range(3):
            ours = hold(talker, ground, door, 0, seed)
            if "error 22023" not in repr(ours):
                break
        theirs = hold(talker, ground, "native", 1, seed)
        for number, ((statement, our), (_, their)) in enumerate(zip(ours, theirs)):
            assert our == their, f"seed {seed} on {door}, answer {number} to {statement}: {[one for one, _ in ours]}"


@pytest.mark.timeout(120 + SECONDS)
@pytest.mark.parametrize("driver, mode", [(driver, mode) for driver, (_, modes) in TALKERS.items() for mode in modes])
def test_conversations_by_drivers(ground, driver, mode):
    talker = TALKERS[driver][0](mode)
    try:
        for name, seed in FAILED:
            if name == f"{driver} {mode}":
                converse(ground, talker, seed)
        if "FRESHET_CONVERSATIONS_SEED" in os.environ:
            converse(ground, talker, int(os.environ["FRESHET_CONVERSATIONS_SEED"]))
            return
        until = time.monotonic() + SECONDS
        seed = random.SystemRandom().randrange(2 ** 32)
        while time.monotonic() < until:
            seed += 1
            converse(ground, talker, seed)
    finally:
        talker.close()
