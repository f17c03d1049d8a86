"""A view as an object: its query, and the Table that stands for it.

The Table is an ordinary one of the user's MetaData, so that queries, mappings, create_all, drop_all, checkfirst and
schemas are SQLAlchemy's own. Only how it is created and dropped is ours (ddl.py). Its columns, their types and its
primary key come from the query.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast, overload

from sqlalchemy import ClauseElement, Column, Index, MetaData, SelectBase, Table
from sqlalchemy.dialects.postgresql import ENUM
from sqlalchemy.exc import ArgumentError
from sqlalchemy.sql import ColumnElement, Select, visitors
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import Enum, TypeEngine
from typing_extensions import Self

if TYPE_CHECKING:
    from .refresh import Refreshes, RefreshesLater

INFO = "freshet.view"


class View:
    """A PostgreSQL view over a select, as a Table of a MetaData.

    primary_key: names of columns; without it, what the query says (key_of). depends_on: tables the query does not show,
    because it is text.
    """

    materialized: ClassVar[bool] = False

    def __init__(
        self,
        name: str,
        select: SelectBase,
        *,
        metadata: MetaData | None = None,
        schema: str | None = None,
        primary_key: Iterable[str] | None = None,
        depends_on: Iterable[Table] = (),
        comment: str | None = None,
        types: dict[str, TypeEngine[Any]] | None = None,
    ) -> None:
        self.select = select
        columns = columns_of(name, select)
        known = key_of(select)
        names = list(columns) if known is None else known
        if primary_key is not None:
            names = list(primary_key)
            if unknown := [column for column in names if column not in columns]:
                raise ArgumentError(f"view {name!r} has no column {unknown[0]!r} that could be of its primary key")
        self.unique_key: Sequence[str] | None = known if primary_key is None else names
        self.table = Table(
            name,
            MetaData() if metadata is None else metadata,
            *(
                Column(column, (types or {}).get(column, _usable(type_)), primary_key=column in names)
                for column, type_ in columns.items()
            ),
            schema=schema,
            comment=comment,
        )
        self._stand_for(self.table, depends_on)

    @classmethod
    def of(cls, table: Table, select: SelectBase, depends_on: Iterable[Table] = ()) -> Self:
        """The view that a Table, reflected perhaps, is of."""
        view = cls.__new__(cls)
        view.select = select
        view.unique_key = None
        view.table = table
        view._stand_for(table, depends_on)
        return view

    def _stand_for(self, table: Table, depends_on: Iterable[Table]) -> None:
        table.info[INFO] = self
        self.depends_on = tuple(dict.fromkeys([*tables_of(self.select), *depends_on]))
        for other in self.depends_on:
            table.add_is_dependent_on(other)
        if hasattr(table, "set_creator_ddl"):  # SQLAlchemy 2.1; with 2.0, ddl.py sees to it
            from .ddl import creator, dropper

            table.set_creator_ddl(cast(Any, creator(self)))
            table.set_dropper_ddl(cast(Any, dropper(self)))

    @property
    def name(self) -> str:
        return self.table.name

    @property
    def schema(self) -> str | None:
        return self.table.schema

    @property
    def fullname(self) -> str:
        return self.table.fullname

    @property
    def c(self) -> Any:
        return self.table.c

    def as_table(self) -> Table:
        """The Table, for select()."""
        return self.table

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.fullname!r})"


class MaterializedView(View):
    """A materialized view. Freshet keeps it fresh; elsewhere it is as of its last refresh.

    unique_index: make a unique index on the primary key if the query guarantees one; REFRESH … CONCURRENTLY needs it,
    and so does get() of a large view.
    """

    materialized = True
    with_data = True

    def __init__(
        self,
        name: str,
        select: SelectBase,
        *,
        metadata: MetaData | None = None,
        schema: str | None = None,
        primary_key: Iterable[str] | None = None,
        depends_on: Iterable[Table] = (),
        comment: str | None = None,
        types: dict[str, TypeEngine[Any]] | None = None,
        with_data: bool = True,
        unique_index: bool = True,
    ) -> None:
        self.with_data = with_data
        super().__init__(
            name,
            select,
            metadata=metadata,
            schema=schema,
            primary_key=primary_key,
            depends_on=depends_on,
            comment=comment,
            types=types,
        )
        if unique_index and self.unique_key:
            Index(None, *(self.table.c[column] for column in self.unique_key), unique=True)

    @overload
    def refresh(self, conn: Refreshes, concurrently: bool = False) -> None: ...

    @overload
    def refresh(self, conn: RefreshesLater, concurrently: bool = False) -> Coroutine[Any, Any, None]: ...

    def refresh(self, conn: Any, concurrently: bool = False) -> Coroutine[Any, Any, None] | None:
        """REFRESH MATERIALIZED VIEW, in conn's transaction. Of an asynchronous conn: await it."""
        from .refresh import refresh

        return refresh(self, conn, concurrently=concurrently)

    def auto_refresh_on(self, target: Any, *tables: Any, concurrently: bool = False) -> None:
        """Refresh after each commit of a session of target that wrote to one of the tables."""
        from .refresh import auto_refresh_on

        auto_refresh_on(self, target, *tables, concurrently=concurrently)


