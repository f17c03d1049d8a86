"""Views as objects and classes: DDL, order, columns, keys, names, refresh; by every driver, on both servers."""

import asyncio
import logging
from decimal import Decimal

import pytest
import sqlalchemy as sa
from psycopg import sql
from sqlalchemy import Column, Integer, MetaData, String, Table, create_engine, func, inspect, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, CompileError, InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import (DeclarativeBase, Mapped, Session, declarative_base, mapped_column,
                            sessionmaker)

from freshet import sqlalchemy as fs

from .conftest import DRIVERS
from .models import HOSTILE, Color, shop

SYNC = [driver for driver in DRIVERS if driver != "asyncpg"]


def statements(engine):
    """What an engine sends from now on."""
    sent = []
    sa.event.listen(engine, "before_cursor_execute", lambda c, cursor, statement, *rest: sent.append(statement.strip()))
    return sent


def run(database, driver, work, metadata=None):
    """work(connection) by a driver, with the metadata created before and dropped after."""
    def whole(connection):
        if metadata is not None:
            metadata.create_all(connection)
        connection.commit()
        try:
            return work(connection)
        finally:
            connection.rollback()
            if metadata is not None:
                metadata.drop_all(connection)
                connection.commit()

    async def asynchronously():
        engine = create_async_engine(database.url(driver))
        async with engine.connect() as connection:
            result = await connection.run_sync(whole)
        await engine.dispose()
        return result

    if driver == "asyncpg":
        return asyncio.run(asynchronously())
    engine = create_engine(database.url(driver))
    with engine.connect() as connection:
        result = whole(connection)
    engine.dispose()
    return result


def fill(space, connection):
    with Session(connection, join_transaction_mode="rollback_only") as session:
        session.add_all([space.User(id=1, name="ann"), space.User(id=2, name="bob", color=Color.blue),
                         space.Order(id=1, user_id=1, total=Decimal("1.50")),
                         space.Order(id=2, user_id=1, total=Decimal("2.50"))])
        session.commit()
    connection.commit()


@pytest.mark.parametrize("driver", DRIVERS)
def test_declared_views(database, driver):
    space = shop()

    def work(connection):
        fill(space, connection)
        space.Stats.refresh(connection)
        space.Stats.refresh(connection, concurrently=True)
        space.Best.refresh(connection)
        connection.commit()
        with Session(connection) as session:
            ann = session.get(space.Stats, 1)
            assert (ann.name, ann.color, ann.orders, ann.spent) == ("ann", Color.red, 2, Decimal("4.00"))
            assert session.scalars(select(space.Active.name)).all() == ["ann"]
            assert {best.color: best.spent for best in session.scalars(select(space.Best))} == {
                Color.red: Decimal("4.00"), Color.blue: 0}
        assert connection.execute(select(space.Active.as_table())).all() == [(1, "ann")]
        comments = connection.execute(text("SELECT obj_description('stats'::regclass), obj_description('active'::regclass)"))
        assert comments.one() == ("what users spent", "who ordered")
        indexes = {index["name"]: index["unique"] for index in inspect(connection).get_indexes("stats")}
        assert indexes == {"stats_spent": False, "ix_stats_id": True}
        return inspect(connection).get_materialized_view_names()

    assert sorted(run(database, driver, work, space.Base.metadata)) == ["a_best", "stats"]
    assert database.value("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace") == 0
    assert database.value("SELECT count(*) FROM pg_type WHERE typname = 'color'") == 0


def test_order_and_checkfirst(database):
    space = shop()
    engine = create_engine(database.url())
    sent = statements(engine)
    space.Base.metadata.create_all(engine)
    made = [statement.split()[:4] for statement in sent if statement.startswith("CREATE") and "VIEW" in statement]
    assert [words[-1 if words[1] == "MATERIALIZED" else 2] for words in made][0] == "stats"
    sent.clear()
    space.Base.metadata.create_all(engine)
    assert not [statement for statement in sent if statement.startswith("CREATE")]
    space.Active.__table__.drop(engine)
    space.Base.metadata.create_all(engine)
    space.Active.__table__.create(engine, checkfirst=True)
    space.Best.__table__.drop(engine)
    space.Base.metadata.drop_all(engine)
    space.Base.metadata.drop_all(engine)
    assert database.value("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace") == 0


