"""CREATE, DROP and REFRESH of views as SQLAlchemy's DDL elements.

With SQLAlchemy 2.1 they are its own constructs, so that a Table knows that it is a view. SQLAlchemy 2.0 has none:
there, the compilation of CREATE TABLE and DROP TABLE of such a Table gives theirs. A query's values are written into it
as literals, since DDL has no parameters; names are quoted by the dialect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy.schema
from sqlalchemy import MetaData, SelectBase, Table, TableClause, literal_column
from sqlalchemy.exc import ArgumentError, CompileError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateTable, DropTable, DropTableComment, ExecutableDDLElement, SetTableComment
from typing_extensions import Self

from .view import MaterializedView, View, view_of

if TYPE_CHECKING:
    from sqlalchemy.schema import ExecutableDDLElement as _Create
    from sqlalchemy.schema import ExecutableDDLElement as _Drop
else:
    _Create = getattr(sqlalchemy.schema, "CreateView", ExecutableDDLElement)
    _Drop = getattr(sqlalchemy.schema, "DropView", ExecutableDDLElement)


class CreateView(_Create):
    """CREATE VIEW of a View or of a mapped class."""

    inherit_cache = False
    materialized = False

    def __init__(self, view: Any, *, or_replace: bool = False, if_not_exists: bool = False) -> None:
        self._set(_view(view, self.materialized))
        self.or_replace = or_replace
        self.if_not_exists = if_not_exists

    def _set(self, view: View) -> None:
        self.view = view
        self.table = view.table
        self.selectable: Any = view.select  # where SQLAlchemy 2.1 looks

    @property
    def element(self) -> Any:
        return self.table

    def to_metadata(self, metadata: MetaData, table: Table) -> Self:
        """For Table.to_metadata: the same view under the name of its copy."""
        new = self.__class__.__new__(self.__class__)
        new.__dict__.update(self.__dict__)
        new.table = table
        return new


class CreateMaterializedView(CreateView):
    """CREATE MATERIALIZED VIEW of a MaterializedView or of a mapped class."""

    inherit_cache = False
    materialized = True

    def __init__(self, view: Any, *, if_not_exists: bool = False, with_data: bool | None = None) -> None:
        super().__init__(view, if_not_exists=if_not_exists)
        assert isinstance(self.view, MaterializedView)
        self.with_data = self.view.with_data if with_data is None else with_data


class DropView(_Drop):
    """DROP VIEW of a View, a mapped class or a Table."""

    inherit_cache = False
    materialized = False

    def __init__(self, view: Any, *, if_exists: bool = False, cascade: bool = False) -> None:
        self.element: Any = _relation(view)
        self.if_exists = if_exists
        self.cascade = cascade

    def to_metadata(self, metadata: MetaData, table: Table) -> Self:
        return type(self)(table, if_exists=self.if_exists, cascade=self.cascade)


class DropMaterializedView(DropView):
    """DROP MATERIALIZED VIEW."""

    inherit_cache = False
    materialized = True


class RefreshMaterializedView(ExecutableDDLElement):
    """REFRESH MATERIALIZED VIEW [CONCURRENTLY] … [WITH NO DATA]."""

    inherit_cache = False

    def __init__(self, view: Any, *, concurrently: bool = False, with_data: bool = True) -> None:
        if concurrently and not with_data:
            raise ArgumentError("a view is refreshed concurrently, or left without data: not both")
        self.element: Any = _relation(view)
        self.concurrently = concurrently
        self.with_data = with_data


class DefineView(ExecutableDDLElement):
    """CREATE of a view whose query is text, as in a migration."""

    inherit_cache = False

    def __init__(
        self,
        relation: TableClause,
        definition: str | SelectBase,
        *,
        materialized: bool = False,
        or_replace: bool = False,
        if_not_exists: bool = False,
        with_data: bool = True,
        temporary: bool = False,
    ) -> None:
        self.element: Any = relation
        self.selectable: Any = definition
        self.materialized = materialized
        self.or_replace = or_replace
        self.if_not_exists = if_not_exists
        self.with_data = with_data
        self.temporary = temporary


@compiles(CreateView)
@compiles(CreateMaterializedView)
@compiles(DefineView)
def _create(element: Any, compiler: Any, **kw: Any) -> str:
    query = element.selectable
    if isinstance(query, str):
        query = literal_column(query.strip().rstrip(";"))
    if element.materialized:
        _only_postgresql(compiler, "materialized views")
    elif element.if_not_exists and compiler.dialect.name == "postgresql":
        raise CompileError("PostgreSQL has CREATE OR REPLACE VIEW, not CREATE VIEW IF NOT EXISTS")
    words = [
        "CREATE",
        "OR REPLACE" if element.or_replace else "",
        "TEMPORARY" if getattr(element, "temporary", False) else "",
        "MATERIALIZED VIEW" if element.materialized else "VIEW",
        "IF NOT EXISTS" if element.if_not_exists else "",
        compiler.preparer.format_table(element.element),
        "AS",
        compiler.sql_compiler.process(query, literal_binds=True),
        "WITH NO DATA" if element.materialized and not element.with_data else "",
    ]
    return " ".join(filter(None, words))


@compiles(DropView)
@compiles(DropMaterializedView)
def _drop(element: Any, compiler: Any, **kw: Any) -> str:
    words = [
        "DROP",
        "MATERIALIZED VIEW" if element.materialized else "VIEW",
        "IF EXISTS" if element.if_exists else "",
        compiler.preparer.format_table(element.element),
        "CASCADE" if element.cascade else "",
    ]
    return " ".join(filter(None, words))


@compiles(RefreshMaterializedView)
def _refresh(element: Any, compiler: Any, **kw: Any) -> str:
    _only_postgresql(compiler, "materialized views")
    words = [
        "REFRESH MATERIALIZED VIEW",
        "CONCURRENTLY" if element.concurrently else "",
        compiler.preparer.format_table(element.element),
        "" if element.with_data else "WITH NO DATA",
    ]
    return " ".join(filter(None, words))


# COMMENT ON TABLE refuses a view.
@compiles(SetTableComment, "postgresql")
def _set_comment(element: Any, compiler: Any, **kw: Any) -> str:
    return _comment_on(element, compiler.visit_set_table_comment(element, **kw))


@compiles(DropTableComment, "postgresql")
def _drop_comment(element: Any, compiler: Any, **kw: Any) -> str:
    return _comment_on(element, compiler.visit_drop_table_comment(element, **kw))


def _comment_on(element: Any, sql: str) -> str:
    view = view_of(element.element)
    if view is None:
        return sql
    return sql.replace("COMMENT ON TABLE ", f"COMMENT ON {'MATERIALIZED VIEW' if view.materialized else 'VIEW'} ", 1)


if not hasattr(Table, "set_creator_ddl"):  # SQLAlchemy 2.0

    @compiles(CreateTable)
    def _create_table(element: Any, compiler: Any, **kw: Any) -> str:
        view = view_of(element.element)
        if view is None:
            return str(compiler.visit_create_table(element, **kw))
        return _create(creator(view).to_metadata(element.element.metadata, element.element), compiler, **kw)

    @compiles(DropTable)
    def _drop_table(element: Any, compiler: Any, **kw: Any) -> str:
        view = view_of(element.element)
        if view is None:
            return str(compiler.visit_drop_table(element, **kw))
        drop = DropMaterializedView if view.materialized else DropView
        return _drop(drop(element.element, if_exists=element.if_exists), compiler, **kw)


def creator(view: View) -> CreateView:
    """What creates a view in create_all."""
    return CreateMaterializedView(view) if isinstance(view, MaterializedView) else CreateView(view)


def dropper(view: View) -> DropView:
    """What drops a view in drop_all."""
    return DropMaterializedView(view.table) if view.materialized else DropView(view.table)


def _view(anything: Any, materialized: bool) -> View:
    view = view_of(anything)
    if view is None or view.materialized != materialized:
        raise ArgumentError(f"{anything!r} is not a {'materialized ' if materialized else ''}view")
    return view


def _relation(anything: Any) -> Any:
    """What has a name to quote: the Table of a view or of a mapped class, or any Table."""
    if isinstance(anything, View):
        return anything.table
    table = getattr(anything, "__table__", anything)
    if not isinstance(table, TableClause):
        raise ArgumentError(f"{anything!r} is neither a view nor a table")
    return table


def _only_postgresql(compiler: Any, what: str) -> None:
    if compiler.dialect.name not in ("postgresql", "default"):
        raise CompileError(f"{what} are PostgreSQL's, not {compiler.dialect.name}'s")
