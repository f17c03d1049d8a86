"""Subscribers to the same rows: one reads for all of a thread, and each still gets every change once."""

import os
import random
import socket
import threading
import time
from collections import Counter

import psycopg
import pytest

from server.wire import Wire, query

READERS = len(os.sched_getaffinity(0))


@pytest.fixture
def t(place):
    place.run("CREATE TABLE t (k int, v text)", "INSERT INTO t SELECT g, 'old' FROM generate_series(1, 50) g",
              "CREATE MATERIALIZED VIEW m AS SELECT k, v FROM t")
    return place


class Subscriber:
    """A client that adds up what it gets, until it has got key -2; in a thread of its own."""

    def __init__(self, place, target="m", form="copy", until=None, pause=0.0, options=None, **fields):
        self.place, self.target, self.form, self.until, self.pause = place, target, form, until, pause
        self.rows = Counter()
        self.latest = 0
        self.failure = None
        self.name = f"{place.schema}_{id(self)}"
        self.connection = place.server.psycopg(options=options or place.options, application_name=self.name,
                                               **fields)
        place.opened.append(self.connection)
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def changes(self):
        cursor = self.connection.cursor()
        if self.form == "stream":
            for row in cursor.stream(f"SUBSCRIBE {self.target}"):
                yield int(row[0]), int(row[1]), tuple(map(str, row[2:]))
            return
        options = {"copy": "", "binary": "WITH (FORMAT binary)", "csv": "WITH (FORMAT csv, HEADER)"}[self.form]
        with cursor.copy(f"COPY (SUBSCRIBE {self.target}) TO STDOUT {options}") as copy:
            if self.form == "csv":
                text = b""
                for block in copy:
                    text += bytes(block)
                    *lines, text = text.split(b"\n")
                    for line in lines:
                        if not line.startswith(b"mz_timestamp"):
                            at, count, *rest = line.decode().split(",")
                            yield int(at), int(count), tuple(rest)
                return
            if self.form == "binary":
                copy.set_types(["numeric", "int8", "int4", "text"])
            for at, count, *rest in copy.rows():
                yield int(at), int(count), tuple(map(str, rest))

    def run(self):
        try:
            for number, (at, count, row) in enumerate(self.changes()):
                assert at >= self.latest, "time went back"
                self.latest = at
                if row[0] == "-2" or number == self.until:
                    break
                self.rows[row] += count
                if self.pause:
                    time.sleep(self.pause)
        except Exception as failure:
            self.failure = failure
        self.connection.close()

    def wait_for(self, row, seconds=20):
        deadline = time.monotonic() + seconds
        while self.rows[row] == 0:
            assert self.failure is None and time.monotonic() < deadline, (self.form, self.failure, self.rows)
            time.sleep(0.01)

    def join(self):
        self.thread.join(60)
        assert not self.thread.is_alive()
        return +self.rows


def reading(place, subscribers):
    """The subscribers whose own backends wait for changes."""
    names = [subscriber.name for subscriber in subscribers]
    active = place.value("SELECT array_agg(application_name::text) FROM pg_stat_activity WHERE state = 'active'"
                         " AND query LIKE 'CALL freshet.wait%%' AND application_name = ANY (%s)", names) or []
    return [subscriber for subscriber in subscribers if subscriber.name in active]


def terminate(place, subscriber):
    """End its backend."""
    place.value("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = %s",
                subscriber.name)


def settle(place, subscribers, table="t", key=1000):
    """Make changes until all but one reader a thread listen."""
    for _ in range(100):
        key += 1
        place.run(f"INSERT INTO {table} VALUES ({key}, 'settling')")
        for subscriber in subscribers:
            subscriber.wait_for((str(key), "settling"))
        time.sleep(0.02)
        if 1 <= len(reading(place, subscribers)) <= READERS:
            return
    pytest.fail(f"{len(reading(place, subscribers))} of {len(subscribers)} read")


def finish(place, subscribers, table="t"):
    """All have what there is. What tells them to end comes after that, and so with a later cut."""
    place.run(f"INSERT INTO {table} VALUES (-1, 'end')")
    for subscriber in subscribers:
        subscriber.wait_for(("-1", "end"))
    there = Counter(tuple(map(str, row)) for row in place.psycopg("postgres").execute(f"SELECT * FROM {table}"))
    place.run(f"INSERT INTO {table} VALUES (-2, 'over')")
    for subscriber in subscribers:
        assert subscriber.join() == there, (subscriber.form, subscriber.failure)