def hostile(name, metadata):
    """A table, a view of it and a materialized view of that, all of whose names are hostile, and a literal is."""
    table = Table(name + "t", metadata, Column("id", Integer, primary_key=True), Column(name, String), schema=name)
    view = fs.View(name + "v", select(table.c.id, table.c[name]).where(table.c[name] == name), metadata=metadata,
                   schema=name)
    counts = fs.MaterializedView(
        name, select(view.c[name].label(name + "l"), func.count().label(name + "n")).group_by(view.c[name]),
        metadata=metadata, schema=name, comment=name)
    counts.table.append_constraint(sa.Index(name + "i", counts.c[name + "n"]))
    return name, table, counts


@pytest.mark.parametrize("driver", DRIVERS)
def test_hostile_names(database, driver):
    """Of schemas, tables, columns, views, indexes, and in literals of the query."""
    metadata = MetaData()
    made = [hostile(name, metadata) for name in HOSTILE]

    def work(connection):
        for name, table, counts in made:
            connection.execute(table.insert(), [{"id": 1, name: name}, {"id": 2, name: "other"}])
            counts.refresh(connection)
        connection.commit()
        for name, _, counts in made:
            counts.refresh(connection, concurrently=True)
            assert connection.execute(select(counts.as_table())).one() == (name, 1)
            reflected = fs.reflect_view(connection, name, schema=name)
            assert [c.name for c in reflected.c] == [name + "l", name + "n"]
            assert [d.referenced_name for d in fs.get_view_dependencies(connection, name, name)] == [name + "v"]
            connection.execute(fs.DropMaterializedView(counts))
            connection.execute(fs.CreateMaterializedView(reflected))
            assert connection.execute(select(counts.as_table())).one() == (name, 1)
        connection.commit()

    with database.connect() as connection:
        for name in HOSTILE:
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
    run(database, driver, work, metadata)


def test_names_that_are_too_long_are_refused(database):
    engine = create_engine(database.url())
    view = fs.MaterializedView("v" * 64, select(sa.literal(1).label("one")))
    with pytest.raises(sa.exc.IdentifierError):
        view.table.create(engine)
    # generated names of indexes are shortened by SQLAlchemy
    table = Table("t" * 60, MetaData(), Column("c" * 60, Integer, primary_key=True))
    long = fs.MaterializedView("v" * 60, select(table.c["c" * 60]), metadata=table.metadata)
    table.metadata.create_all(engine)
    assert len(inspect(engine).get_indexes(long.name)[0]["name"]) <= 63
    table.metadata.drop_all(engine)


def keys(query, **options):
    return [column.name for column in fs.View("v", query, **options).table.primary_key.columns]


def test_primary_keys():
    space = shop()
    user, order = space.User, space.Order
    assert keys(select(user.name, user.id)) == ["id"]
    assert keys(select(user.name, func.count().label("n")).group_by(user.name)) == ["name"]
    assert keys(select(user.id, user.name, func.count().label("n")).group_by(user.id, user.name)) == ["id"]
    assert keys(select(user.name, order.total).distinct()) == ["name", "total"]
    assert keys(select(user.id.label("u"), order.id.label("o"), order.total).join(
        order, order.user_id == user.id)) == ["u", "o"]
    # what the query does not promise is all columns, and no unique index
    for query in (select(user.name), select(user.id, order.total), select(func.unnest(sa.literal([1])).label("u"), user.id),
                  select(user.name, func.count().label("n")).group_by(user.name, user.color),
                  sa.union_all(select(user.id), select(order.id))):
        view = fs.MaterializedView("v", query)
        assert list(view.table.primary_key.columns) == list(view.table.columns)
        assert not view.table.indexes
    assert keys(select(user.name, order.total), primary_key=["name"]) == ["name"]
    with pytest.raises(ArgumentError, match="no column 'nothing'"):
        fs.View("v", select(user.name), primary_key=["nothing"])


