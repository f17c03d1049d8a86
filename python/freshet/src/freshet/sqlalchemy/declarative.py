"""Views as mapped classes: class Totals(MaterializedViewBase, Base), with __tablename__ and __select__.

The class gets its __table__ before SQLAlchemy's declarative base looks at it, so the bases have to come in this order.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, ClassVar, overload

from sqlalchemy import Column, Index, MetaData, SelectBase, Table
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import MappedColumn
from typing_extensions import Self

from .view import MaterializedView, View

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
    from sqlalchemy.orm import Session

    from .._subscription import AsyncSubscription, Subscription
    from .refresh import Refreshes, RefreshesLater


class ViewBase:
    """Base of a mapped view: columns, types and primary key are those of __select__.

    An attribute set to mapped_column() says otherwise of its column: mapped_column(primary_key=True), or a type.
    __table_args__ holds indexes, and {"schema": …, "comment": …}; __depends_on__ tables that a textual query hides.
    """

    __tablename__: ClassVar[Any]
    __select__: ClassVar[Any]
    __view__: ClassVar[View]
    __depends_on__: ClassVar[Any] = ()

    if TYPE_CHECKING:
        __table__: ClassVar[Any]

    def __init_subclass__(cls, **kw: Any) -> None:
        if not cls.__dict__.get("__abstract__") and cls.__dict__.get("__module__") != __name__:
            cls.__view__ = _make(cls)
            cls.__table__ = cls.__view__.table
        super().__init_subclass__(**kw)

    @classmethod
    def _new_view(cls, name: str, select: SelectBase, **options: Any) -> View:
        return View(name, select, **options)

    @classmethod
    def as_table(cls) -> Table:
        """The view's Table, for select()."""
        return cls.__view__.table


class MaterializedViewBase(ViewBase):
    """Base of a mapped materialized view. __with_data__ = False leaves it empty until it is refreshed.

    __unique_index__ = False: no unique index on the primary key that the query guarantees.
    """

    __view__: ClassVar[MaterializedView]
    __with_data__: ClassVar[bool] = True
    __unique_index__: ClassVar[bool] = True

    @classmethod
    def _new_view(cls, name: str, select: SelectBase, **options: Any) -> MaterializedView:
        return MaterializedView(name, select, with_data=cls.__with_data__, unique_index=cls.__unique_index__, **options)

    @overload
    @classmethod
    def refresh(cls, conn: Refreshes, concurrently: bool = False) -> None: ...

    @overload
    @classmethod
    def refresh(cls, conn: RefreshesLater, concurrently: bool = False) -> Coroutine[Any, Any, None]: ...

    @classmethod
    def refresh(cls, conn: Any, concurrently: bool = False) -> Coroutine[Any, Any, None] | None:
        """REFRESH MATERIALIZED VIEW, in conn's transaction. Of an asynchronous conn: await it."""
        from .refresh import refresh

        return refresh(cls.__view__, conn, concurrently=concurrently)

    @classmethod
    def auto_refresh_on(cls, target: Any, *tables: Any, concurrently: bool = False) -> None:
        """Refresh after each commit of a session of target that wrote to one of the tables.

        target: Session, a subclass, a sessionmaker or a session, or their asynchronous kind. tables: Tables or mapped
        classes; without any, those the view reads.
        """
        from .refresh import auto_refresh_on

        auto_refresh_on(cls.__view__, target, *tables, concurrently=concurrently)

    @overload
    @classmethod
    def changes(cls, session: Session | Engine | Connection, **options: Any) -> Subscription[Self]: ...

    @overload
    @classmethod
    def changes(
        cls, session: AsyncSession | AsyncEngine | AsyncConnection, **options: Any
    ) -> AsyncSubscription[Self]: ...

    @classmethod
    def changes(cls, session: Any, **options: Any) -> Any:
        """freshet.subscribe(), with rows as detached objects of this class; on a connection of its own."""
        from .changes import changes

        return changes(cls, session, **options)


def _make(cls: type[ViewBase]) -> View:
    name, select = (getattr(cls, attribute, None) for attribute in ("__tablename__", "__select__"))
    if not isinstance(name, str):
        raise InvalidRequestError(f"view {cls.__name__} has no __tablename__")
    if callable(select):
        select = select()
    if not isinstance(select, SelectBase):
        raise InvalidRequestError(f"view {cls.__name__} has no __select__ that is a select()")
    arguments = getattr(cls, "__table_args__", ())
    if isinstance(arguments, dict):
        arguments = (arguments,)
    options: dict[str, Any] = dict(arguments[-1]) if arguments and isinstance(arguments[-1], dict) else {}
    items = arguments[:-1] if options else arguments
    primary_key, types = _declared(cls)
    info = options.pop("info", {})
    view = cls._new_view(
        name,
        select,
        metadata=_metadata(cls),
        schema=options.pop("schema", None),
        comment=options.pop("comment", None),
        primary_key=primary_key or None,
        types=types,
        depends_on=[getattr(table, "__table__", table) for table in cls.__depends_on__],
    )
    if options:
        raise InvalidRequestError(f"__table_args__ of view {cls.__name__}: a view has no {next(iter(options))!r}")
    view.table.info.update(info)
    for item in items:
        if not isinstance(item, Index):
            raise InvalidRequestError(f"__table_args__ of view {cls.__name__}: a view has no {type(item).__name__}")
        if not view.materialized:
            raise InvalidRequestError(f"__table_args__ of view {cls.__name__}: only a materialized view has indexes")
        view.table.append_constraint(item)  # resolves columns that are given by name
    return view


def _metadata(cls: type) -> MetaData:
    metadata = getattr(cls, "metadata", None)
    if not isinstance(metadata, MetaData):
        raise InvalidRequestError(
            f"view {cls.__name__} needs a declarative base behind ViewBase or MaterializedViewBase"
        )
    return metadata


def _declared(cls: type) -> tuple[list[str], dict[str, Any]]:
    """What mapped_column()s say, which then are taken out: the mapper finds the columns in the Table."""
    primary_key, types = [], {}
    for name, value in list(vars(cls).items()):
        if not isinstance(value, MappedColumn):
            continue
        column: Column[Any] = value.column
        key = column.name or name
        if column.primary_key:
            primary_key.append(key)
        if not column.type._isnull:
            types[key] = column.type
        delattr(cls, name)
    return primary_key, types
