"""Following views: by every driver, killed connections, folded changes against the view, errors, SSE."""

import asyncio
import threading
import time
from contextlib import closing

import asyncpg
import psycopg
import psycopg2
import pytest
import sqlalchemy as sa
from harness import system
from sqlalchemy import create_engine, select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

import freshet

from .models import HOSTILE, Color, shop

SCHEMA = """
CREATE TABLE orders (id bigint PRIMARY KEY, item text, amount numeric);
CREATE MATERIALIZED VIEW totals AS SELECT item, count(*) AS count, sum(amount) AS amount FROM orders GROUP BY item;
"""


@pytest.fixture
def orders(fresh_database):
    fresh_database.execute(SCHEMA)
    return fresh_database


def first_two(batches, write):
    """The snapshot, and what a write gives."""
    snapshot = next(batches)
    write()
    return snapshot, next(batches)


@pytest.mark.parametrize("kind", ["psycopg2", "psycopg", "engine psycopg2", "engine psycopg", "string"])
def test_sources(orders, kind):
    def write():
        orders.execute("UPDATE orders SET amount = amount + 1")

    orders.execute("INSERT INTO orders VALUES (1, 'tea', 1.0)")
    source = (orders.dsn if kind == "string" else create_engine(orders.url(kind.split()[1])) if "engine" in kind
              else {"psycopg2": psycopg2, "psycopg": psycopg}[kind].connect(orders.dsn))
    if not isinstance(source, str) and "engine" not in kind:
        source.autocommit = True
    with freshet.subscribe(source, "totals") as subscription:
        snapshot, change = first_two(subscription.batches(), write)
        assert snapshot.snapshot and [(c.diff, c.row.item, c.row.count, str(c.row["amount"])) for c in snapshot.changes] == [
            (1, "tea", 1, "1.0")]
        assert [(c.diff, tuple(map(str, c.row))) for c in change.changes] == [
            (-1, ("tea", "1", "1.0")), (1, ("tea", "1", "2.0"))]
        assert {c.time for c in change.changes} == {change.time} and change.time > snapshot.time
        assert abs(change.changes[0].at.timestamp() - time.time()) < 60
    if hasattr(source, "cursor"):       # a connection of the caller's goes on
        source.cursor().execute("SELECT 1")
        source.close()


@pytest.mark.parametrize("kind", ["asyncpg", "psycopg", "engine asyncpg", "engine psycopg", "string"])
def test_asynchronous_sources(orders, kind):
    async def main():
        orders.execute("INSERT INTO orders VALUES (1, 'tea', 1.0)")
        engine = create_async_engine(orders.url(kind.split()[-1])) if "engine" in kind else None
        source = (engine or (orders.dsn if kind == "string" else await asyncpg.connect(orders.dsn) if kind == "asyncpg"
                             else await psycopg.AsyncConnection.connect(orders.dsn, autocommit=True)))
        async with freshet.asubscribe(source, "totals") as subscription:
            found = []
            async for change in subscription:
                found.append((change.diff, *map(str, change.row)))
                if len(found) == 1:
                    orders.execute("UPDATE orders SET amount = amount + 1")
                if len(found) == 3:
                    break
            assert found == [(1, "tea", "1", "1.0"), (-1, "tea", "1", "1.0"), (1, "tea", "1", "2.0")]
        if kind == "asyncpg":
            assert await source.fetchval("SELECT 1") == 1
        # cancelling the task ends the subscription and its connection
        waiting = freshet.asubscribe(engine or orders.dsn, "totals")
        began = asyncio.Event()

        async def follow():
            async for _ in waiting.batches():
                began.set()

        task = asyncio.create_task(follow())
        await asyncio.wait_for(began.wait(), system.patience(30))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        if engine:
            await engine.dispose()
        elif kind != "string":
            await source.close()

    asyncio.run(main())
    system.wait_until(lambda: orders.value("SELECT count(*) FROM pg_stat_activity WHERE query ~ 'freshet.wait'"
                                           " AND pid <> pg_backend_pid() AND state = 'active'") == 0, 20)


