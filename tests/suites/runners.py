"""How a suite is fetched and run, by the language it is written in.

Sources are what package registries have, fetched by the language's own client at a pinned version.
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
import xml.etree.ElementTree

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
                   *(self.choose(tests) if tests else ())]
        self.call(command, side, self.fetch(), log, outcomes)
        result = read(outcomes)
        return result if not tests else {name: outcome for name, outcome in result.items() if name in tests}

    @staticmethod
    def choose(tests) -> list[str]:
        """What pytest is to be told. SQLAlchemy's plugin makes up classes, which can be asked for by a part of their names only.

        All of a class is run: its tests build on what those before them left.
        """
        if not any("_postgresql+" in test for test in tests):
            return list(tests)
        names = [test.split("::") for test in tests]
        classes = {name[1].partition("_postgresql+")[0].partition("[")[0] for name in names}
        return [*sorted({name[0] for name in names}), "-k", " or ".join(sorted(classes))]


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
        return only(result, tests)


class Cargo(Suite):
    """Crates, which have their tests in them; `arguments` are their names and versions, and what of each is tested."""

    line = re.compile(r"^test (\S+)(?: - should panic)? \.\.\. (ok|FAILED|ignored)", re.MULTILINE)
    port = re.compile(r"\b5433\b")   # the server's, in every test

    def fetch(self, side) -> dict[str, str]:
        """Each crate, with this side's port and certificate in its tests; what is tested of it."""
        crates = {package: what for package, _, what in (argument.partition(" ") for argument in self.arguments)}
        target = BUILD / self.name
        (target / "fetch" / "src").mkdir(parents=True, exist_ok=True)
        (target / "fetch" / "src" / "lib.rs").touch()
        wanted = [f'{package.partition("@")[0]} = "={package.partition("@")[2]}"\n' for package in crates]
        (target / "fetch" / "Cargo.toml").write_text(
            '[package]\nname = "fetch"\nedition = "2021"\n[workspace]\n[dependencies]\n' + "".join(wanted))
        done = subprocess.run(["cargo", "metadata", "-q", "--format-version=1"], cwd=target / "fetch", check=True,
                              capture_output=True, text=True)
        directories = {f"{package['name']}@{package['version']}": pathlib.Path(package["manifest_path"]).parent
                       for package in json.loads(done.stdout)["packages"]}
        for crate in crates:
            directory = target / crate.partition("@")[0]
            shutil.rmtree(directory, ignore_errors=True)
            shutil.copytree(directories[crate], directory)
            for path in [*directory.glob("tests/**/*.rs"), *directory.glob("src/test.rs")]:
                path.write_text(self.port.sub(str(side.port), path.read_text(encoding="utf-8")), encoding="utf-8")
        (target / "test").mkdir(exist_ok=True)
        shutil.copy(side.certificate, target / "test" / "server.crt")
        return {crate.partition("@")[0]: what for crate, what in crates.items()}

    def run(self, side, log, outcomes, tests=None):
        result = {}
        for crate, what in self.fetch(side).items():
            outcomes.unlink(missing_ok=True)
            chosen = [test.partition(" ")[2] for test in tests or () if test.partition(" ")[0] == crate]
            if tests and not chosen:
                continue
            self.call(["cargo", "test", "-q", "--locked", "--all-features", "--no-fail-fast", what, "--",
                       "--format=pretty", *(["--exact", *chosen] if chosen else [])], side, BUILD / self.name / crate,
                      outcomes, outcomes)
            text = outcomes.read_text(encoding="utf-8")
            with open(log, "a", encoding="utf-8") as file:
                file.write(text)
            for test, outcome in self.line.findall(text):
                result[f"{crate} {test}"] = {"ok": "passed", "FAILED": "failed", "ignored": "skipped"}[outcome]
        return result

    def settings(self, side, outcomes):
        return super().settings(side, outcomes) | {"CARGO_TARGET_DIR": str(BUILD / self.name / "target")}


class Maven(Suite):
    """An archive of sources from Maven's repository, tested as its pom.xml says."""

    def fetch(self) -> pathlib.Path:
        target = BUILD / self.name
        if not target.exists():
            partial = BUILD / (self.name + ".new")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            subprocess.run(["mvn", "-q", "-B", "dependency:unpack", f"-Dartifact={self.source}",
                            f"-DoutputDirectory={partial / 'unpacked'}"], check=True, cwd=partial)
            next((partial / "unpacked").iterdir()).rename(target)
            shutil.rmtree(partial)
        return target

    def run(self, side, log, outcomes, tests=None):
        directory = self.fetch()
        reports = directory / "target" / "surefire-reports"
        shutil.rmtree(reports, ignore_errors=True)
        classes = sorted({test.partition(" ")[0].rpartition(".")[2] for test in tests or ()})
        chosen = [f"-Dtest={','.join(classes)}"] if classes else []
        self.call(["mvn", "-B", "-Dmaven.test.failure.ignore=true", *chosen,
                   *(self.fill(argument, side) for argument in self.arguments), "test"], side, directory, log, outcomes)
        result: dict[str, str] = {}
        for report in reports.glob("TEST-*.xml"):
            for case in xml.etree.ElementTree.parse(report).iter("testcase"):
                found = {"failure": "failed", "error": "failed", "skipped": "skipped"}
                outcome = next((found[child.tag] for child in case if child.tag in found), "passed")
                test = f"{case.get('classname')} {case.get('name')}"
                if result.get(test) != "failed":
                    result[test] = outcome
        return only(result, tests)


class Mocha(Suite):
    """Tests of an older release of a package (`source`), run with the code of the newest, which is the first argument.

    Both are in node/package.json.
    """

    def fetch(self) -> pathlib.Path:
        """The directory the packages are installed in."""
        target = BUILD / "node"
        if not target.exists():
            partial = BUILD / "node.new"
            shutil.copytree(HERE / "node", partial, dirs_exist_ok=True)
            subprocess.run(["npm", "ci", "--silent", "--no-audit", "--no-fund"], check=True, cwd=partial)
            partial.rename(target)
        return target / "node_modules"

    def run(self, side, log, outcomes, tests=None):
        directory = self.fetch()
        package, *options = self.arguments
        shutil.copytree(directory / self.source / "test", directory / package / "test", dirs_exist_ok=True)
        self.call(["npx", "mocha", "--exit", "--reporter", HERE / "node" / "outcomes.js", *options], side,
                  directory / package, log, outcomes)
        result = read(outcomes)
        return only(result, tests)


def only(result: dict[str, str], tests) -> dict[str, str]:
    """What was asked for, where the runner can only run more."""
    return result if not tests else {name: outcome for name, outcome in result.items() if name in tests}


def read(outcomes: pathlib.Path) -> dict[str, str]:
    """What a run wrote; nothing if it did not come to its end."""
    return json.loads(outcomes.read_text(encoding="utf-8")) if outcomes.exists() else {}