@pytest.mark.parametrize("form", ["copy", "stream", "binary", "csv"])
def test_one_reads_for_all(t, form):
    subscribers = [Subscriber(t, form=form) for _ in range(3 * READERS)]
    settle(t, subscribers)
    for key in range(100):
        t.run(f"UPDATE t SET v = 'new {key}' WHERE k % 10 = {key % 10}")
    # they still listen, and hold no snapshot; but for the moments in which their backends are told how far they are
    names = ", ".join(f"'{subscriber.name}'" for subscriber in subscribers)
    t.wait_for(f"SELECT count(*) FILTER (WHERE query LIKE 'CALL freshet.wait%%' AND state = 'active') <= {READERS} AND"
               f" count(backend_xmin) = 0 FROM pg_stat_activity WHERE application_name IN ({names})", True)
    finish(t, subscribers)


def end(place, subscriber, ending):
    if ending == "cancel":
        subscriber.connection.cancel()
    elif ending == "close":
        socket.socket(fileno=os.dup(subscriber.connection.fileno())).shutdown(socket.SHUT_RDWR)
    else:
        terminate(place, subscriber)


def test_readers_vanish(t):
    """The reader's client goes, its backend is ended, it cancels: others take over, and nothing is lost or told twice."""
    forms = ("copy", "stream")
    subscribers = [Subscriber(t, form=form) for form in forms for _ in range(READERS + 3)]
    stopping = threading.Event()
    chance = random.Random(7)
    readers = 0

    def write(seed):
        dice = random.Random(seed)
        connection = t.psycopg("postgres", door="postgres")
        while not stopping.is_set():
            key = dice.randint(1, 100)
            connection.execute(dice.choice(["UPDATE t SET v = v || 'x' WHERE k = %s AND length(v) < 30",
                                            "UPDATE t SET v = 'new' WHERE k = %s", "DELETE FROM t WHERE k = %s",
                                            "INSERT INTO t VALUES (%s, 'more')"]), (key,))
            time.sleep(0.002)

    writers = [threading.Thread(target=write, args=(seed,)) for seed in range(2)]
    for writer in writers:
        writer.start()
    try:
        for _ in range(40):
            time.sleep(chance.random() / 20)
            reads = reading(t, subscribers)
            victim = chance.choice(reads if reads and chance.random() < 0.8 else subscribers)
            readers += victim in reads
            subscribers.remove(victim)
            end(t, victim, chance.choice(["cancel", "close", "terminate"]))
            victim.thread.join(20)
            assert not victim.thread.is_alive()
            subscribers.append(Subscriber(t, form=victim.form))
    finally:
        stopping.set()
        for writer in writers:
            writer.join()
    assert readers > 5
    finish(t, subscribers)


@pytest.mark.parametrize("ending", ["cancel", "close", "terminate"])
def test_reader_ends_and_others_go_on(t, ending):
    subscribers = [Subscriber(t) for _ in range(2 * READERS + 1)]
    settle(t, subscribers)
    for reader in reading(t, subscribers):
        end(t, reader, ending)
        if ending == "cancel":
            reader.thread.join(20)
            assert isinstance(reader.failure, psycopg.errors.QueryCanceled)
        subscribers.remove(reader)
    t.run("UPDATE t SET v = 'after' WHERE k = 1")
    for subscriber in subscribers:
        subscriber.wait_for(("1", "after"))
    # the others, who only listen now
    settle(t, subscribers, key=2000)
    while len(subscribers) > READERS:
        listener = next(subscriber for subscriber in subscribers if subscriber not in reading(t, subscribers))
        listener.connection.cancel()
        listener.thread.join(20)
        assert isinstance(listener.failure, psycopg.errors.QueryCanceled)
        subscribers.remove(listener)
    finish(t, subscribers)


def test_large_change(t):
    """More than is kept for others: each reads it by itself, and they share again."""
    subscribers = [Subscriber(t, form=form) for form in ("copy", "stream") for _ in range(READERS + 2)]
    settle(t, [s for s in subscribers if s.form == "copy"])
    settle(t, [s for s in subscribers if s.form == "stream"], key=2000)
    t.run("INSERT INTO t SELECT g, repeat('x', 1000) FROM generate_series(100, 900) g",
          "UPDATE t SET v = 'short' WHERE k BETWEEN 200 AND 800", "INSERT INTO t VALUES (999, repeat('y', 300000))")
    settle(t, [s for s in subscribers if s.form == "copy"], key=3000)
    finish(t, subscribers)


