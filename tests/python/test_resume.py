"""What ends a subscription, and how it goes on: killed connections under load, TRUNCATE, errors; server-sent events."""


import asyncio
import json
import random
import threading
import time
from collections import Counter

import psycopg
import pytest
from harness import system
from sqlalchemy.ext.asyncio import create_async_engine

import freshet

from .conftest import new_database
from .test_subscribe import orders  # noqa: F401


def test_errors(orders, plain_postgres):
    with new_database("postgresql", plain_postgres.port) as plain:
        for ask in (lambda: next(freshet.subscribe(plain.dsn, "t").batches()), lambda: freshet.fresh(plain.dsn),
                    lambda: freshet.views(plain.dsn), lambda: freshet.verify(plain.dsn, "t")):
            with pytest.raises(freshet.NotFreshet, match="PostgreSQL without Freshet"):
                ask()
    with pytest.raises(psycopg.errors.UndefinedTable):
        next(freshet.subscribe(orders.dsn, "nothing").batches())
    with pytest.raises(psycopg.OperationalError):
        next(freshet.subscribe(orders.dsn + "_nowhere", "totals").batches())
    for wrong, error in (({"heartbeat": 0}, ValueError), ({"up_to": __import__("datetime").datetime(2000, 1, 1)}, ValueError)):
        with pytest.raises(error):
            freshet.subscribe(orders.dsn, "totals", **wrong)
    with orders.connect() as conn, pytest.raises(ValueError, match="to resume needs"):
        freshet.subscribe(conn, "totals", resume=True)
    with pytest.raises(TypeError):
        freshet.subscribe(orders.dsn, 1)
    # a role without rights on the view
    orders.execute("CREATE ROLE nobody_much LOGIN PASSWORD 'x'")
    try:
        dsn = orders.dsn.replace("postgres@", "nobody_much:x@")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            next(freshet.subscribe(dsn, "totals").batches())
    finally:
        orders.execute("DROP ROLE nobody_much")


def test_truncated_and_altered(orders):
    """What ends a subscription of the server's is a difference here, unless the columns are others."""
    orders.execute("INSERT INTO orders VALUES (1, 'tea', 1.0)")
    with freshet.subscribe(orders.dsn, "orders") as subscription:
        batches = subscription.batches()
        next(batches)
        orders.execute("TRUNCATE orders")
        assert [(change.diff, change.row.item) for change in next(batches).changes] == [(-1, "tea")]
        orders.execute("INSERT INTO orders VALUES (2, 'pie', 1.0)")
        assert [(change.diff, change.row.item) for change in next(batches).changes] == [(1, "pie")]
        orders.execute("ALTER TABLE orders ALTER id TYPE text")
        with pytest.raises(freshet.SubscriptionError, match="had the columns"):
            next(batches)


class Load(threading.Thread):
    """Transactions of all kinds until it is stopped."""

    def __init__(self, database, seed):
        super().__init__(daemon=True)
        self.database, self.random, self.stopped = database, random.Random(seed), threading.Event()

    def run(self):
        with self.database.connect() as conn:
            number = 0
            while not self.stopped.is_set():
                number += 1
                with conn.transaction():
                    for _ in range(self.random.randrange(1, 4)):
                        amount = self.random.choice(["1.0", "1.00", "2", "NaN", "0"])
                        item = f"item {self.random.randrange(8)}"
                        conn.execute("INSERT INTO orders VALUES (%s, %s, %s) ON CONFLICT (id) DO UPDATE SET amount = excluded.amount",
                                     (self.random.randrange(200), item, amount))
                    if number % 5 == 0:
                        conn.execute("DELETE FROM orders WHERE id %% 7 = %s", (self.random.randrange(7),))
                time.sleep(0.005)

    def stop(self):
        self.stopped.set()
        self.join()


def fold(state, batch):
    for change in batch.changes:
        key = tuple(map(str, change.row))
        state[key] += change.diff
        assert state[key] >= 0, key
        if not state[key]:
            del state[key]


def content(conn, what):
    return Counter(tuple(map(str, row)) for row in conn.execute(f"SELECT * FROM {what}"))


