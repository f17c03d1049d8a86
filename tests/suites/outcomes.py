"""A pytest plugin that writes what became of each test, by its id, to the file SUITE_OUTCOMES names."""

import json
import os
import re

_RANK = {"passed": 0, "skipped": 1, "failed": 2}
_outcomes: dict[str, str] = {}

# SQLAlchemy's plugin puts the server's version into the names of classes.
_VERSION = re.compile(r"(_postgresql\+[a-z0-9_]+?)_[0-9]+_[0-9]+(?=::)")


def pytest_runtest_logreport(report):
    if report.when == "call" or report.outcome != "passed":
        outcome = "skipped" if hasattr(report, "wasxfail") else report.outcome
        test = _VERSION.sub(r"\1", report.nodeid)
        if _RANK[outcome] >= _RANK.get(_outcomes.get(test, "passed"), 0):
            _outcomes[test] = outcome


def pytest_collectreport(report):
    if report.failed:
        _outcomes[report.nodeid] = "failed"


def pytest_sessionfinish(session):
    with open(os.environ["SUITE_OUTCOMES"], "w", encoding="utf-8") as file:
        json.dump(_outcomes, file)
