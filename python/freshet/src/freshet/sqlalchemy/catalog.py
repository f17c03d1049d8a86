"""What PostgreSQL's catalogs say of views: which there are, what they read, in which order they can be made.

Each function takes a Connection or a Session; of an asynchronous one, use run_sync(). Views of extensions are left out,
and so are those of the system's schemas.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, MetaData, Table, column, text
from sqlalchemy.dialects.postgresql import ENUM
from sqlalchemy.exc import NoSuchTableError
from sqlalchemy.orm import Session

from .view import MaterializedView, View

# pg_catalog is named so that no schema of the search_path stands in for it.
_VIEWS = """
    SELECT n.nspname::text, c.relname::text, pg_catalog.pg_get_viewdef(c.oid), c.relkind = 'm', c.oid,
        pg_catalog.pg_table_is_visible(c.oid)
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('v', 'm')
        AND (CAST(:schema AS text) IS NOT NULL OR n.nspname !~ '^pg_' AND n.nspname <> 'information_schema')
        AND (CAST(:schema AS text) IS NULL OR n.nspname = :schema)
        AND (CAST(:name AS text) IS NULL OR c.relname = :name)
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
            AND e.objid = c.oid AND e.deptype = 'e')
    ORDER BY 1, 2
"""
_DEPENDENCIES = """
    SELECT DISTINCT vn.nspname::text, v.relname::text, rn.nspname::text, r.relname::text, r.relkind::text
    FROM pg_catalog.pg_rewrite w
    JOIN pg_catalog.pg_class v ON v.oid = w.ev_class AND v.relkind IN ('v', 'm')
    JOIN pg_catalog.pg_namespace vn ON vn.oid = v.relnamespace
    JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = w.oid
    JOIN pg_catalog.pg_class r ON d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND r.oid = d.refobjid
        AND r.oid <> v.oid
    JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace
    WHERE vn.nspname !~ '^pg_' AND vn.nspname <> 'information_schema'
    ORDER BY 1, 2, 3, 4
"""


@dataclass(frozen=True)
class ViewInfo:
    """A view of the database; definition is its query as PostgreSQL writes it."""

    schema: str
    name: str
    definition: str
    is_materialized: bool

    @property
    def fullname(self) -> str:
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True)
class ViewDependency:
    """That one view reads a table or view."""

    dependent_schema: str
    dependent_name: str
    referenced_schema: str
    referenced_name: str
    referenced_is_view: bool

    @property
    def dependent_fullname(self) -> str:
        return f"{self.dependent_schema}.{self.dependent_name}"

    @property
    def referenced_fullname(self) -> str:
        return f"{self.referenced_schema}.{self.referenced_name}"


def get_all_views(
    conn: Connection | Session, schema: str | None = None, *, include_materialized: bool = True
) -> list[ViewInfo]:
    """The views of a schema, or of all schemas but the system's."""
    rows = conn.execute(text(_VIEWS), {"schema": schema, "name": None})
    return [ViewInfo(*row[:4]) for row in rows if include_materialized or not row[3]]


def get_view(conn: Connection | Session, name: str, schema: str | None = None) -> ViewInfo:
    """One view; without schema, the one that the name alone means."""
    rows = conn.execute(text(_VIEWS), {"schema": schema, "name": name})
    found = [ViewInfo(*row[:4]) for row in rows if schema is not None or row[5]]
    if not found:
        raise NoSuchTableError(name if schema is None else f"{schema}.{name}")
    return found[0]


def get_view_definition(conn: Connection | Session, name: str, schema: str | None = None) -> str:
    """A view's query as PostgreSQL writes it, without the semicolon."""
    return get_view(conn, name, schema).definition.strip().rstrip(";")


def get_view_dependencies(
    conn: Connection | Session, name: str | None = None, schema: str | None = None
) -> list[ViewDependency]:
    """What a view reads, directly; without a name, what each view reads."""
    return [
        dependency
        for dependency in _dependencies(conn)
        if name in (None, dependency.dependent_name) and schema in (None, dependency.dependent_schema)
    ]


def get_reverse_dependencies(conn: Connection | Session, name: str, schema: str | None = None) -> list[ViewDependency]:
    """Which views read a table or view, directly."""
    return [
        dependency
        for dependency in _dependencies(conn)
        if dependency.referenced_name == name and schema in (None, dependency.referenced_schema)
    ]


def get_dependency_order(conn: Connection | Session, schema: str | None = None) -> list[ViewInfo]:
    """All views, each after those it reads: the order to make or refresh them in. Drop them in reverse."""
    views = {(view.schema, view.name): view for view in get_all_views(conn, schema)}
    reads: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for dependency in _dependencies(conn):
        reads.setdefault((dependency.dependent_schema, dependency.dependent_name), []).append(
            (dependency.referenced_schema, dependency.referenced_name)
        )
    order: dict[tuple[str, str], None] = {}

    def visit(key: tuple[str, str]) -> None:  # views cannot read one another in a circle
        if key not in order:
            for below in reads.get(key, ()):
                visit(below)
            order[key] = None

    for key in views:
        visit(key)
    return [views[key] for key in order if key in views]


def reflect_view(
    conn: Connection | Session, name: str, *, metadata: MetaData | None = None, schema: str | None = None
) -> View:
    """A View or MaterializedView of one in the database, with its columns, types and indexes.

    The catalogs know no primary key of a view. Of the tables it reads, it depends on those that metadata has.
    """
    info = get_view(conn, name, schema)
    connection = conn.connection() if isinstance(conn, Session) else conn
    table = Table(name, MetaData() if metadata is None else metadata, schema=schema, autoload_with=connection)
    for type_ in (c.type for c in table.columns if isinstance(c.type, ENUM)):
        type_.create_type = False  # dropping the view does not touch it
    query = text(_escaped(info.definition)).columns(*(column(c.name, c.type) for c in table.columns))
    read = [
        table.metadata.tables.get(key)
        for dependency in get_view_dependencies(conn, name, info.schema)
        for key in (dependency.referenced_fullname, dependency.referenced_name)
    ]
    kind = MaterializedView if info.is_materialized else View
    return kind.of(table, query, [t for t in read if t is not None])


def _escaped(definition: str) -> str:
    """A query as text() takes it, which would read :name as a parameter."""
    return definition.strip().rstrip(";").replace(":", "\\:")


def _dependencies(conn: Connection | Session) -> list[ViewDependency]:
    return [ViewDependency(a, b, c, d, kind in ("v", "m")) for a, b, c, d, kind in conn.execute(text(_DEPENDENCIES))]
