"""One way to ask, over psycopg2, psycopg, asyncpg and SQLAlchemy, synchronously and not.

A statement has %s for parameters, all of which are text; without parameters it is sent as it is. Drivers are told apart
by the module of a connection's class, so none has to be installed.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

T = TypeVar("T")


class NotFreshet(Exception):
    """The other side is PostgreSQL without Freshet, or a database without the extension."""


class Answer(NamedTuple):
    names: Sequence[str]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True)
class Query:
    """A statement to execute. columns: SQLAlchemy's, which know how values are to be converted."""

    sql: str
    args: tuple[str | None, ...] = ()
    columns: Sequence[Any] | None = None


class Channel(Protocol):
    """A connection for statements one at a time. owned: opened by us, and closed by us."""

    owned: bool

    def query(self, query: Query) -> Answer: ...

    def cancel(self) -> None:
        """Break off the statement that another thread waits for."""

    def close(self) -> None: ...


class AsyncChannel(Protocol):
    owned: bool

    async def query(self, query: Query) -> Answer: ...

    async def close(self) -> None: ...


Source = Any  # an engine, a connection or a session of SQLAlchemy's, a driver's connection, or a connection string


def _numbered(sql: str) -> str:
    """%s as asyncpg writes it."""
    pieces = sql.split("%s")
    return pieces[0] + "".join(f"${number}{piece}" for number, piece in enumerate(pieces[1:], 1))


class _Dbapi:
    """psycopg2 and psycopg."""

    def __init__(self, connection: Any, owned: bool) -> None:
        self.connection, self.owned = connection, owned

    def query(self, query: Query) -> Answer:
        with self.connection.cursor() as cursor:
            cursor.execute(query.sql, query.args or None)
            if cursor.description is None:
                return Answer((), ())
            return Answer([column[0] for column in cursor.description], cursor.fetchall())

    def cancel(self) -> None:
        self.connection.cancel()

    def close(self) -> None:
        self.connection.close()


class _AsyncPsycopg:
    def __init__(self, connection: Any, owned: bool) -> None:
        self.connection, self.owned = connection, owned

    async def query(self, query: Query) -> Answer:
        async with self.connection.cursor() as cursor:
            await cursor.execute(query.sql, query.args or None)
            if cursor.description is None:
                return Answer((), ())
            return Answer([column[0] for column in cursor.description], await cursor.fetchall())

    async def close(self) -> None:
        await self.connection.close()


class _Asyncpg:
    def __init__(self, connection: Any, owned: bool) -> None:
        self.connection, self.owned = connection, owned

    async def query(self, query: Query) -> Answer:
        rows = await self.connection.fetch(_numbered(query.sql) if query.args else query.sql, *query.args)
        return Answer(list(rows[0].keys()) if rows else (), [tuple(row.values()) for row in rows])

    async def close(self) -> None:
        await self.connection.close(timeout=5)


class _Alchemy:
    """SQLAlchemy's Connection, or a Session's."""

    def __init__(self, connection: Any, owned: bool) -> None:
        self.connection, self.owned = connection, owned

    def query(self, query: Query) -> Answer:
        result = _execute(self.connection, query)
        return Answer(list(result.keys()), result.fetchall()) if result.returns_rows else Answer((), ())

    def cancel(self) -> None:
        self.connection.connection.dbapi_connection.cancel()  # psycopg2's or psycopg's own

    def close(self) -> None:
        with suppress(Exception):  # whatever it says of a connection that is lost
            self.connection.close()


class _AsyncAlchemy:
    def __init__(self, connection: Any, owned: bool) -> None:
        self.connection, self.owned = connection, owned

    async def query(self, query: Query) -> Answer:
        def work(connection: Any) -> Answer:
            result = _execute(connection, query)
            return Answer(list(result.keys()), result.fetchall()) if result.returns_rows else Answer((), ())

        return await self.connection.run_sync(work)  # type: ignore[no-any-return]

    async def close(self) -> None:
        with suppress(Exception):
            await self.connection.close()


def _execute(connection: Any, query: Query) -> Any:
    if query.columns is not None:
        from sqlalchemy import text

        return connection.execute(text(query.sql.replace(":", "\\:")).columns(*query.columns))
    if not query.args:
        return connection.exec_driver_sql(query.sql, execution_options={"no_parameters": True})
    sql = query.sql if connection.dialect.paramstyle in ("format", "pyformat") else _numbered(query.sql)
    return connection.exec_driver_sql(sql, query.args)


def is_async(source: Source) -> bool:
    """Whether a source is asked asynchronously."""
    names = {f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type(source).__mro__}
    return bool(
        names
        & {
            "sqlalchemy.AsyncEngine",
            "sqlalchemy.AsyncConnection",
            "sqlalchemy.AsyncSession",
            "sqlalchemy.async_scoped_session",
            "psycopg.AsyncConnection",
            "asyncpg.Connection",
            "asyncpg.PoolConnectionProxy",
        }
    )