def view_of(anything: Any) -> View | None:
    """The View behind a View, a Table or a mapped class; None for what is none."""
    if isinstance(anything, View):
        return anything
    table = getattr(anything, "__table__", anything)
    found = table.info.get(INFO) if isinstance(table, Table) else None
    return found if isinstance(found, View) else None


def views_of(metadata: MetaData) -> list[tuple[Table, View]]:
    """The views of a MetaData in the order in which they can be created."""
    return [(table, view) for table in metadata.sorted_tables if (view := view_of(table))]


def include_object(obj: Any, name: Any, type_: str, reflected: bool, compare_to: Any) -> bool:
    """For Alembic's include_object where migrations of views are written by hand: a mapped view is not a table."""
    return not (type_ == "table" and view_of(obj))


def columns_of(name: str, select: SelectBase) -> dict[str, TypeEngine[Any]]:
    """Names and types of a query's columns."""
    found: dict[str, TypeEngine[Any]] = {}
    for number, (key, column) in enumerate(select.subquery().c.items(), 1):
        if column.name != key and column.name.startswith("%("):
            shown = next(iter(column.base_columns))
            raise ArgumentError(f"column {number} of view {name!r}, {shown}, has no name: give it one with label()")
        found[key] = column.type
    return found


def key_of(select: SelectBase) -> list[str] | None:
    """The columns whose values are different in each row, as far as the query alone says so; None: it does not.

    They are what it groups by, or all columns if it is DISTINCT, or the primary keys of all tables in FROM. Of a table
    whose primary key is among them, other columns are not needed.
    """
    if not isinstance(select, Select) or any(map(_gives_rows, select.selected_columns)):
        return None
    shown = {base: key for key, column in select.subquery().c.items() for base in column.base_columns}
    keys: list[ColumnElement[Any]]
    if select._group_by_clauses:
        keys = [base for clause in select._group_by_clauses for base in getattr(clause, "base_columns", [clause])]
    elif select._distinct:
        return None if select._distinct_on else list(dict.fromkeys(shown.values()))
    else:
        tables = [leaf for element in select.get_final_froms() for leaf in _joined(element)]
        if not all(isinstance(table, Table) and table.primary_key.columns for table in tables):
            return None
        keys = [column for table in tables for column in cast(Table, table).primary_key.columns]
        if len({id(table) for table in tables}) != len(tables):
            return None
    if not all(key in shown for key in keys):
        return None
    enough = [key for key in keys if not _follows(key, keys)]
    return list(dict.fromkeys(shown[key] for key in enough)) or None


def tables_of(select: ClauseElement) -> Iterator[Table]:
    """The tables a query reads, subqueries and joins over relationships included."""
    seen: set[int] = set()
    waiting: list[Any] = [select]
    while waiting:
        for element in visitors.iterate(waiting.pop()):
            if id(element) in seen:
                continue
            seen.add(id(element))
            if isinstance(element, Table):
                yield cast(Table, element._deannotate())
            elif isinstance(element, Select):
                waiting += element.get_final_froms()


def _joined(element: Any) -> Iterator[Any]:
    """The tables of a tree of joins."""
    if hasattr(element, "left") and hasattr(element, "right"):
        yield from _joined(element.left)
        yield from _joined(element.right)
    else:
        yield element


def _gives_rows(column: Any) -> bool:
    """Whether a column may give several rows for one: a function that is not known to be an aggregate might."""
    return any(
        isinstance(element, FunctionElement) and element.name.lower() in ROW_FUNCTIONS
        for element in visitors.iterate(column)
        if hasattr(element, "name")
    )


ROW_FUNCTIONS = frozenset(
    """unnest generate_series generate_subscripts regexp_matches regexp_split_to_table string_to_table json_each
    json_each_text json_array_elements json_array_elements_text json_object_keys jsonb_each jsonb_each_text
    jsonb_array_elements jsonb_array_elements_text jsonb_object_keys jsonb_path_query json_populate_recordset
    jsonb_populate_recordset""".split()  # noqa: SIM905
)


def _follows(key: ColumnElement[Any], keys: Sequence[ColumnElement[Any]]) -> bool:
    """Whether a column is determined by the primary key of its table, which is among the keys as well."""
    table = getattr(key, "table", None)
    if not isinstance(table, Table) or getattr(key, "primary_key", False) or not table.primary_key.columns:
        return False
    return all(any(other is column for other in keys) for column in table.primary_key.columns)


def _usable(type_: TypeEngine[Any]) -> TypeEngine[Any]:
    """The type for a column that is only read: creating or dropping the view does not touch an enum's type."""
    if isinstance(type_, ENUM):
        return cast(TypeEngine[Any], cast(Any, type_).copy(create_type=False))
    if isinstance(type_, Enum) and type_.native_enum and type_.name:
        return cast(TypeEngine[Any], cast(Any, type_).adapt(ENUM, create_type=False))
    return type_
