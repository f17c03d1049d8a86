"""What the package offers without SQLAlchemy, and with it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias, overload

from ._channel import Asking, Query, Source, ask, can_reopen, is_async, require_extension
from ._records import Row, row_class
from ._subscription import AsyncSubscription, Plan, Subscription

if TYPE_CHECKING:
    import asyncpg
    import psycopg
    from sqlalchemy import Connection, Engine
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
    from sqlalchemy.orm import Session

    AsyncSource: TypeAlias = (
        AsyncEngine | AsyncConnection | AsyncSession | psycopg.AsyncConnection[Any] | asyncpg.Connection[Any]
    )
    SyncSource: TypeAlias = str | Engine | Connection | Session | psycopg.Connection[Any]  # and psycopg2's


@overload
def subscribe(
    source: AsyncSource,
    what: Any,
    *,
    snapshot: bool = True,
    up_to: int | datetime | None = None,
    heartbeat: float | None = None,
    resume: bool | None = None,
) -> AsyncSubscription[Row]: ...


@overload
def subscribe(
    source: SyncSource,
    what: Any,
    *,
    snapshot: bool = True,
    up_to: int | datetime | None = None,
    heartbeat: float | None = None,
    resume: bool | None = None,
) -> Subscription[Row]: ...


def subscribe(source: Source, what: Any, **options: Any) -> AsyncSubscription[Row] | Subscription[Row]:
    """Follow a table, view, materialized view or query as its changes commit.

    source: an Engine or AsyncEngine, a connection string (asubscribe for an asynchronous one), or an open connection,
    best in autocommit mode. what: a mapped class, a Table, a View or a select(); or SQL, as the server reads it: a
    name, quoted where it has to be, or a query in parentheses. Never build it from what others may choose.

    snapshot: begin with the content. up_to: end before a time. heartbeat: so many seconds without a change give an
    empty batch. resume: after a lost connection subscribe anew and hand out the difference, for which the content is
    kept in memory; the default where new connections can be had.
    """
    source = _bind(source)
    return (AsyncSubscription if is_async(source) else Subscription)(source, plan(source, what, **options))


def asubscribe(
    source: str | AsyncSource,
    what: Any,
    *,
    snapshot: bool = True,
    up_to: int | datetime | None = None,
    heartbeat: float | None = None,
    resume: bool | None = None,
) -> AsyncSubscription[Row]:
    """subscribe() for `async for`, from a connection string as well."""
    source = _bind(source)
    made = plan(source, what, snapshot=snapshot, up_to=up_to, heartbeat=heartbeat, resume=resume)
    return AsyncSubscription(source, made)


def plan(
    source: Source,
    what: Any,
    *,
    snapshot: bool = True,
    up_to: int | datetime | None = None,
    heartbeat: float | None = None,
    resume: bool | None = None,
    make: Callable[[Sequence[str]], Callable[[Sequence[Any]], Any]] = row_class,
) -> Plan[Any]:
    """How to follow something, with the options of subscribe()."""
    if resume and not can_reopen(source):
        raise ValueError("to resume needs an engine or a connection string: of a connection there is only one")
    if heartbeat is not None and not heartbeat > 0:
        raise ValueError("a heartbeat takes some time")
    if isinstance(up_to, datetime):
        if up_to.tzinfo is None:
            raise ValueError("up_to needs a time zone")
        up_to = round(up_to.timestamp() * 1000)
    target, columns = _target(source, what)
    return Plan(target, columns, make, snapshot, up_to, heartbeat, can_reopen(source) if resume is None else resume)


def _bind(source: Source) -> Source:
    """The engine or connection of a session."""
    if not hasattr(source, "get_bind"):
        return source
    if is_async(source):
        from sqlalchemy.ext.asyncio import AsyncEngine

        return source.bind if source.bind is not None else AsyncEngine(source.get_bind())
    return source.get_bind()


def _target(source: Source, what: Any) -> tuple[Callable[[Any], str], Sequence[Any] | None]:
    """How the server is told what to follow, and its columns where SQLAlchemy is to convert their values."""
    if isinstance(what, str):
        return lambda connection: what, None
    from sqlalchemy import BigInteger, Numeric, SelectBase, Table, Text, column

    alchemy = type(source).__module__.partition(".")[0] == "sqlalchemy"
    head: list[Any] = [column("image_", Text), column("time_", Numeric), column("diff_", BigInteger)]
    if isinstance(what, SelectBase):
        if not alchemy:
            raise TypeError("a select() can be followed through an engine or connection of SQLAlchemy's")
        columns = [column(name, of.type) for name, of in what.subquery().c.items()]
        return lambda connection: f"({_literal(what, connection.dialect)})", head + columns
    table = getattr(what, "__table__", getattr(what, "table", what))
    if not isinstance(table, Table):
        raise TypeError(f"neither a table, a view, a mapped class nor a select(): {what!r}")
    columns = [column(of.name, of.type) for of in table.columns]
    return lambda connection: _name(table, connection), head + columns if alchemy else None


def _name(table: Any, connection: Any) -> str:
    from sqlalchemy.dialects import postgresql

    dialect = getattr(connection, "dialect", None) or postgresql.dialect()  # type: ignore[no-untyped-call]
    preparer = dialect.identifier_preparer
    # Not format_table, which doubles % for drivers: the name is sent as a parameter.
    names = [name for name in (table.schema, table.name) if name]
    return ".".join(_undoubled(preparer.quote(name), dialect) for name in names)


def _literal(query: Any, dialect: Any) -> str:
    return _undoubled(str(query.compile(dialect=dialect, compile_kwargs={"literal_binds": True})), dialect)


def _undoubled(sql: str, dialect: Any) -> str:
    """What is sent as a parameter has its % once, and not as a driver wants it in a statement."""
    return sql.replace("%%", "%") if dialect.paramstyle in ("format", "pyformat") else sql


@dataclass(frozen=True)
class ViewStatus:
    """A row of freshet.views: how a materialized view is kept, and how far it is."""

    view: str
    maintained: bool
    strategy: str | None
    reason: str | None
    frontier: str | None
    frontier_time: datetime | None
    lag: timedelta | None
    rows_in: int | None
    rows_out: int | None
    cycles: int | None
    last_cycle: timedelta | None
    error: str | None
    sqlstate: str | None


@overload
def fresh(conn: AsyncSource) -> Coroutine[Any, Any, None]: ...


@overload
def fresh(conn: SyncSource) -> None: ...


def fresh(conn: Any) -> Any:
    """Return when all that was committed before is in every materialized view.

    A statement waits for that itself; this is for who reads with freshet.max_staleness, and for tests.
    """

    def asking() -> Asking[None]:
        if (yield from require_extension()):
            yield Query("SELECT freshet.wait_fresh()::text")

    return ask(conn, asking)


@overload
def views(conn: AsyncSource) -> Coroutine[Any, Any, list[ViewStatus]]: ...


@overload
def views(conn: SyncSource) -> list[ViewStatus]: ...


def views(conn: Any) -> Any:
    """All materialized views of the database, and how each is kept."""

    def asking() -> Asking[list[ViewStatus]]:
        if not (yield from require_extension()):
            return []
        names = list(ViewStatus.__dataclass_fields__)
        shown = [f"{name}::text" if name in ("view", "frontier", "strategy") else name for name in names]
        answer = yield Query(f"SELECT {', '.join(shown)} FROM freshet.views ORDER BY 1")
        return [ViewStatus(*row) for row in answer.rows]

    return ask(conn, asking)


@overload
def explain(conn: AsyncSource, view: Any) -> Coroutine[Any, Any, str]: ...


@overload
def explain(conn: SyncSource, view: Any) -> str: ...


def explain(conn: Any, view: Any) -> Any:
    """How a materialized view is kept fresh, as text."""

    def asking() -> Asking[str]:
        yield from require_extension(make=True)
        answer = yield Query("SELECT * FROM freshet.explain(%s::text::regclass)", (_regclass(view),))
        return "\n".join(row[0] for row in answer.rows)

    return ask(conn, asking)


@overload
def verify(conn: AsyncSource, view: Any) -> Coroutine[Any, Any, int]: ...


@overload
def verify(conn: SyncSource, view: Any) -> int: ...


def verify(conn: Any, view: Any) -> Any:
    """How many rows of a materialized view differ from its query at the view's own cut: 0."""

    def asking() -> Asking[int]:
        yield from require_extension(make=True)
        answer = yield Query("SELECT freshet.verify(%s::text::regclass)", (_regclass(view),))
        return int(answer.rows[0][0])

    return ask(conn, asking)


def _regclass(view: Any) -> str:
    """A view's name as SQL: a string is taken as it is."""
    if isinstance(view, str):
        return view
    return _name(getattr(view, "__table__", getattr(view, "table", view)), None)
