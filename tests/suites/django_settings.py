"""Settings for Django's own tests: the server comes from PGHOST and PGPORT, outcomes go to SUITE_OUTCOMES."""

import json
import os
import unittest

from django.test.runner import DiscoverRunner

_SERVER = {"ENGINE": "django.db.backends.postgresql", "USER": "postgres",
           "HOST": os.environ["PGHOST"], "PORT": os.environ["PGPORT"]}
DATABASES = {"default": _SERVER | {"NAME": "django"}, "other": _SERVER | {"NAME": "django_other"}}
SECRET_KEY = "django_tests_secret_key"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = False
TEST_RUNNER = "suites.django_settings.Runner"


class _Result(unittest.TextTestResult):
    outcomes: dict[str, str] = {}

    def _add(self, test, outcome):
        name = test.id().partition(" ")[0]
        if self.outcomes.get(name) != "failed":
            self.outcomes[name] = outcome

    def addSuccess(self, test):
        super().addSuccess(test)
        self._add(test, "passed")

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._add(test, "skipped")

    def addExpectedFailure(self, test, err):
        super().addExpectedFailure(test, err)
        self._add(test, "skipped")

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._add(test, "failed")

    def addError(self, test, err):
        super().addError(test, err)
        self._add(test, "failed")

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self._add(test, "failed")

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._add(test, "failed")


class Runner(DiscoverRunner):
    """Django's runner, which also writes what became of each test."""

    def get_resultclass(self):
        return _Result

    def suite_result(self, suite, result, **kwargs):
        with open(os.environ["SUITE_OUTCOMES"], "w", encoding="utf-8") as file:
            json.dump(_Result.outcomes, file)
        return super().suite_result(suite, result, **kwargs)
