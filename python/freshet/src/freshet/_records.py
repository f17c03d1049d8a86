"""What a subscription hands out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from operator import itemgetter
from typing import Any, Generic, TypeVar

R = TypeVar("R")


class Row(tuple[Any, ...]):
    """A row: a tuple whose values are found by name as well, as an attribute or by row["name"]."""

    __slots__ = ()
    _fields: tuple[str, ...] = ()

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            try:
                return tuple.__getitem__(self, self._fields.index(key))
            except ValueError:
                raise KeyError(key) from None
        return tuple.__getitem__(self, key)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"the row has no column {name!r}")

    def _asdict(self) -> dict[str, Any]:
        return dict(zip(self._fields, self, strict=True))

    def __repr__(self) -> str:
        return f"Row({', '.join(f'{name}={value!r}' for name, value in zip(self._fields, self, strict=True))})"


def row_class(names: Sequence[str]) -> type[Row]:
    """The Row of these columns. A column called count hides tuple's method; one called _asdict does not."""
    columns = {name: property(itemgetter(number)) for number, name in enumerate(names) if not name.startswith("_")}
    return type("Row", (Row,), {"__slots__": (), "_fields": tuple(names), **columns})


@dataclass(slots=True)
class Change(Generic[R]):
    """That a row came (diff > 0) or went (diff < 0), so many times, at a time in milliseconds since 1970."""

    time: int
    diff: int
    row: R

    @property
    def at(self) -> datetime:
        return datetime.fromtimestamp(self.time / 1000, timezone.utc)


@dataclass(slots=True)
class Batch(Generic[R]):
    """All changes of one time, rows that go before those that come. snapshot: the content at the beginning.

    A batch without changes says that nothing has changed up to its time, or that the snapshot is empty.
    """

    time: int
    changes: list[Change[R]]
    snapshot: bool = False


@dataclass(slots=True)
class Upsert(Generic[R]):
    """What the row of a key is from now on; None: there is none."""

    time: int
    key: tuple[Any, ...]
    row: R | None


@dataclass(slots=True)
class Update(Generic[R]):
    """How the row of a key changed. before is None where it is new, after where it is gone."""

    time: int
    key: tuple[Any, ...]
    before: R | None
    after: R | None


class KeyViolation(Exception):
    """A key has more than one row."""


class Keyed:
    """Turns batches into one record for each key that changed. Every key has at most one row, or KeyViolation."""

    def __init__(self, columns: Sequence[str]) -> None:
        if not columns:
            raise ValueError("which columns are the key?")
        self.columns = columns
        self.rows: Counter[tuple[Any, ...]] = Counter()

    def updates(self, batch: Batch[R]) -> Iterator[Update[R]]:
        changed: dict[tuple[Any, ...], Update[R]] = {}
        for change in batch.changes:
            row: Any = change.row
            key = tuple(row[c] if isinstance(row, Row) else getattr(row, c) for c in self.columns)
            update = changed.setdefault(key, Update(batch.time, key, None, None))
            if change.diff < 0:
                update.before = change.row
            else:
                update.after = change.row
            self.rows[key] += change.diff
        for key in changed:
            if self.rows[key] > 1:
                raise KeyViolation(f"key {key!r} has {self.rows[key]} rows")
            if not self.rows[key]:
                del self.rows[key]
        yield from changed.values()

    def upserts(self, batch: Batch[R]) -> Iterator[Upsert[R]]:
        return (Upsert(update.time, update.key, update.after) for update in self.updates(batch))


def all_changes(batches: Iterable[Batch[R]]) -> Iterator[Change[R]]:
    for batch in batches:
        yield from batch.changes
