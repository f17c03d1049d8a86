"""docs/python.md, block by block, and the page of SQLAlchemy-PGView as printed."""

import asyncio
import json
import re
import sys
import urllib.request
from contextlib import closing

import pytest
import sqlalchemy.ext.asyncio
from guides.application import Application
from guides.pages import Reader
from harness import system
from harness.paths import freshet_bin, pg_dir, shared_dir
from sqlalchemy import orm

import freshet.sqlalchemy.refresh  # noqa: F401 (before `sessions` replaces what it imports)

from .conftest import SOURCES

PGVIEW = """\
### Define Your Models and Views
from decimal import Decimal
from sqlalchemy import create_engine, select, func, String, Numeric, Integer
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, Session
from sqlalchemy_pgview import ViewBase, MaterializedViewBase
# Define your base and models
class Base(DeclarativeBase):
    pass
class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    is_active: Mapped[bool] = mapped_column(default=True)
class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(Integer)
    total: Mapped[Decimal] = mapped_column(Numeric(10, 2))
# Define a regular view (computed on every query)
class ActiveUsers(ViewBase, Base):
    __tablename__ = "active_users"
    __select__ = select(User.id, User.name).where(User.is_active == True)
# Define a materialized view (cached results, needs refresh)
class UserStats(MaterializedViewBase, Base):
    __tablename__ = "user_stats"
    __select__ = select(
        User.id.label("user_id"),
        User.name,
        func.count(Order.id).label("order_count"),
        func.coalesce(func.sum(Order.total), 0).label("total_spent"),
    ).select_from(User.__table__.outerjoin(Order.__table__, User.id == Order.user_id)
    ).group_by(User.id, User.name)
# Create everything (tables + views)
engine = create_engine("postgresql://user:pass@localhost/mydb")
Base.metadata.create_all(engine)
### Query Views
from sqlalchemy import select
with engine.connect() as conn:
    # Query regular view (always shows current data)
    result = conn.execute(select(ActiveUsers.as_table())).fetchall()
    for row in result:
        print(f"{row.name}")
    # Query materialized view (shows cached data)
    stats = conn.execute(select(UserStats.as_table())).fetchall()
    for stat in stats:
        print(f"{stat.name}: {stat.order_count} orders, ${stat.total_spent}")
### Refresh Materialized Views
with engine.begin() as conn:
    UserStats.refresh(conn)
    # Concurrent refresh (allows reads during refresh, requires unique index)
    UserStats.refresh(conn, concurrently=True)
### Auto-Refresh on Data Changes
from sqlalchemy.orm import Session
# Enable auto-refresh when Order table changes
UserStats.auto_refresh_on(Session, Order.__table__)
# Now commits automatically refresh the materialized view
with Session(engine) as session:
    session.add(Order(user_id=1, total=Decimal("100.00")))
    session.commit()
    # UserStats is automatically refreshed
"""
BLOCKS = re.split(r"### .*\n", PGVIEW)[1:]


def test_the_blocks_are_the_pages():
    """The page as it was published lost its line breaks: the blocks are its words, laid out again."""
    guide = shared_dir() and shared_dir() / "guides" / "sqlalchemy-pgview.txt"
    if not guide or not guide.exists():
        pytest.skip("the page is not here")
    published = [block.strip() for block in re.findall(r"```python (.*?)```", guide.read_text(), re.DOTALL)]
    assert [" ".join(block.split()) for block in BLOCKS] == published


@pytest.fixture
def sessions(monkeypatch):
    """What is noted of Session and AsyncSession is not noted of those of other tests."""
    session = type("Session", (orm.Session,), {})
    monkeypatch.setattr(orm, "Session", session)
    monkeypatch.setattr(sqlalchemy.ext.asyncio, "AsyncSession",
                        type("AsyncSession", (sqlalchemy.ext.asyncio.AsyncSession,), {"sync_session_class": session}))