def test_slow_client_holds_up_nobody(t):
    subscribers = [Subscriber(t) for _ in range(READERS + 2)]
    settle(t, subscribers)
    slow = [Subscriber(t, pause=0.01) for _ in range(READERS + 1)]
    for key in range(40):
        t.run(f"INSERT INTO t SELECT {5000 + key}, repeat('z', 2000) || g FROM generate_series(1, 50) g")
    t.run("INSERT INTO t VALUES (6000, 'seen')")
    for subscriber in subscribers:
        subscriber.wait_for(("6000", "seen"), 10)
    assert any(subscriber.rows[("6000", "seen")] == 0 for subscriber in slow)
    for subscriber in slow:
        subscriber.pause = 0
    finish(t, subscribers + slow)


def test_not_shared_with_others_settings(t):
    t.run("CREATE TABLE d (k int, v timestamptz)")
    zones = ["UTC", "Asia/Tokyo"]
    subscribers = {zone: [] for zone in zones}
    for zone in zones * (READERS + 1):
        options = f"'-csearch_path={t.schema} -cTimeZone={zone}'"
        subscribers[zone].append(Subscriber(t, "d", options=options))
    for key in range(30):
        t.run(f"INSERT INTO d VALUES ({key}, '2026-01-01 00:00:00+00')")
        for zone, there in (("UTC", "2026-01-01 00:00:00+00"), ("Asia/Tokyo", "2026-01-01 09:00:00+09")):
            for subscriber in subscribers[zone]:
                subscriber.wait_for((str(key), there))
    t.run("INSERT INTO d VALUES (-2, NULL)")
    for subscriber in subscribers["UTC"] + subscribers["Asia/Tokyo"]:
        subscriber.join()


def test_rights_are_taken_from_all(t):
    t.run("DROP ROLE IF EXISTS shared_reader", "CREATE ROLE shared_reader LOGIN PASSWORD 'secret'",
          f"GRANT USAGE ON SCHEMA {t.schema} TO shared_reader", "GRANT SELECT ON m TO shared_reader")
    try:
        subscribers = [Subscriber(t, user="shared_reader", password="secret") for _ in range(READERS + 2)]
        settle(t, subscribers)
        t.run("REVOKE SELECT ON m FROM shared_reader", "INSERT INTO t VALUES (7000, 'secret')")
        for subscriber in subscribers:
            subscriber.thread.join(20)
            assert isinstance(subscriber.failure, psycopg.errors.InsufficientPrivilege), subscriber.failure
            assert ("7000", "secret") not in subscriber.rows
    finally:
        t.run("DROP OWNED BY shared_reader", "DROP ROLE shared_reader")


def test_definition_changes_for_all(t):
    subscribers = [Subscriber(t, target="t") for _ in range(READERS + 2)]
    settle(t, subscribers)
    t.run("VACUUM FULL t", "UPDATE t SET v = 'after' WHERE k = 1")
    for subscriber in subscribers:
        subscriber.wait_for(("1", "after"))
    t.run("TRUNCATE t", "INSERT INTO t VALUES (1, 'anew')")
    for subscriber in subscribers:
        subscriber.thread.join(20)
        assert isinstance(subscriber.failure, psycopg.errors.ObjectNotInPrerequisiteState), subscriber.failure


def slow_subscriber(t):
    """One that has asked and does not read."""
    wire = Wire(t.server.ports["materialize"])
    wire.log_in(options=f"-csearch_path={t.schema}")
    wire.send(query("SUBSCRIBE m"))
    return wire


def test_one_that_does_not_read_stops_nobody(t):
    slow = [slow_subscriber(t) for _ in range(READERS)]
    time.sleep(0.5)
    fast = [Subscriber(t) for _ in range(READERS)]
    for i in range(10):
        t.run(f"UPDATE t SET v = repeat('{i}', 20000)")
    t.run("INSERT INTO t SELECT g, repeat('x', 100) FROM generate_series(1000, 20000) g", "INSERT INTO t VALUES (-2, 'end')")
    for subscriber in fast:
        subscriber.thread.join(30)
        assert not subscriber.thread.is_alive() and subscriber.failure is None
    for wire in slow:
        wire.socket.close()


def test_a_change_while_a_snapshot_is_under_way(t):
    """It comes behind the snapshot, not with the next change."""
    t.run("INSERT INTO t SELECT g, repeat('x', 200) FROM generate_series(100, 30000) g")
    early = [Subscriber(t) for _ in range(2 * READERS)]
    late = [slow_subscriber(t) for _ in range(2 * READERS)]
    time.sleep(1)
    t.run("INSERT INTO t VALUES (-2, 'end')")
    for subscriber in early:
        subscriber.thread.join(30)
        assert not subscriber.thread.is_alive() and subscriber.failure is None
    for wire in late:
        with wire:
            tail = b""
            while not tail.endswith(b"-2\0\0\0\3end"):
                tail = tail[-16:] + wire.socket.recv(1 << 20)
