"""Which suites there are: where each comes from, what it wants in a database, and how it is run.

Sources are the packages' source distributions, fetched by the package's own client at a pinned version.
"""

import dataclasses
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = ROOT / "build" / "suites"


@dataclasses.dataclass
class Suite:
    name: str
    source: str                     # package and version
    arguments: tuple[str, ...]      # tests, and options of their runner
    databases: tuple[str, ...] = ()
    statements: tuple[str, ...] = ()
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    short: bool = False             # is part of `make test`

    def __post_init__(self):
        self.databases = self.databases or ("suite_" + self.name.replace("-", "_"),)

    def fill(self, text: str, side) -> str:
        return text.format(port=side.port, database=self.databases[0])

    def settings(self, side, outcomes: pathlib.Path) -> dict[str, str]:
        """The environment of a run; the outcomes are to be written to that file."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "FRESHET_"))}
        return ours | {
            "PGHOST": "127.0.0.1", "PGPORT": str(side.port), "PGUSER": "postgres",
            "SUITE_OUTCOMES": str(outcomes), "PYTHONPATH": str(HERE.parent), "PYTHONDONTWRITEBYTECODE": "1",
        } | {name: self.fill(value, side) for name, value in self.environment.items()}

    def call(self, command, side, directory, log, outcomes, timeout=1500):
        with open(log, "a", encoding="utf-8") as output:
            return subprocess.run(command, cwd=directory, env=self.settings(side, outcomes), timeout=timeout,
                                  stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, check=False)


class Python(Suite):
    """From PyPI; its tests are run by pytest with the package that is installed here."""

    only = "."   # what of the source is needed: a package beside its tests would hide the installed one

    @staticmethod
    def plain(archive: pathlib.Path) -> str:
        """A source distribution's name in one spelling."""
        return archive.name.lower().replace("-", "_")

    def fetch(self) -> pathlib.Path:
        package, _, version = self.source.partition("==")
        target = BUILD / self.name
        archives = BUILD / "archives"
        name = f"{package.lower().replace('-', '_')}_{version}.tar.gz"
        if not any(self.plain(path) == name for path in archives.glob("*")):
            subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps",
                            "--no-binary", package, "-d", archives, self.source], check=True)
        # anew each time: some tests stumble over what those before them left
        unpacked = BUILD / "unpacked" / self.name
        for old in (target, unpacked):
            shutil.rmtree(old, ignore_errors=True)
        shutil.unpack_archive(next(path for path in archives.glob("*") if self.plain(path) == name), unpacked)
        source = next(unpacked.iterdir())
        if self.only != ".":
            for other in source.iterdir():
                if other.name != self.only:
                    shutil.rmtree(other) if other.is_dir() else other.unlink()
        source.rename(target)
        return target

    def run(self, side, log, outcomes, tests=None):
        command = [sys.executable, "-m", "pytest", "-q", "-p", "suites.outcomes", "-p", "no:cacheprovider",
                   *(self.fill(argument, side) for argument in self.arguments if argument.startswith("-") or not tests),
                   *(tests or ())]
        self.call(command, side, self.fetch(), log, outcomes)
        return read(outcomes)


class PythonTests(Python):
    """The same where the source has the package itself beside its tests."""

    only = "tests"


class Django(Python):
    """Django's tests have a runner of their own."""

    def run(self, side, log, outcomes, tests=None):
        command = [sys.executable, "runtests.py", "--settings=suites.django_settings", "--parallel=1", "--noinput",
                   *(tests or self.arguments)]
        self.call(command, side, self.fetch() / "tests", log, outcomes)
        return read(outcomes)