@pytest.mark.parametrize("driver", ["psycopg2", "psycopg"])
def test_mapped(fresh_database, driver):
    space = shop()
    engine = create_engine(fresh_database.url(driver))
    space.Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all([space.User(id=1, name="ann"), space.Order(id=1, user_id=1, total=2)])
        session.commit()
        with space.Stats.changes(session) as changes:
            change = next(iter(changes))
            ann = change.row
            assert (change.diff, type(ann), ann.name, ann.color, ann.spent) == (1, space.Stats, "ann", Color.red, 2)
            assert sa.inspect(ann).detached and sa.inspect(ann).identity == (1,)
            assert session.merge(ann, load=False).orders == 1
    query = select(space.Stats.name.label("n%"), sa.literal("50% of 'a\\b':x").label("what")).where(
        space.Stats.color == Color.red)
    for what, row in ((query, ("ann", "50% of 'a\\b':x")), (space.Active, (1, "ann")),
                      (space.Order.__table__, (1, 1, 2))):
        with freshet.subscribe(engine, what) as subscription:
            assert next(iter(subscription)).row == row
    assert freshet.verify(engine, space.Stats) == freshet.verify(fresh_database.dsn, "stats") == 0
    assert "strategy" in freshet.explain(engine, space.Stats)
    assert {view.view: view.maintained for view in freshet.views(engine)} == {"stats": True, "a_best": True}
    freshet.fresh(engine)
    engine.dispose()

    async def asynchronously():
        engine = create_async_engine(fresh_database.url("asyncpg"))
        async with AsyncSession(engine) as session, space.Stats.changes(session) as changes:
            async for change in changes:
                assert (change.row.color, change.row.spent) == (Color.red, 2)
                break
        await freshet.fresh(engine)
        assert await freshet.verify(engine, space.Stats) == 0 and len(await freshet.views(engine)) == 2
        await engine.dispose()

    asyncio.run(asynchronously())


def test_hostile_names(fresh_database):
    engine = create_engine(fresh_database.url("psycopg2"))
    metadata = sa.MetaData()
    for name in HOSTILE:
        sa.Table(name, metadata, sa.Column(name, sa.String), sa.Column("mz_diff", sa.Integer), sa.Column("c", sa.Integer))
    metadata.create_all(engine)
    for table in metadata.tables.values():
        with engine.begin() as connection:
            connection.execute(table.insert().values(**{table.name: table.name, "mz_diff": 7, "c": 3}))
        for source in (engine, fresh_database.dsn):
            with freshet.subscribe(source, table) as subscription:
                row = next(iter(subscription)).row
                assert (row[table.name], row.mz_diff_1, row.c) == (table.name, 7, 3)     # as the server calls it
    # what is no name or query does nothing else
    for what in ("orders; DROP TABLE x", "(SELECT 1); DROP TABLE x", "orders') --", ""):
        with pytest.raises(psycopg.Error):
            next(freshet.subscribe(fresh_database.dsn, what).batches())
    engine.dispose()


def test_records(orders):
    orders.execute("INSERT INTO orders VALUES (1, 'tea', 1), (2, 'cake', 2)")
    with freshet.subscribe(orders.dsn, "totals", snapshot=False) as subscription:
        def write():
            with closing(orders.connect()) as conn, conn.transaction():
                conn.execute("UPDATE orders SET amount = 5 WHERE id = 1")
                conn.execute("DELETE FROM orders WHERE id = 2")
                conn.execute("INSERT INTO orders VALUES (3, 'pie', 1)")

        timer = threading.Timer(1, write)
        timer.start()
        updates = subscription.updates("item")
        found = {update.key[0]: (update.before and update.before.amount, update.after and update.after.amount)
                 for update in (next(updates), next(updates), next(updates))}
        assert found == {"tea": (1, 5), "cake": (2, None), "pie": (None, 1)}
    with freshet.subscribe(orders.dsn, "orders") as subscription:
        upserts = subscription.upserts("id")
        assert {next(upserts).key, next(upserts).key} == {(1,), (3,)}
    with pytest.raises(freshet.KeyViolation), freshet.subscribe(orders.dsn, "(SELECT 1 AS one FROM orders)") as twice:
        list(twice.upserts("one"))
    with freshet.subscribe(orders.dsn, "totals", heartbeat=0.1) as subscription:
        batches = subscription.batches()
        assert next(batches).snapshot
        empty = next(batches)
        assert empty.changes == [] and not empty.snapshot
    end = int((time.time() + system.patience(2)) * 1000)
    with freshet.subscribe(orders.dsn, "totals", up_to=end) as subscription:
        assert all(batch.time < end for batch in subscription.batches())      # and it ends


def test_closed_by_another_thread(orders):
    for source in (orders.dsn, create_engine(orders.url("psycopg2"))):
        subscription, seen = freshet.subscribe(source, "totals"), []
        for batch in subscription.batches():
            seen.append(batch.snapshot)
            threading.Timer(0.5, subscription.close).start()
        assert seen == [True]