def test_dependencies_of_a_query():
    space = shop()
    for query in (select(space.User.id).where(space.User.id.in_(select(space.Order.user_id))),
                  select(space.User.id).where(sa.exists().where(space.Order.user_id == space.User.id)),
                  select(space.User.id, select(func.count(space.Order.id)).scalar_subquery().label("n")),
                  select(select(space.Order.user_id).cte("c").c.user_id).join(space.User, sa.true()),
                  sa.union(select(space.User.id), select(space.Order.id)),
                  select(sa.orm.aliased(space.Order).id, space.User.name)):
        assert {table.name for table in fs.View("v", query).depends_on} == {"users", "orders"}
    hidden = fs.View("v", text("SELECT id FROM users").columns(Column("id", Integer)),
                     depends_on=[space.User.__table__])
    assert [table.name for table in hidden.depends_on] == ["users"]


def test_declarations():
    class Base(DeclarativeBase):
        pass

    class Item(Base):
        __tablename__ = "item"
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str]

    class Typed(fs.ViewBase, Base):
        __tablename__ = "typed"
        __select__ = select(Item.name, func.count().label("n"))
        name: Mapped[str] = mapped_column(String(7), primary_key=True)
        n: Mapped[int]

    assert isinstance(Typed.__table__.c.name.type, String) and Typed.__table__.c.name.type.length == 7
    assert [column.name for column in Typed.__table__.primary_key] == ["name"]

    Old = declarative_base()
    thing = Table("thing", Old.metadata, Column("id", Integer, primary_key=True))

    class OldView(fs.MaterializedViewBase, Old):
        __tablename__ = "old_view"
        __select__ = select(thing.c.id)
        __with_data__ = False
        __unique_index__ = False

    assert str(fs.CreateMaterializedView(OldView)).endswith("FROM thing WITH NO DATA") and not OldView.__table__.indexes
    copied = OldView.__table__.to_metadata(MetaData(), schema="x")
    assert str(fs.DropView(copied)) == "DROP VIEW x.old_view"

    for wrong, error in (({"__tablename__": "v"}, "has no __select__"), ({"__select__": select(thing.c.id)}, "has no __tablename__"),
                         ({"__tablename__": "v", "__select__": select(func.count())}, "has no name: give it one with label"),
                         ({"__tablename__": "v", "__select__": select(thing.c.id), "__table_args__": {"oops": 1}},
                          "has no 'oops'"),
                         ({"__tablename__": "v", "__select__": select(thing.c.id), "__table_args__": (sa.Index("i", "id"),)},
                          "only a materialized view has indexes")):
        with pytest.raises((InvalidRequestError, ArgumentError), match=error):
            type("Wrong", (fs.ViewBase, Old), wrong | {"__module__": __name__})
        Old.metadata.tables.get("v") is not None and Old.metadata.remove(Old.metadata.tables["v"])
    with pytest.raises(InvalidRequestError, match="needs a declarative base"):
        type("Wrong", (fs.ViewBase,), {"__tablename__": "v", "__select__": select(thing.c.id), "__module__": __name__})


def test_elements():
    view = fs.View("v", select(sa.literal(1).label("one")))
    stored = fs.MaterializedView("m", select(sa.literal(1).label("one")), schema="s")
    dialect = postgresql.dialect()

    def written(element):
        return str(element.compile(dialect=dialect))

    assert written(fs.CreateView(view, or_replace=True)) == "CREATE OR REPLACE VIEW v AS SELECT 1 AS one"
    assert written(fs.CreateMaterializedView(stored, if_not_exists=True)) == (
        "CREATE MATERIALIZED VIEW IF NOT EXISTS s.m AS SELECT 1 AS one")
    assert written(fs.DropMaterializedView(stored, if_exists=True, cascade=True)) == (
        "DROP MATERIALIZED VIEW IF EXISTS s.m CASCADE")
    assert written(fs.RefreshMaterializedView(stored, concurrently=True)) == "REFRESH MATERIALIZED VIEW CONCURRENTLY s.m"
    assert written(fs.RefreshMaterializedView(stored, with_data=False)) == "REFRESH MATERIALIZED VIEW s.m WITH NO DATA"
    for make in (lambda: fs.CreateView(stored), lambda: fs.CreateMaterializedView(view), lambda: fs.DropView("v"),
                 lambda: fs.RefreshMaterializedView(stored, concurrently=True, with_data=False)):
        with pytest.raises(ArgumentError):
            make()
    with pytest.raises(CompileError, match="not CREATE VIEW IF NOT EXISTS"):
        written(fs.CreateView(view, if_not_exists=True))
    with pytest.raises(CompileError, match="materialized views are PostgreSQL's, not sqlite's"):
        fs.CreateMaterializedView(stored).compile(dialect=sqlite.dialect())


