"""A sample of PostgreSQL's regression suite as views: CORPUS_SHARE of its SELECTs, CORPUS_SCRIPTS of its scripts.

It needs PostgreSQL's source, which tools/checked-postgres fetches, and is left out where that is not there. All of it,
CORPUS_SHARE=1 CORPUS_SCRIPTS= CORPUS_SECONDS=3600, is for the night.
"""

import os
import pathlib
import shutil
import time

import pytest
from harness import system
from harness.paths import ROOT
from harness.postgres import Postgres

from .corpus import Corpus

REGRESS = ROOT / "build" / "postgresql" / "src" / "test" / "regress"
SECONDS = float(os.environ.get("CORPUS_SECONDS", "120"))
SHARE = float(os.environ.get("CORPUS_SHARE", "0.1"))
SEED = int(os.environ.get("CORPUS_SEED", "1"))
SCRIPTS = os.environ.get("CORPUS_SCRIPTS", "join subselect aggregates groupingsets union window rangefuncs with inherit").split()
# What the suite's own runner sets.
SETTINGS = {"timezone": "'PST8PDT'", "datestyle": "'Postgres, MDY'", "intervalstyle": "'postgres_verbose'",
            "max_parallel_workers_per_gather": "0", "jit": "off"}


@pytest.fixture
def regress():
    """The suite's folder, where the server can read it."""
    if not REGRESS.is_dir():
        pytest.skip("PostgreSQL's source is not there: tools/checked-postgres fetches it")
    directory = system.temp_dir("corpus")
    yield pathlib.Path(shutil.copytree(REGRESS, directory / "regress"))
    system.remove(directory)


@pytest.mark.timeout(SECONDS + 300)
def test_corpus(regress):
    cluster = Postgres(SETTINGS).start()
    try:
        with cluster.psycopg() as admin:
            admin.execute("CREATE DATABASE regression TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
        with cluster.psycopg("regression") as admin:
            admin.execute("CREATE EXTENSION freshet")
        corpus = Corpus(lambda: cluster.psycopg("regression", prepare_threshold=None), regress, SHARE, SEED)
        corpus.run(time.monotonic() + system.patience(SECONDS), set(SCRIPTS) or None)
        print(corpus.statistics)
        assert not corpus.wrong, "\n".join(map(str, corpus.wrong))
        assert corpus.statistics.checks > 50
    finally:
        cluster.stop()
        cluster.remove()
