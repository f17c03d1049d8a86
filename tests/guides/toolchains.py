"""Programs in other languages, built with the pinned clients of drivers/<language>/.

A language whose tools are absent is skipped, except in continuous integration, where make deps has put them.
What is built is kept in build/drivers, so that a second run is quick.
"""

import functools
import os
import pathlib
import shutil
import subprocess

import pytest
from harness.paths import ROOT

PROJECTS = pathlib.Path(__file__).parent / "drivers"


def need(*tools: str) -> None:
    absent = [tool for tool in tools if not shutil.which(tool)]
    if absent:
        reason = f"{', '.join(absent)} not found; make deps installs what is missing"
        assert not os.environ.get("CI"), reason
        pytest.skip(reason)


def prepare(language: str) -> pathlib.Path:
    """The language's directory in build/drivers, with the project's files in it."""
    directory = ROOT / "build" / "drivers" / language
    shutil.copytree(PROJECTS / language, directory, dirs_exist_ok=True)
    return directory


def call(directory: pathlib.Path, *command: str) -> None:
    done = subprocess.run(command, cwd=directory, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=280)
    assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"


@functools.cache
def java_libraries() -> pathlib.Path:
    """The directory with what pom.xml names in lib."""
    need("java", "mvn")
    directory = prepare("java")
    call(directory, "mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib")
    return directory


def java_class(name: str) -> list[str]:
    """A class of one file."""
    directory = java_libraries()
    return ["java", "-cp", f"{directory}/lib/*", str(directory / f"{name}.java")]


def java(code: str) -> list[str]:
    command = java_class("Main")
    pathlib.Path(command[-1]).write_text(code)
    return command


def js(code: str) -> list[str]:
    need("node", "npm")
    directory = prepare("node")
    call(directory, "npm", "ci", "--no-audit", "--no-fund")
    (directory / "main.mjs").write_text(code)
    return ["node", str(directory / "main.mjs")]


def go(code: str) -> list[str]:
    need("go")
    directory = prepare("go")
    (directory / "main.go").write_text(code)
    call(directory, "go", "build", "-o", "main", ".")
    return [str(directory / "main")]


def rust(code: str) -> list[str]:
    need("cargo")
    directory = prepare("rust")
    (directory / "src").mkdir(exist_ok=True)
    (directory / "src" / "main.rs").write_text(code)
    call(directory, "cargo", "build", "--quiet", "--locked")
    return [str(directory / "target" / "debug" / "example")]