def test_plain_view_elsewhere():
    metadata = MetaData()
    table = Table("t", metadata, Column("id", Integer, primary_key=True))
    view = fs.View("v", select(table.c.id).where(table.c.id > 1), metadata=metadata)
    engine = create_engine("sqlite://")
    metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(table.insert(), [{"id": 1}, {"id": 2}])
        assert connection.execute(select(view.as_table())).all() == [(2,)]
    metadata.drop_all(engine)


class TestAutoRefresh:
    """A refresh for each commit that wrote to the tables, none after a rollback."""

    @pytest.fixture
    def space(self, database):
        made = shop()
        made.engine = create_engine(database.url(), pool_size=1, max_overflow=0)     # no second connection to be had
        made.Base.metadata.create_all(made.engine)
        with made.engine.connect() as connection:
            fill(made, connection)
        made.sent = statements(made.engine)
        made.Session = sessionmaker(made.engine)
        yield made
        made.engine.dispose()

    @staticmethod
    def refreshed(space):
        found = [statement.split()[-1] for statement in space.sent if statement.startswith("REFRESH")]
        space.sent.clear()
        return found

    def test_what_is_noticed(self, space):
        space.Best.auto_refresh_on(space.Session)       # all it reads, through views as well; registered first
        space.Stats.auto_refresh_on(space.Session, space.Order.__table__)
        space.Stats.auto_refresh_on(space.Session, space.Order)
        order, both = space.Order, ["stats", "a_best"]
        with space.Session() as session:
            session.add(order(id=10, user_id=2, total=1))
            session.flush()
            session.add(order(id=11, user_id=2, total=1))
            session.commit()
            assert self.refreshed(space) == both
            assert session.get(space.Stats, 2).orders == 2
            session.rollback()
            for write in (lambda: session.execute(sa.update(order).values(total=2)),
                          lambda: session.execute(sa.insert(order), [{"id": 12, "user_id": 2, "total": 1}]),
                          lambda: session.execute(sa.delete(order.__table__).where(order.id == 12)),
                          lambda: session.connection().execute(sa.update(order.__table__).values(total=3)),
                          lambda: session.bulk_insert_mappings(order, [{"id": 13, "user_id": 2, "total": 1}]),
                          lambda: session.query(order).filter_by(id=13).delete(),
                          lambda: setattr(session.get(order, 10), "total", 5),
                          lambda: session.execute(select(sa.update(order).values(total=4).returning(order.id).cte("c"))),
                          lambda: session.delete(session.get(order, 10))):
                write()
                session.commit()
                expected = both if "cte" not in write.__code__.co_names else []
                assert self.refreshed(space) in (both, expected)
            session.execute(sa.update(space.User).values(name="x"))     # Best reads users too, Stats was told of orders
            session.commit()
            assert self.refreshed(space) == ["a_best"]
            session.execute(select(order)).all()
            session.commit()
            session.add(order(id=20, user_id=2, total=1))
            session.flush()
            session.rollback()
            session.commit()
            assert self.refreshed(space) == []

    def test_savepoints_and_outer_transactions(self, space):
        space.Stats.auto_refresh_on(space.Session, space.Order)
        with space.Session() as session:
            with session.begin_nested():
                session.add(space.Order(id=10, user_id=2, total=1))
            assert self.refreshed(space) == []
            session.commit()
            assert self.refreshed(space) == ["stats"]
        with space.engine.connect() as connection, connection.begin() as outer:
            for number in range(3):
                with space.Session(bind=connection, join_transaction_mode="create_savepoint") as session:
                    session.add(space.Order(id=30 + number, user_id=2, total=1))
                    session.commit()
                    assert self.refreshed(space) == ["stats"]
                    assert session.get(space.Stats, 2).orders == 2 + number
            outer.rollback()

    def test_a_refresh_that_fails_does_not_fail_the_commit(self, space, caplog):
        space.Stats.auto_refresh_on(space.Session, space.Order)
        with space.engine.begin() as connection:
            connection.execute(text("DROP MATERIALIZED VIEW stats CASCADE"))
        with space.Session() as session, caplog.at_level(logging.ERROR, "freshet.sqlalchemy"):
            session.add(space.Order(id=10, user_id=2, total=1))
            session.commit()
            assert session.get(space.Order, 10).total == 1
        assert "cannot refresh stats after a commit" in caplog.text

    def test_targets(self, database, space):
        own = type("Own", (Session,), {})
        space.Stats.auto_refresh_on(own, space.Order)
        with own(space.engine) as session:
            session.add(space.Order(id=40, user_id=2, total=1))
            session.commit()
        assert self.refreshed(space) == ["stats"]
        with space.Session() as session:
            session.add(space.Order(id=41, user_id=2, total=1))
            session.commit()
        assert self.refreshed(space) == []

        async def asynchronously():
            engine = create_async_engine(database.url("asyncpg"))
            sent = statements(engine.sync_engine)
            maker = async_sessionmaker(engine)
            space.Stats.auto_refresh_on(maker, space.Order)
            one = AsyncSession(engine)
            space.Stats.auto_refresh_on(one, space.Order)
            for number, session in enumerate([maker(), one, AsyncSession(engine)]):
                session.add(space.Order(id=50 + number, user_id=2, total=1))
                await session.commit()
                assert len([statement for statement in sent if statement.startswith("REFRESH")]) == min(number + 1, 2)
                await space.Stats.refresh(session)
                await session.rollback()
                sent[:] = [statement for statement in sent if not statement.startswith("REFRESH")] + sent[-0:0] + [
                    "REFRESH"] * min(number + 1, 2)
                await session.close()
            async with engine.begin() as connection:
                await space.Stats.refresh(connection, concurrently=True)
                await connection.run_sync(space.Stats.refresh)
                assert (await connection.execute(select(space.Stats.orders).where(space.Stats.id == 2))).scalar() == 5
            await engine.dispose()

        asyncio.run(asynchronously())