class Go(Suite):
    """A Go module, which has its tests beside its code."""

    # Some subtests are named after a directory that is another one each time.
    passing = re.compile(f"'{re.escape(tempfile.gettempdir())}/[^']*'")

    def fetch(self) -> pathlib.Path:
        target = BUILD / self.name
        if not target.exists():
            done = subprocess.run(["go", "mod", "download", "-json", self.source], check=True, capture_output=True,
                                  text=True, cwd=BUILD)
            partial = BUILD / (self.name + ".new")
            shutil.rmtree(partial, ignore_errors=True)
            shutil.copytree(json.loads(done.stdout)["Dir"], partial)
            for path in [partial, *partial.rglob("*")]:
                path.chmod(path.stat().st_mode | 0o200)
            partial.rename(target)
        return target

    def run(self, side, log, outcomes, tests=None):
        roots = sorted({test.partition(" ")[2].partition("/")[0] for test in tests or ()})
        chosen = ["-run", f"^({'|'.join(roots)})$"] if roots else []
        self.call(["go", "test", "-json", "-count=1", "-p=1", *chosen, *self.arguments], side, self.fetch(), outcomes,
                  outcomes)
        result = {}
        with open(outcomes, encoding="utf-8") as file, open(log, "a", encoding="utf-8") as text:
            for line in file:
                if not line.startswith("{"):
                    text.write(line)
                    continue
                event = json.loads(line)
                text.write(event.get("Output", ""))
                outcome = {"pass": "passed", "fail": "failed", "skip": "skipped"}.get(event["Action"])
                if outcome and "Test" in event:
                    test = self.passing.sub("'directory'", event["Test"])
                    result[f"{event['Package']} {test}"] = outcome
        return result if not tests else {name: outcome for name, outcome in result.items() if name in tests}


def read(outcomes: pathlib.Path) -> dict[str, str]:
    """What a run wrote; nothing if it did not come to its end."""
    return json.loads(outcomes.read_text(encoding="utf-8")) if outcomes.exists() else {}


ALCHEMY = ("CREATE SCHEMA test_schema", "CREATE SCHEMA test_schema_2", "CREATE EXTENSION hstore",
           "CREATE EXTENSION citext")

SUITES = [
    Python("psycopg2", "psycopg2==2.9.10", ("tests",), statements=("CREATE EXTENSION hstore",), short=True,
           environment={"PSYCOPG2_TESTDB": "{database}", "PSYCOPG2_TESTDB_HOST": "127.0.0.1",
                        "PSYCOPG2_TESTDB_PORT": "{port}", "PSYCOPG2_TESTDB_USER": "postgres",
                        "PSYCOPG2_TEST_REPL_DSN": ""}),
    PythonTests("asyncpg", "asyncpg==0.30.0",
                ("tests", "--ignore=tests/test__environment.py", "--ignore=tests/test__sourcecode.py"),
                environment={"PGDATABASE": "{database}"}),
    Python("alembic", "alembic==1.20.1",
           ("tests", "--dburi=postgresql+psycopg2://postgres@127.0.0.1:{port}/{database}"),
           statements=("CREATE SCHEMA test_schema",), short=True),
    Python("sqlalchemy-psycopg2", "SQLAlchemy==2.1.9",
           ("test/dialect/postgresql", "test/dialect/test_suite.py",
            "--dburi=postgresql+psycopg2://postgres@127.0.0.1:{port}/{database}"), statements=ALCHEMY),
    Python("sqlalchemy-psycopg", "SQLAlchemy==2.1.9",
           ("test/dialect/postgresql", "test/dialect/test_suite.py",
            "--dburi=postgresql+psycopg://postgres@127.0.0.1:{port}/{database}"), statements=ALCHEMY),
    Python("sqlalchemy-asyncpg", "SQLAlchemy==2.1.9",
           ("test/dialect/postgresql", "test/dialect/test_suite.py",
            "--dburi=postgresql+asyncpg://postgres@127.0.0.1:{port}/{database}"), statements=ALCHEMY),
    Django("django", "Django==5.2.19",
           ("backends", "postgres_tests", "migrations", "schema", "introspection", "inspectdb", "queries",
            "transactions", "transaction_hooks", "constraints", "db_functions", "aggregation", "annotations",
            "bulk_create", "expressions", "indexes", "lookup", "model_fields", "select_for_update", "test_runner",
            "update", "delete", "get_or_create", "multiple_database")),
    Go("pgx", "github.com/jackc/pgx/v5@v5.12.0", ("./...",),
       statements=("CREATE EXTENSION hstore", "CREATE EXTENSION ltree", "CREATE DOMAIN uint64 AS numeric(20,0)",
                   """DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname LIKE ' tricky%') THEN
                      CREATE USER " tricky, ' } "" \\ test user " SUPERUSER; END IF; END $$"""),
       environment={"PGX_TEST_DATABASE": "host=127.0.0.1 port={port} user=postgres dbname={database}"}),
]
