"""Changes of a mapped view as objects of its class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import inspect
from sqlalchemy.orm import Mapper, configure_mappers, make_transient_to_detached
from sqlalchemy.orm.attributes import set_committed_value

from .._api import _bind, plan
from .._channel import is_async
from .._subscription import AsyncSubscription, Subscription

T = TypeVar("T")


def changes(cls: type[T], session: Any, **options: Any) -> Subscription[T] | AsyncSubscription[T]:
    """See MaterializedViewBase.changes."""
    source = _bind(session)
    mapper: Mapper[T] = inspect(cls)
    configure_mappers()

    def maker(names: Sequence[str]) -> Callable[[Sequence[Any]], T]:
        keys = [mapper.get_property_by_column(column).key for column in mapper.local_table.columns]

        def make(values: Sequence[Any]) -> T:
            made: T = mapper.class_manager.new_instance()
            for key, value in zip(keys, values, strict=True):
                set_committed_value(made, key, value)
            make_transient_to_detached(made)
            return made

        return make

    made = plan(source, cls, make=maker, **options)
    return AsyncSubscription(source, made) if is_async(source) else Subscription(source, made)
