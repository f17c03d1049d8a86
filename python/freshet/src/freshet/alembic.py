"""Alembic operations for views, and autogenerate that finds new, changed and removed ones.

Import it in env.py: `import freshet.alembic`. Autogenerate compares with PostgreSQL's own words: a mapped view's query
is made a temporary view, its indexes those of a temporary table, and both are rolled back. What has to be dropped and
made anew because something it reads is, is; indexes of materialized views come and go with them. Privileges and
comments of a view that is made anew are not carried over.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, cast

import sqlalchemy as sa
from alembic.autogenerate import comparators, renderers
from alembic.operations import MigrateOperation, Operations, ops
from sqlalchemy import Connection, MetaData, SelectBase, Table
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateIndex

from .sqlalchemy.catalog import ViewInfo, get_dependency_order, get_view_dependencies
from .sqlalchemy.ddl import DefineView, DropMaterializedView, DropView, RefreshMaterializedView
from .sqlalchemy.view import View, view_of

Key = tuple[str | None, str]  # schema, None for the default one, and name


class CreateViewOp(MigrateOperation):
    """op.create_view, op.create_materialized_view"""

    materialized: ClassVar[bool] = False

    def __init__(
        self,
        name: str,
        definition: str | SelectBase,
        *,
        schema: str | None = None,
        or_replace: bool = False,
        if_not_exists: bool = False,
        with_data: bool = True,
    ) -> None:
        self.name = name
        self.definition = definition
        self.schema = schema
        self.or_replace = or_replace
        self.if_not_exists = if_not_exists
        self.with_data = with_data

    @classmethod
    def create_view(
        cls,
        operations: Operations,
        name: str,
        definition: str | SelectBase,
        *,
        schema: str | None = None,
        or_replace: bool = False,
    ) -> None:
        """CREATE [OR REPLACE] VIEW name AS definition."""
        operations.invoke(CreateViewOp(name, definition, schema=schema, or_replace=or_replace))

    @classmethod
    def create_materialized_view(
        cls,
        operations: Operations,
        name: str,
        definition: str | SelectBase,
        *,
        schema: str | None = None,
        if_not_exists: bool = False,
        with_data: bool = True,
    ) -> None:
        """CREATE MATERIALIZED VIEW name AS definition; indexes by op.create_index."""
        operations.invoke(
            CreateMaterializedViewOp(name, definition, schema=schema, if_not_exists=if_not_exists, with_data=with_data)
        )

    def reverse(self) -> DropViewOp:
        kind = DropMaterializedViewOp if self.materialized else DropViewOp
        return kind(self.name, schema=self.schema, definition=self.definition)

    def to_diff_tuple(self) -> tuple[Any, ...]:
        return ("add_view", self.schema, self.name)


class CreateMaterializedViewOp(CreateViewOp):
    materialized = True


class DropViewOp(MigrateOperation):
    """op.drop_view, op.drop_materialized_view"""

    materialized: ClassVar[bool] = False

    def __init__(
        self,
        name: str,
        *,
        schema: str | None = None,
        if_exists: bool = False,
        cascade: bool = False,
        definition: str | SelectBase | None = None,
    ) -> None:
        self.name = name
        self.schema = schema
        self.if_exists = if_exists
        self.cascade = cascade
        self.definition = definition  # for the way back

    @classmethod
    def drop_view(
        cls,
        operations: Operations,
        name: str,
        *,
        schema: str | None = None,
        if_exists: bool = False,
        cascade: bool = False,
    ) -> None:
        """DROP VIEW [IF EXISTS] name [CASCADE]."""
        operations.invoke(DropViewOp(name, schema=schema, if_exists=if_exists, cascade=cascade))

    @classmethod
    def drop_materialized_view(
        cls,
        operations: Operations,
        name: str,
        *,
        schema: str | None = None,
        if_exists: bool = False,
        cascade: bool = False,
    ) -> None:
        """DROP MATERIALIZED VIEW [IF EXISTS] name [CASCADE]."""
        operations.invoke(DropMaterializedViewOp(name, schema=schema, if_exists=if_exists, cascade=cascade))

    def reverse(self) -> CreateViewOp:
        if self.definition is None:
            raise ValueError(f"the definition of view {self.name!r} is not known: it cannot be made again")
        kind = CreateMaterializedViewOp if self.materialized else CreateViewOp
        return kind(self.name, self.definition, schema=self.schema)

    def to_diff_tuple(self) -> tuple[Any, ...]:
        return ("remove_view", self.schema, self.name)


class DropMaterializedViewOp(DropViewOp):
    materialized = True


class ReplaceViewOp(MigrateOperation):
    """op.replace_view"""

    def __init__(
        self,
        name: str,
        definition: str | SelectBase,
        *,
        schema: str | None = None,
        replaces: str | SelectBase | None = None,
    ) -> None:
        self.name = name
        self.definition = definition
        self.schema = schema
        self.replaces = replaces

    @classmethod
    def replace_view(
        cls, operations: Operations, name: str, definition: str | SelectBase, *, schema: str | None = None
    ) -> None:
        """CREATE OR REPLACE VIEW: the same columns, and perhaps more behind them."""
        operations.invoke(ReplaceViewOp(name, definition, schema=schema))

    def reverse(self) -> ReplaceViewOp:
        if self.replaces is None:
            raise ValueError(f"the definition that view {self.name!r} had before is not known")
        return ReplaceViewOp(self.name, self.replaces, schema=self.schema, replaces=self.definition)

    def to_diff_tuple(self) -> tuple[Any, ...]:
        return ("change_view", self.schema, self.name)


class RefreshMaterializedViewOp(MigrateOperation):
    """op.refresh_materialized_view"""

    def __init__(self, name: str, *, schema: str | None = None, concurrently: bool = False) -> None:
        self.name = name
        self.schema = schema
        self.concurrently = concurrently

    @classmethod
    def refresh_materialized_view(
        cls, operations: Operations, name: str, *, schema: str | None = None, concurrently: bool = False
    ) -> None:
        """REFRESH MATERIALIZED VIEW [CONCURRENTLY] name."""
        operations.invoke(RefreshMaterializedViewOp(name, schema=schema, concurrently=concurrently))

    def reverse(self) -> RefreshMaterializedViewOp:
        return self


for _name, _class in (
    ("create_view", CreateViewOp),
    ("create_materialized_view", CreateViewOp),
    ("drop_view", DropViewOp),
    ("drop_materialized_view", DropViewOp),
    ("replace_view", ReplaceViewOp),
    ("refresh_materialized_view", RefreshMaterializedViewOp),
):
    Operations.register_operation(_name)(_class)


def _named(operation: Any) -> sa.TableClause:
    return sa.table(operation.name, schema=operation.schema)


@Operations.implementation_for(CreateViewOp)
@Operations.implementation_for(CreateMaterializedViewOp)
def _do_create(operations: Operations, operation: CreateViewOp) -> None:
    operations.execute(
        DefineView(
            _named(operation),
            operation.definition,
            materialized=operation.materialized,
            or_replace=operation.or_replace,
            if_not_exists=operation.if_not_exists,
            with_data=operation.with_data,
        )
    )


@Operations.implementation_for(DropViewOp)
@Operations.implementation_for(DropMaterializedViewOp)
def _do_drop(operations: Operations, operation: DropViewOp) -> None:
    kind = DropMaterializedView if operation.materialized else DropView
    operations.execute(kind(_named(operation), if_exists=operation.if_exists, cascade=operation.cascade))


@Operations.implementation_for(ReplaceViewOp)
def _do_replace(operations: Operations, operation: ReplaceViewOp) -> None:
    operations.execute(DefineView(_named(operation), operation.definition, or_replace=True))


@Operations.implementation_for(RefreshMaterializedViewOp)
def _do_refresh(operations: Operations, operation: RefreshMaterializedViewOp) -> None:
    operations.execute(RefreshMaterializedView(_named(operation), concurrently=operation.concurrently))


# ---- rendering: what stands in a migration


@renderers.dispatch_for(CreateViewOp)
@renderers.dispatch_for(CreateMaterializedViewOp)
@renderers.dispatch_for(ReplaceViewOp)
def _render_definition(context: Any, operation: Any) -> str:
    verb = "replace" if isinstance(operation, ReplaceViewOp) else "create"
    options = "" if getattr(operation, "with_data", True) else ", with_data=False"
    return _render(context, verb, operation, f", {_literal(operation.definition)}", options)


@renderers.dispatch_for(DropViewOp)
@renderers.dispatch_for(DropMaterializedViewOp)
def _render_drop(context: Any, operation: DropViewOp) -> str:
    return _render(context, "drop", operation)


def _render(context: Any, verb: str, operation: Any, definition: str = "", options: str = "") -> str:
    kind = "materialized_view" if getattr(operation, "materialized", False) else "view"
    schema = f", schema={str(operation.schema)!r}" if operation.schema else ""
    prefix = context.opts["alembic_module_prefix"] or ""
    return f"{prefix}{verb}_{kind}({str(operation.name)!r}{definition}{schema}{options})"


def _literal(definition: str | SelectBase) -> str:
    """A query as a Python literal, in lines where that is the same."""
    query = str(definition)
    if "\n" not in query or "\\" in query or '"""' in query or query.endswith('"'):
        return repr(query)
    return f'"""{query}"""'