def test_pgview(database, capsys, sessions):
    place = {}
    url = "postgresql://user:pass@localhost/mydb"

    def run(number):
        exec(BLOCKS[number].replace(url, database.url("psycopg2")), place)

    run(0)
    with orm.Session(place["engine"]) as session:
        session.add_all([place["User"](id=1, name="ann"), place["User"](id=2, name="bob", is_active=False)])
        session.commit()
    run(2)
    run(1)
    assert sorted(capsys.readouterr().out.split("\n")) == ["", "ann", "ann: 0 orders, $0", "bob: 0 orders, $0"]
    run(3)
    run(1)
    assert "ann: 1 orders, $100.00" in capsys.readouterr().out
    run(2)


def test_pgview_asynchronously(database, sessions):
    """What the page says of asyncpg: its classes with an asynchronous engine."""
    place = {}
    models, _, _ = BLOCKS[0].partition("# Create everything")
    exec(models, place)
    source = '''
async def main():
    engine = create_async_engine(URL)
    async with engine.begin() as conn:
        await conn.run_sync(Base.metadata.create_all)
    async with AsyncSession(engine) as session:
        session.add_all([User(id=1, name="ann"), Order(user_id=1, total=Decimal("2.00"))])
        await session.commit()
    async with engine.begin() as conn:
        await UserStats.refresh(conn)
        await UserStats.refresh(conn, concurrently=True)
        stats = (await conn.execute(select(UserStats.as_table()))).fetchall()
        assert [(stat.name, stat.order_count) for stat in stats] == [("ann", 1)]
    UserStats.auto_refresh_on(AsyncSession, Order.__table__)
    async with AsyncSession(engine) as session:
        session.add(Order(user_id=1, total=Decimal("100.00")))
        await session.commit()
        assert (await session.get(UserStats, 1)).total_spent == Decimal("102.00")
    async with engine.begin() as conn:
        await conn.run_sync(Base.metadata.drop_all)
    await engine.dispose()
'''
    from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
    place |= {"URL": database.url("asyncpg"), "AsyncSession": AsyncSession, "create_async_engine": create_async_engine}
    exec(source, place)
    asyncio.run(place["main"]())


@pytest.fixture
def page_shop(freshet):
    with closing(Application(freshet, "shop", "")) as application:
        yield application


@pytest.mark.timeout(240)
def test_the_page(page_shop, tmp_path):
    port = page_shop.server.ports["postgres"]
    environment = page_shop.environment | {"FRESHET_BIN": freshet_bin(), "FRESHET_POSTGRES_BIN": str(pg_dir("bindir")),
                                           "XDG_CACHE_HOME": str(tmp_path / "cache"),
                                           "PYTEST_PLUGINS": "freshet.testing", "PYTHONPATH": ":".join(SOURCES)}
    reader = Reader("python.md", port, tmp_path, environment)
    reader.read()
    page_shop.connect()
    page_shop.execute("DELETE FROM orders; INSERT INTO orders (item, amount) VALUES ('tea', 3.50)")
    page_shop.assert_exact("totals")
    for number, program in enumerate(["follow.py", "follow_async.py"]):
        lines = reader.follow(3, lambda: page_shop.execute("INSERT INTO orders (item, amount) VALUES ('tea', 1)"),
                              sys.executable, program)
        assert [line.split()[:3] for line in lines] == [["1", "tea", str(number + 1)], ["-1", "tea", str(number + 1)],
                                                        ["1", "tea", str(number + 2)]]
    serve_api(page_shop, tmp_path)


def serve_api(shop, directory):
    port, log = system.free_port(), directory / "uvicorn"
    with open(log, "w") as output:
        uvicorn = shop.start("-m", "uvicorn", "api:app", "--host", "127.0.0.1", "--port", str(port), cwd=directory,
                             output=output, PYTHONPATH=":".join([str(directory), *SOURCES]))
    try:
        system.wait_until(lambda: "Application startup complete" in log.read_text(), 20, what="uvicorn started")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/totals", timeout=system.patience(20)) as response:
            head = [response.readline().decode().strip() for _ in range(3)]
        assert head[0] == "event: snapshot"
        assert json.loads(head[2].removeprefix("data: "))[0][1]["item"] == "tea"
    finally:
        uvicorn.kill()
        uvicorn.wait()

