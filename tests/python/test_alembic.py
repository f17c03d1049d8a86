"""Alembic: operations on views, and what autogenerate makes of a MetaData with views."""

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata, produce_migrations, render_python_code
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Column, Index, Integer, MetaData, Numeric, String, Table, create_engine, func, select, text

import freshet.alembic
from freshet import sqlalchemy as fs

from .models import HOSTILE

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


def test_autogenerate(database):
    migrations = Migrations(database)
    up = migrations.step(shop())
    assert up.index("create_table('orders'") < up.index("create_materialized_view('stats'") < up.index("create_view('best'")
    assert "create_index(" in up and "create_table('stats'" not in up
    database.execute("INSERT INTO orders VALUES (1, 1, 5); REFRESH MATERIALIZED VIEW stats")
    assert database.value("SELECT what FROM active") == "50% of 'a\\b'"

    up = migrations.step(shop(note=True))               # one column more behind: replaced there, made anew for the way back
    assert "add_column" in up and "drop_view('active'" in up and "stats" not in up
    up = migrations.step(shop(note=True, spent=func.max))       # and what reads it
    assert up.index("drop_view('best'") < up.index("drop_materialized_view('stats'") < up.index("create_view('best'")
    assert database.value("SELECT max FROM (SELECT spent FROM stats) x(max)") == 5
    up = migrations.step(shop(note=True, spent=func.max, index="user_id"))
    assert "drop_index" in up and "create_index" in up and "view" not in up.replace("'stats'", "").replace("stats_by", "")
    up = migrations.step(shop(note=True, spent=func.max, index="user_id", views=("stats",)))
    assert up.count("op.") == 2 and "drop_view('best'" in up and "drop_view('active'" in up
    up = migrations.step(shop(spent=func.max, views=()))
    assert "drop_materialized_view('stats'" in up and "drop_column" in up


def test_tables_change_below_views(database):
    migrations = Migrations(database)
    migrations.step(shop())
    database.execute("INSERT INTO orders VALUES (1, 1, 5)")
    up = migrations.step(shop(total=Numeric(12, 4)))
    assert up.index("drop_materialized_view('stats'") < up.index("alter_column") < up.index("create_materialized_view")
    # views that are nobody's in the MetaData, but in the way, come back as they were
    database.execute("CREATE VIEW mine AS SELECT total FROM orders")
    metadata = shop(total=Numeric(14, 4))
    options = {"include_name": lambda name, type_, parents: name != "mine"}
    up, down = migrations.generate(metadata, **options)
    before = migrations.state()
    migrations.run(up)
    assert database.value("SELECT count(*) FROM pg_views WHERE viewname = 'mine'") == 1
    migrations.run(down)
    assert migrations.state() == before


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


def test_hostile_names(database):
    metadata = MetaData()
    for name in HOSTILE:
        table = Table(name + "t", metadata, Column(name, Integer, primary_key=True, autoincrement=False))
        view = fs.MaterializedView(name, select(table.c[name], sa.literal(name).label(name + "l")), metadata=metadata)
        Index(name + "i", view.c[name + "l"])
    migrations = Migrations(database)
    migrations.step(metadata)


def test_operations(database):
    migrations = Migrations(database)
    migrations.run("""
        op.create_view("v", "SELECT 1 AS one, 'a:b%' AS two;")
        op.create_materialized_view("m", sa.select(sa.literal(2).label("two")), with_data=False)
        op.refresh_materialized_view("m")
        op.create_view("v", "SELECT 3 AS one, 'x' AS two", or_replace=True)
        op.replace_view("v", "SELECT 4 AS one, 'a:b%' AS two, 5 AS three")
        op.create_materialized_view("m", "SELECT 1", if_not_exists=True)
        op.drop_view("nothing", if_exists=True)
    """)
    with migrations.engine.connect() as connection:
        assert connection.execute(text("SELECT * FROM v, m")).one() == (4, "a:b%", 5, 2)
    migrations.run("    op.drop_materialized_view('m', cascade=True); op.drop_view('v')")
    assert migrations.state() == ([], [])
    assert freshet.alembic.CreateViewOp("v", "SELECT 1").reverse().reverse().definition == "SELECT 1"


def test_include_object():
    metadata = shop()
    shown = {name: fs.include_object(table, name, "table", False, None) for name, table in metadata.tables.items()}
    assert shown == {"orders": True, "stats": False, "best": False, "active": False}
