"""REFRESH of views, by hand and after commits.

auto_refresh_on notices what a session writes on the session's own connection, whichever way it is written: by the
unit of work, by insert(), update() and delete(), or in bulk. The refresh runs on the same connection once the commit
is done, so it needs no second one from the pool. It is only as good as what passes through such a session: text() and
other programs are not seen. With Freshet the server compares, finds the view fresh, and does nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Table, UpdateBase, event
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session, async_sessionmaker
from sqlalchemy.orm import Session, scoped_session

from .ddl import RefreshMaterializedView
from .view import MaterializedView, View, tables_of, view_of

if TYPE_CHECKING:
    Refreshes: TypeAlias = Connection | Session | scoped_session[Any]
    RefreshesLater: TypeAlias = AsyncConnection | AsyncSession | async_scoped_session[Any]

REGISTERED = "freshet.auto_refresh"  # in Session.info: {view: (keys of tables, concurrently)}
WRITTEN = "freshet.written"  # in Session.info: {connection: keys of the tables written to}

logger = logging.getLogger("freshet.sqlalchemy")
_sessions: WeakKeyDictionary[Connection, Session] = WeakKeyDictionary()


def refresh(view: View, conn: Any, *, concurrently: bool = False) -> Coroutine[Any, Any, None] | None:
    """Refresh in conn's transaction; of an asynchronous conn, what is to be awaited."""
    statement = RefreshMaterializedView(view, concurrently=concurrently)
    if isinstance(conn, (AsyncConnection, AsyncSession, async_scoped_session)):
        return _refresh_later(conn, statement)
    conn.execute(statement)
    return None


async def _refresh_later(conn: Any, statement: RefreshMaterializedView) -> None:
    await conn.execute(statement)


def auto_refresh_on(view: MaterializedView, target: Any, *tables: Any, concurrently: bool = False) -> None:
    """See MaterializedViewBase.auto_refresh_on."""
    keys = frozenset(_key(getattr(table, "__table__", table)) for table in tables or base_tables(view))

    def register(session: Session, transaction: Any, connection: Connection) -> None:
        views = session.info.setdefault(REGISTERED, {})
        known = views.get(view, (frozenset(), False))
        views[view] = (known[0] | keys, concurrently)
        _sessions[connection] = session
        if not event.contains(connection, "after_execute", _note):
            event.listen(connection, "after_execute", _note)

    target = _synchronous(target)
    event.listen(target, "after_begin", register)
    for name, function in (("after_commit", _after_commit), ("after_rollback", _after_rollback)):
        if not event.contains(target, name, function):
            event.listen(target, name, function)


def base_tables(view: View) -> list[Table]:
    """The tables a view reads, also through other views."""
    found: list[Table] = []
    for table in view.depends_on:
        below = view_of(table)
        found += [table] if below is None else base_tables(below)
    return found


def _note(conn: Connection, statement: Any, *rest: Any) -> None:
    session = _sessions.get(conn)
    if session is not None and isinstance(statement, UpdateBase):
        written = session.info.setdefault(WRITTEN, {}).setdefault(conn, set())
        written.add(_key(statement.table))
        written.update(map(_key, tables_of(statement)))  # of data-modifying CTEs; more than was written does no harm


def _after_commit(session: Session) -> None:
    if session.in_nested_transaction():  # RELEASE SAVEPOINT: nothing is committed yet
        return
    registered = session.info.get(REGISTERED, {})
    for conn, keys in session.info.pop(WRITTEN, {}).items():
        stale = [view for view, (tables, _) in registered.items() if tables & keys]
        for view in sorted(stale, key=_depth):
            _refresh_committed(conn, view, registered[view][1])


def _after_rollback(session: Session) -> None:
    session.info.pop(WRITTEN, None)


def _refresh_committed(conn: Connection, view: View, concurrently: bool) -> None:
    """The commit is done, and whoever asked for it has to hear that it is: a failure here is logged."""
    statement = RefreshMaterializedView(view, concurrently=concurrently)
    try:
        if conn.in_transaction():  # the session's commit was within a transaction of the connection's owner
            with conn.begin_nested():
                conn.execute(statement)
        else:
            with conn.begin():
                conn.execute(statement)
    except Exception:
        logger.exception("cannot refresh %s after a commit", view.fullname)


def _depth(view: View) -> int:
    """Views over views are refreshed after those."""
    return 1 + max((_depth(below) for table in view.depends_on if (below := view_of(table))), default=0)


def _key(table: Any) -> str:
    name = getattr(table, "fullname", None)
    if not isinstance(name, str):
        raise ArgumentError(f"{table!r} is neither a table nor a mapped class")
    return name


def _synchronous(target: Any) -> Any:
    """What SQLAlchemy's session events can be listened to on."""
    if isinstance(target, async_scoped_session):
        target = target.session_factory
    if isinstance(target, async_sessionmaker):
        made = target.kw.get("sync_session_class") or target.class_.sync_session_class
        own = type("Session", (made,), {}) if isinstance(made, type) else made
        target.configure(sync_session_class=own)
        return own
    if isinstance(target, AsyncSession):
        return target.sync_session
    if isinstance(target, type) and issubclass(target, AsyncSession):
        return target.sync_session_class
    return target