@pytest.mark.timeout(180)
@pytest.mark.parametrize("kind", ["string", "asyncpg"])
def test_killed_a_hundred_times(orders, kind):
    """Connections die under load; the folded changes are the view in the end, to the scale of its numerics."""
    state, kills = Counter(), 50        # for each of the two kinds
    load = Load(orders, 17)
    load.start()
    admin = orders.connect()

    def kill():
        return admin.execute("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                             " WHERE query ~ 'freshet[.](wait|changes|subscribe)' AND pid <> pg_backend_pid()").fetchone()[0]

    done, killed, batches = threading.Event(), 0, 0

    def step(batch):
        nonlocal killed, batches
        fold(state, batch)
        batches += 1
        if killed < kills and batches % 2 == 0:
            killed += kill() > 0
            if killed == kills:
                load.stop()
        if killed == kills and state == content(admin, "totals"):
            done.set()
        return done.is_set()

    if kind == "string":
        with freshet.subscribe(orders.dsn, "totals", heartbeat=0.2) as subscription:
            for batch in subscription.batches():
                if step(batch):
                    break
    else:
        async def follow():
            engine = create_async_engine(orders.url("asyncpg"))
            async with freshet.subscribe(engine, "totals", heartbeat=0.2) as subscription:
                async for batch in subscription.batches():
                    if step(batch):
                        break
            await engine.dispose()

        asyncio.run(follow())
    assert killed == kills and state == content(admin, "totals")
    assert admin.execute("SELECT freshet.verify('totals')").fetchone() == (0,)
    admin.close()


def test_folded_at_each_time(orders):
    """Every state between two batches is one the table has had: the writer keeps two totals equal in each commit."""
    orders.execute("CREATE MATERIALIZED VIEW sums AS SELECT id % 2 AS side, sum(amount) AS amount FROM orders GROUP BY 1")
    orders.execute("INSERT INTO orders VALUES (0, 'a', 0), (1, 'a', 0)")

    def write():
        with orders.connect() as conn:
            for _ in range(100):
                conn.execute("UPDATE orders SET amount = amount + 1")

    writer = threading.Thread(target=write)
    state, times = {}, []
    with freshet.subscribe(orders.dsn, "sums") as subscription:
        for batch in subscription.batches():
            times.append(batch.time)
            for change in batch.changes:
                if change.diff < 0:
                    assert state.pop(change.row.side) == change.row.amount
                else:
                    assert change.row.side not in state
                    state[change.row.side] = change.row.amount
            assert state[0] == state[1]
            if batch.snapshot:
                writer.start()
            if state[0] == 100:
                break
    writer.join()
    assert times == sorted(set(times)) and len(times) > 2


def test_server_sent_events(orders):
    from freshet.starlette import events
    from starlette.applications import Starlette
    from starlette.routing import Route

    orders.execute("INSERT INTO orders VALUES (1, 'tea', 1.50)")
    engine = create_async_engine(orders.url("asyncpg"))
    app = Starlette(routes=[Route("/totals", lambda request: events(engine, "totals", heartbeat=0.2))])

    async def main():
        sent, gone = [], asyncio.Event()

        async def receive():
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            sent.append(message)
            body = b"".join(message.get("body", b"") for message in sent).decode()
            if body.count("\n\n") == 1 and "pie" not in body:
                orders.execute("INSERT INTO orders VALUES (2, 'pie', 2)")
            if "pie" in body and ": nothing new" in body:
                gone.set()

        scope = {"type": "http", "method": "GET", "path": "/totals", "headers": [], "query_string": b"",
                 "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "root_path": ""}
        await asyncio.wait_for(app(scope, receive, send), system.patience(30))
        await engine.dispose()
        return sent

    sent = asyncio.run(main())
    assert dict(sent[0]["headers"])[b"content-type"].startswith(b"text/event-stream")
    events_ = [block.split("\n") for block in b"".join(m.get("body", b"") for m in sent).decode().split("\n\n")]
    named = [(block[0], json.loads(block[2].removeprefix("data: "))) for block in events_ if block[0].startswith("event")]
    assert named == [("event: snapshot", [[1, {"item": "tea", "count": 1, "amount": "1.50"}]]),
                     ("event: changes", [[1, {"item": "pie", "count": 1, "amount": "2"}]])]
    system.wait_until(lambda: orders.value("SELECT count(*) FROM pg_stat_activity WHERE query ~ 'freshet.wait'"
                                           " AND pid <> pg_backend_pid() AND state = 'active'") == 0, 20)