def can_reopen(source: Source) -> bool:
    """Whether new connections can be had from a source."""
    return isinstance(source, str) or type(source).__name__ in ("Engine", "AsyncEngine")


def open_channel(source: Source, *, keep: bool = False) -> Channel:
    """A channel to a source. keep: for long; an engine's connection is then taken out of its pool, and autocommits."""
    if isinstance(source, str):
        return _Dbapi(_connect(source), owned=True)
    module = type(source).__module__.partition(".")[0]
    if module == "sqlalchemy":
        from sqlalchemy import Connection, Engine

        if isinstance(source, Engine):
            connection = source.connect().execution_options(isolation_level="AUTOCOMMIT")
            if keep:
                connection.detach()
            return _Alchemy(connection, owned=True)
        return _Alchemy(source if isinstance(source, Connection) else source.connection(), owned=False)
    if module in ("psycopg", "psycopg2"):
        return _Dbapi(source, owned=False)
    raise TypeError(f"neither an engine nor a connection: {source!r}")


async def open_async_channel(source: Source, *, keep: bool = False) -> AsyncChannel:
    """The same, asynchronously."""
    if isinstance(source, str):
        return await _connect_async(source)
    module = type(source).__module__.partition(".")[0]
    if module == "sqlalchemy":
        from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

        if isinstance(source, AsyncEngine):
            connection = await source.connect()
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            if keep:
                await connection.run_sync(lambda sync: sync.detach())
            return _AsyncAlchemy(connection, owned=True)
        return _AsyncAlchemy(source if isinstance(source, AsyncConnection) else await source.connection(), owned=False)
    if module == "asyncpg":
        return _Asyncpg(source, owned=False)
    if module == "psycopg":
        return _AsyncPsycopg(source, owned=False)
    raise TypeError(f"neither an asynchronous engine nor a connection: {source!r}")


def _connect(conninfo: str) -> Any:
    try:
        import psycopg
    except ImportError:
        import psycopg2

        connection = psycopg2.connect(conninfo)
        connection.autocommit = True
        return connection
    return psycopg.connect(conninfo, autocommit=True)


async def _connect_async(conninfo: str) -> AsyncChannel:
    try:
        import psycopg
    except ImportError:
        import asyncpg

        return _Asyncpg(await asyncpg.connect(conninfo), owned=True)
    return _AsyncPsycopg(await psycopg.AsyncConnection.connect(conninfo, autocommit=True), owned=True)


def sqlstate(error: BaseException) -> str | None:
    """The SQLSTATE of a driver's error, or of the one SQLAlchemy has wrapped."""
    for level in _levels(error):
        for name in ("sqlstate", "pgcode"):
            code = getattr(level, name, None)
            if isinstance(code, str):
                return code
    return None


def is_lost(error: BaseException) -> bool:
    """Whether an error says that the connection is gone, or the server for a while."""
    code = sqlstate(error)
    if code is not None:
        return code.startswith(("08", "57P0")) or code == "53300"
    return any(
        isinstance(level, OSError) or type(level).__name__ in ("OperationalError", "InterfaceError")
        for level in _levels(error)
    )


def _levels(error: BaseException | None) -> Generator[BaseException, None, None]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = getattr(error, "orig", None) or error.__cause__


Asking = Generator[Query, Answer, T]


def ask(source: Source, asking: Callable[[], Asking[T]]) -> T | Coroutine[Any, Any, T]:
    """Run a generator of queries against a source; of an asynchronous one, what is to be awaited."""
    if is_async(source):
        return _ask_async(source, asking())
    channel = open_channel(source)
    steps = asking()
    try:
        query = next(steps)
        while True:
            try:
                answer = channel.query(query)
            except Exception as error:
                query = steps.throw(error)
            else:
                query = steps.send(answer)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    finally:
        if channel.owned:
            channel.close()


async def _ask_async(source: Source, steps: Asking[T]) -> T:
    channel = await open_async_channel(source)
    try:
        query = next(steps)
        while True:
            try:
                answer = await channel.query(query)
            except Exception as error:
                query = steps.throw(error)
            else:
                query = steps.send(answer)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    finally:
        if channel.owned:
            await channel.close()


def require_extension(*, make: bool = False) -> Asking[bool]:
    """Whether the database has the extension; NotFreshet where it cannot have, or should have had.

    make: as the server's SUBSCRIBE does, a database gets it when it is first needed, where that is allowed.
    """
    answer = yield Query(
        "SELECT pg_catalog.to_regnamespace('freshet') IS NOT NULL,"
        " pg_catalog.current_setting('freshet.maintain', true) IS NOT NULL,"
        " pg_catalog.current_setting('freshet.create_extension', true) = 'on'"
    )
    present, loaded, allowed = answer.rows[0]
    if not loaded:
        raise NotFreshet("this is PostgreSQL without Freshet")
    if make and not present:
        if not allowed:
            raise NotFreshet("this database does not have the extension yet: CREATE EXTENSION freshet")
        yield Query("CREATE EXTENSION IF NOT EXISTS freshet")
    return bool(present)
