"""Alembic: operations on views, and what autogenerate makes of a MetaData with views."""

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata, produce_migrations, render_python_code
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Column, Index, Integer, MetaData, Numeric, String, Table, create_engine, func, select, text

import freshet.alembic  # noqa: F401, registers operations and comparison
from freshet import sqlalchemy as fs


QUERIES = "SELECT c.relname, pg_get_viewdef(c.oid) FROM pg_class c WHERE c.relkind IN ('v', 'm')" \
          " AND c.relnamespace = 'public'::regnamespace ORDER BY 1"
INDEXES = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1"


def shop(total=Numeric(10, 2), spent=func.sum, note=False, views=("stats", "best", "active"), index="spent"):
    """A MetaData as it is at some time."""
    metadata = MetaData()
    orders = Table("orders", metadata, Column("id", Integer, primary_key=True), Column("user_id", Integer),
                   Column("total", total), *([Column("note", String)] if note else []))
    if "stats" in views:
        stats = fs.MaterializedView("stats", select(orders.c.user_id, spent(orders.c.total).label("spent"))
                                    .group_by(orders.c.user_id), metadata=metadata)
        Index("stats_by", stats.c[index].desc())
        if "best" in views:
            fs.View("best", select(func.max(stats.c.spent).label("best")), metadata=metadata)
    if "active" in views:
        columns = [orders.c.user_id, sa.literal("50% of 'a\\b'").label("what")]
        fs.View("active", select(*columns, *([orders.c.note] if note else [])).distinct(), metadata=metadata)
    return metadata


class Migrations:
    """Autogenerates, renders, runs what was rendered, up and down."""

    def __init__(self, database):
        self.engine = create_engine(database.url())
        self.database = database

    def state(self):
        with self.engine.connect() as connection:
            return connection.execute(text(QUERIES)).all(), connection.execute(text(INDEXES)).all()

    def generate(self, metadata, **options):
        with self.engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"target_metadata": metadata, **options})
            script = produce_migrations(context, metadata)
            return [render_python_code(ops, migration_context=context) for ops in (script.upgrade_ops, script.downgrade_ops)]

    def run(self, code):
        with self.engine.begin() as connection:
            op = Operations(MigrationContext.configure(connection))
            exec("if True:\n" + code, {"op": op, "sa": sa})

    def is_quiet(self, metadata):
        with self.engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"target_metadata": metadata})
            assert compare_metadata(context, metadata) == []

    def step(self, metadata):
        """Migrate there, back and there again; what was generated."""
        before = self.state()
        up, down = self.generate(metadata)
        self.run(up)
        self.is_quiet(metadata)
        after = self.state()
        self.run(down)
        assert self.state() == before
        self.run(up)
        assert self.state() == after
        self.is_quiet(metadata)
        return up


def test_replace(database):
    migrations = Migrations(database)

    def metadata(limit):
        made = MetaData()
        table = Table("t", made, Column("id", Integer, primary_key=True))
        view = fs.View("v", select(table.c.id).where(table.c.id > limit), metadata=made)
        fs.View("w", select(view.c.id), metadata=made)
        return made

    migrations.step(metadata(1))
    up = migrations.step(metadata(2))
    assert up.count("op.") == 1 and "replace_view('v'" in up


def test_include_object():
    metadata = shop()
    shown = {name: fs.include_object(table, name, "table", False, None) for name, table in metadata.tables.items()}
    assert shown == {"orders": True, "stats": False, "best": False, "active": False}