# ---- autogenerate


def _compare(context: Any, upgrade_ops: ops.UpgradeOps, schemas: Iterable[str | None]) -> None:
    if context.dialect.name == "postgresql":
        _Comparison(context, upgrade_ops, set(schemas)).write()


class _Comparison:
    """The views of the MetaData against those of the database."""

    def __init__(self, context: Any, upgrade_ops: ops.UpgradeOps, schemas: set[str | None]) -> None:
        self.context = context
        self.connection: Connection = context.connection
        self.default = self.connection.dialect.default_schema_name
        self.ops = upgrade_ops
        self.wanted: dict[Key, tuple[Table, View]] = {
            self.key(table.schema, table.name): (table, view)
            for table in context.sorted_tables
            if (view := view_of(table)) and context.run_object_filters(table, table.name, "view", False, None)
        }
        self.tables_aside()
        self.all: dict[Key, ViewInfo] = {
            self.key(info.schema, info.name): info for info in get_dependency_order(self.connection)
        }
        seen = schemas | {schema for schema, _ in self.wanted}
        self.existing = {key: info for key, info in self.all.items() if key[0] in seen and self.included(key)}
        self.removed = {key for key in self.existing if key not in self.wanted and key[0] in schemas}
        self.replaced: set[Key] = set()
        self.again: set[Key] = set()

    def key(self, schema: str | None, name: str) -> Key:
        return (None if schema == self.default else schema, str(name))

    def included(self, key: Key) -> bool:
        if key in self.wanted:
            return True
        table = sa.Table(key[1], MetaData(), schema=key[0])
        names = self.context.run_name_filters(key[1], "view", {"schema_name": key[0]})
        return bool(names and self.context.run_object_filters(table, key[1], "view", True, None))

    def tables_aside(self) -> None:
        """Alembic has taken mapped views for tables that are to be created."""
        tables = {self.key(table.schema, table.name) for table in self.context.sorted_tables if view_of(table)}
        self.ops.ops[:] = [
            operation
            for operation in self.ops.ops
            if not (
                isinstance(operation, (ops.CreateTableOp, ops.ModifyTableOps))
                and self.key(operation.schema, operation.table_name) in tables
            )
        ]

    def write(self) -> None:
        for key in self.wanted.keys() & self.existing.keys():
            self.compare_definitions(key)
        self.again = self.with_readers(self.again | self.removed | self.touched_tables()) - self.removed
        self.replaced -= self.again
        gone = [key for key in reversed(self.all) if key in self.again | self.removed]
        before = [operation for key in gone for operation in self.drop(key)]
        after: list[MigrateOperation] = []
        for key in self.wanted:
            if key in self.again or key not in self.existing:
                after += self.create(key)
            elif key in self.replaced:
                old = self.existing[key].definition.strip().rstrip(";")
                after.append(ReplaceViewOp(key[1], self.query(key), schema=key[0], replaces=old))
            else:
                after += self.changed_indexes(key)
        after += [
            operation.reverse()
            for operation in reversed(before)
            if self.owner(operation) in self.again and self.owner(operation) not in self.wanted
        ]
        self.ops.ops[:] = cast("list[ops.MigrateOperation]", [*before, *self.ops.ops, *after])

    @staticmethod
    def owner(operation: Any) -> Key:
        return (operation.schema, getattr(operation, "table_name", None) or operation.name)

    def compare_definitions(self, key: Key) -> None:
        (_, view), info = self.wanted[key], self.existing[key]
        new = self.temporary(view.select)
        if view.materialized == info.is_materialized and new == info.definition:
            return
        if not view.materialized and not info.is_materialized and new and self.replaceable(info.definition, new):
            self.replaced.add(key)
        else:
            self.again.add(key)

    def temporary(self, *queries: str | SelectBase) -> str | None:
        """How PostgreSQL writes the last of these queries when each replaces the one before; None: it takes it not."""
        name = sa.table("freshet_" + secrets.token_hex(8))
        with self.connection.begin_nested() as savepoint:
            try:
                for number, query in enumerate(queries):
                    self.connection.execute(DefineView(name, query, temporary=True, or_replace=number > 0))
                viewdef = sa.text("SELECT pg_catalog.pg_get_viewdef(CAST(:name AS pg_catalog.regclass))")
                return cast(str, self.connection.scalar(viewdef, {"name": "pg_temp." + name.name}))
            except DBAPIError as error:  # it reads what the same migration adds, say
                if error.connection_invalidated:
                    raise
                return None
            finally:
                savepoint.rollback()

    def replaceable(self, old: str, new: str) -> bool:
        """Whether CREATE OR REPLACE VIEW leads there and back."""
        return self.temporary(old, new, old) is not None

    def touched_tables(self) -> set[Key]:
        """Tables of which columns go or change their type, or that go as a whole: not while a view reads them."""
        touched: set[Key] = set()
        for operation in self.ops.ops:
            if isinstance(operation, ops.DropTableOp) or (
                isinstance(operation, ops.ModifyTableOps) and any(map(_disturbs_views, operation.ops))
            ):
                touched.add(self.key(operation.schema, operation.table_name))
        return touched

    def with_readers(self, keys: set[Key]) -> set[Key]:
        """Those of the keys that are views, and the views that read any of them, and so on."""
        edges = [
            (
                self.key(dependency.referenced_schema, dependency.referenced_name),
                self.key(dependency.dependent_schema, dependency.dependent_name),
            )
            for dependency in get_view_dependencies(self.connection)
        ]
        found, size = set(keys), -1
        while len(found) != size:
            size = len(found)
            found |= {reader for read, reader in edges if read in found}
        return {key for key in found if key in self.all}

    def query(self, key: Key) -> str:
        """The mapped view's query as it is written into the migration."""
        dialect = self.connection.dialect
        query = str(self.wanted[key][1].select.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
        doubled = dialect.paramstyle in ("format", "pyformat")
        return query.replace("%%", "%") if doubled else query

    def create(self, key: Key) -> list[MigrateOperation]:
        table, view = self.wanted[key]
        kind = CreateMaterializedViewOp if view.materialized else CreateViewOp
        made = kind(key[1], self.query(key), schema=key[0], with_data=getattr(view, "with_data", True))
        indexes = sorted(table.indexes, key=lambda index: str(index.name))
        return [made, *(ops.CreateIndexOp.from_index(index) for index in indexes)]

    def drop(self, key: Key) -> list[MigrateOperation]:
        info = self.all[key]
        kind = DropMaterializedViewOp if info.is_materialized else DropViewOp
        dropped = kind(key[1], schema=key[0], definition=info.definition.strip().rstrip(";"))
        return [*(ops.DropIndexOp.from_index(index) for index in self.reflected(key)), dropped]

    def reflected(self, key: Key) -> list[sa.Index]:
        if not self.all[key].is_materialized:
            return []
        table = Table(key[1], MetaData(), schema=key[0], autoload_with=self.connection)
        return sorted(table.indexes, key=lambda index: str(index.name))

    def changed_indexes(self, key: Key) -> list[MigrateOperation]:
        table, view = self.wanted[key]
        if not view.materialized:
            return []
        name = "freshet_" + secrets.token_hex(8)
        preparer = self.connection.dialect.identifier_preparer
        with self.connection.begin_nested() as savepoint:
            like = f"CREATE TEMPORARY TABLE {name} (LIKE {preparer.format_table(table)})"
            self.connection.exec_driver_sql(like)
            copy = table.to_metadata(MetaData(), name=name, schema="pg_temp")
            named = {}
            for index in sorted(table.indexes, key=lambda index: str(index.name)):
                (twin,) = (twin for twin in copy.indexes if twin.name == index.name)
                known = set(self.indexdefs("pg_temp", name))
                self.connection.execute(CreateIndex(twin))
                (real,) = set(self.indexdefs("pg_temp", name)) - known  # as PostgreSQL cuts it
                named[real] = index
            new = self.indexdefs("pg_temp", name)
            savepoint.rollback()
        old = self.indexdefs(table.schema or self.default, table.name)
        drop = [index for index in self.reflected(key) if old.get(str(index.name)) != new.get(str(index.name))]
        make = [index for real, index in named.items() if old.get(real) != new[real]]
        return [*map(ops.DropIndexOp.from_index, drop), *map(ops.CreateIndexOp.from_index, make)]

    def indexdefs(self, schema: str | None, name: str) -> dict[str, str]:
        """What each index of a relation is, apart from its name and the relation's."""
        rows = self.connection.execute(
            sa.text("""
                SELECT c.relname::text, i.indisunique::text || pg_catalog.substr(pg_catalog.pg_get_indexdef(c.oid),
                    pg_catalog.length(pg_catalog.format('CREATE %sINDEX %I ON %I.%I ',
                        CASE WHEN i.indisunique THEN 'UNIQUE ' END, c.relname,
                        CASE WHEN n.oid = pg_catalog.pg_my_temp_schema() THEN 'pg_temp' ELSE n.nspname END,
                        t.relname)) + 1)
                FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
                JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
                JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
                WHERE t.relname = :name AND CASE WHEN :schema = 'pg_temp' THEN n.oid = pg_catalog.pg_my_temp_schema()
                    ELSE n.nspname = :schema END
            """),
            {"schema": schema, "name": name},
        )
        return {str(row[0]): str(row[1]) for row in rows}


def _disturbs_views(operation: Any) -> bool:
    return isinstance(operation, ops.DropColumnOp) or (
        isinstance(operation, ops.AlterColumnOp) and operation.modify_type is not None
    )


def _register(compare: Callable[..., None]) -> None:
    """After Alembic's own comparisons, whose operations ours are put around."""
    try:
        from alembic.util import DispatchPriority
    except ImportError:  # before 1.18, in the order of registration
        comparators.dispatch_for("schema")(compare)
    else:
        comparators.dispatch_for("schema", priority=DispatchPriority.LAST)(compare)


_register(_compare)

__all__: Sequence[str] = [
    "CreateMaterializedViewOp",
    "CreateViewOp",
    "DropMaterializedViewOp",
    "DropViewOp",
    "RefreshMaterializedViewOp",
    "ReplaceViewOp",
]
