"""The machine itself dies: what of the WAL was not flushed is lost, views go on from what is left."""

import os
import random
import signal
import time

import psycopg
import pytest
from harness import system

from . import load
from .test_kill import goes_on

pytestmark = pytest.mark.timeout(240)

SEGMENT = 16 << 20


def halt(pg, witness: psycopg.Connection) -> tuple[int, int]:
    """Hold every process of PostgreSQL still but the witness's backend; how far the WAL is flushed, and how far there is any."""
    witness.execute("SET statement_timeout = '2s'")
    kept = witness.info.backend_pid
    while True:
        others = [pid for pid in [pg.pid, *system.descendants(pg.pid)] if pid != kept]
        for pid in others:
            os.kill(pid, signal.SIGSTOP)
        try:
            return tuple(map(int, witness.execute("SELECT pg_current_wal_flush_lsn() - '0/0'::pg_lsn, "
                                                  "pg_current_wal_insert_lsn() - '0/0'::pg_lsn").fetchone()))
        except psycopg.errors.QueryCanceled:  # somebody was stopped with a lock in hand
            for pid in others:
                os.kill(pid, signal.SIGCONT)


def forget_unflushed(pg, flushed: int) -> None:
    """What the disk never got is gone: nothing but zeros behind that position."""
    for file in (pg.data / "pg_wal").glob("0" * 7 + "?" * 17):
        log, part = (int(file.name[at:at + 8], 16) for at in (8, 16))
        kept = flushed - ((log << 32) // SEGMENT + part) * SEGMENT
        if kept < SEGMENT:
            with open(file, "r+b") as segment:
                segment.seek(max(kept, 0))
                segment.write(bytes(SEGMENT - segment.tell()))


def test_machine_crashes(pg):
    """Writers do not wait for the disk, a reader has the worker take cut after cut without waiting for it either."""
    options = "-c synchronous_commit=off"
    connection = pg.psycopg()
    files = load.prepare(connection)
    forgotten = round_ = 0
    while round_ < 4 or not forgotten:
        round_ += 1
        written = load.Load(lambda: pg.psycopg(options=options)).start(1 + round_ * 10_000_000)
        until = time.monotonic() + random.uniform(0.3, 1.0)
        while time.monotonic() < until:
            connection.execute("SELECT count(*) FROM grouped")
        flushed, end = halt(pg, connection)
        pg.kill()
        written.join()
        forget_unflushed(pg, flushed)
        forgotten += end - flushed
        pg.start()
        connection = pg.psycopg()
        # nothing was promised to writers that did not wait
        goes_on(connection, files, load.Load(pg.psycopg))