def test_catalogs(database):
    space = shop()
    engine = create_engine(database.url())
    space.Base.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(text("CREATE SCHEMA other; CREATE VIEW other.active AS SELECT id AS \"x:y\", 'a:b\\:%' AS \"%s\" FROM orders"))
    with Session(engine) as session:
        assert [(view.fullname, view.is_materialized) for view in fs.get_all_views(session)] == [
            ("other.active", False), ("public.a_best", True), ("public.active", False), ("public.stats", True)]
        assert [view.name for view in fs.get_all_views(session, "public", include_materialized=False)] == ["active"]
        assert [view.fullname for view in fs.get_dependency_order(session)] == [
            "other.active", "public.stats", "public.a_best", "public.active"]
        assert [d.referenced_fullname for d in fs.get_view_dependencies(session, "stats")] == ["public.orders", "public.users"]
        assert [d.dependent_fullname for d in fs.get_reverse_dependencies(session, "stats", "public")] == [
            "public.a_best", "public.active"]
        assert fs.get_view(session, "active").schema == "public"
        with pytest.raises(sa.exc.NoSuchTableError):
            fs.get_view(session, "nothing")
        metadata = MetaData()
        metadata.reflect(session.connection(), only=["users", "orders"])
        views = [fs.reflect_view(session, view.name, metadata=metadata, schema=view.schema if view.schema == "other" else None)
                 for view in fs.get_dependency_order(session)]
    before = database.value("SELECT string_agg(pg_get_viewdef(oid), ' ' ORDER BY relname) FROM pg_class WHERE relkind IN ('v', 'm')"
                            " AND relnamespace IN ('public'::regnamespace, 'other'::regnamespace)")
    with engine.begin() as connection:
        for view in reversed(views):
            view.table.drop(connection)
    metadata.create_all(engine)
    assert database.value("SELECT string_agg(pg_get_viewdef(oid), ' ' ORDER BY relname) FROM pg_class WHERE relkind IN ('v', 'm')"
                          " AND relnamespace IN ('public'::regnamespace, 'other'::regnamespace)") == before
    assert {index["name"] for index in inspect(engine).get_indexes("stats")} == {"stats_spent", "ix_stats_id"}
    metadata.drop_all(engine)
    engine.dispose()
