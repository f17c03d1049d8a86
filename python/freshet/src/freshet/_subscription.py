"""Following a view: the protocol once, as a generator of steps, and two that take its steps, synchronously and not.

The protocol is the extension's four calls (docs/subscribe.md), which any driver can make and which hold no lock and no
snapshot while they wait. Each reading gives all changes since the last one, consolidated, at one time.

To resume after a lost connection the protocol keeps what it has handed out, by row image. It subscribes anew, compares
the new snapshot with that, and hands out the difference.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time as clock
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ._channel import (
    AsyncChannel,
    Channel,
    Query,
    Source,
    is_lost,
    open_async_channel,
    open_channel,
    require_extension,
    sqlstate,
)
from ._records import Batch, Change, Keyed, Update, Upsert

R = TypeVar("R")

WAIT = 1.0  # seconds that a wait takes at most, so that a closed subscription ends and Ctrl-C is heard in any driver
PAUSES = (0.05, 2.0)  # the first and the longest, in seconds, between attempts to connect again

logger = logging.getLogger("freshet")
_numbers = itertools.count(1)


class SubscriptionError(Exception):
    """A subscription cannot go on."""


@dataclass(frozen=True)
class Plan(Generic[R]):
    """What to subscribe to, and how."""

    target: Callable[[Any], str]  # of the channel's connection: how the server is told
    columns: Sequence[Any] | None  # SQLAlchemy's, for the types of values
    make: Callable[[Sequence[str]], Callable[[Sequence[Any]], R]]  # of column names: what makes a row
    snapshot: bool
    up_to: int | None
    heartbeat: float | None
    resume: bool


class Open:
    """Step: a new connection."""


class Close:
    """Step: the connection is of no use any more."""


@dataclass(frozen=True)
class Sleep:
    """Step."""

    seconds: float


Step = Query | Open | Close | Sleep


def follow(plan: Plan[R], name: str) -> Generator[Step | Batch[R], Any, None]:
    """The protocol. It is sent the answers to its queries, and their errors are thrown into it."""
    known: _Known[R] | None = _Known() if plan.resume else None
    shape: str | None = None
    began = False
    pause = PAUSES[0]
    while True:
        try:
            connection = yield Open()
            reader = _Reader(plan, name, images=known is not None)
            yield from require_extension(make=True)
            definition = yield from reader.subscribe(
                plan.target(connection), known is not None or plan.snapshot, plan.up_to
            )
            if shape not in (None, definition):
                raise SubscriptionError(f"what is subscribed to had the columns {shape}, and now has {definition}")
            shape = definition
            first = plan.snapshot or began
            if known is not None or plan.snapshot:
                time, changes, images = yield from reader.read(snapshot=True)
                if known is not None:
                    difference = known.difference(time, changes, images)
                    changes = difference if began else changes
                if first and (not began or changes):
                    yield Batch(time, changes, snapshot=not began)
            began = True
            pause = PAUSES[0]
            silent = clock.monotonic()
            while True:
                pending, frontier, finished = yield from reader.wait(plan.heartbeat)
                changes = []
                if pending:
                    time, changes, images = yield from reader.read()
                if changes:
                    if known is not None:
                        known.add(changes, images)
                    yield Batch(time, changes)
                    silent = clock.monotonic()
                elif plan.heartbeat is not None and clock.monotonic() - silent >= plan.heartbeat:
                    yield Batch(frontier, [])
                    silent = clock.monotonic()
                if finished and not pending:
                    return
        except Exception as error:
            # 55000 and 72000: what was there before cannot be read any more, after TRUNCATE for example
            if known is None or not began or not (is_lost(error) or sqlstate(error) in ("55000", "72000")):
                raise
            logger.warning("subscribing anew in %.2f s: %s", pause, error)
        yield Close()
        yield Sleep(pause)
        pause = min(2 * pause, PAUSES[1])


class _Reader(Generic[R]):
    """The extension's calls for one subscription."""

    def __init__(self, plan: Plan[R], name: str, images: bool) -> None:
        self.plan, self.name, self.images = plan, name, images
        self.sql = ""
        self.make: Callable[[Sequence[Any]], R] | None = None

    def subscribe(self, target: str, snapshot: bool, up_to: int | None) -> Generator[Query, Any, str]:
        query = Query(
            f"SELECT freshet.subscribe(%s::text, %s::text, snapshot => {'true' if snapshot else 'false'}"
            ", up_to => %s::text::numeric)",
            (self.name, target, None if up_to is None else str(up_to)),
        )
        answer = yield query
        definition: str = answer.rows[0][0]
        image = "ROW(c.*)::text" if self.images else "NULL::text"
        columns = f"mz_timestamp numeric, mz_diff bigint, {definition}"
        self.sql = f"SELECT {image} AS image_, c.* FROM freshet.changes('{self.name}') AS c({columns})"
        return definition

    def read(self, snapshot: bool = False) -> Generator[Query, Any, tuple[int, list[Change[R]], list[str]]]:
        """All changes since the last reading, and their time; the image of each row, if images are wanted."""
        answer = yield Query(self.sql, columns=self.plan.columns)
        if not answer.rows:
            if not snapshot:
                return 0, [], []
            answer = yield Query(f"SELECT freshet.subscription_frontier('{self.name}')")
            return int(answer.rows[0][0]), [], []
        if self.make is None:
            self.make = self.plan.make(answer.names[3:])
        make, time = self.make, int(answer.rows[0][1])
        changes = [Change(time, row[2], make(row[3:])) for row in answer.rows]
        return time, changes, [row[0].split(",", 2)[2] for row in answer.rows] if self.images else []

    def wait(self, heartbeat: float | None) -> Generator[Query, Any, tuple[bool, int, bool]]:
        milliseconds = int(1000 * min(WAIT, WAIT if heartbeat is None else heartbeat))
        answer = yield Query(f"CALL freshet.wait('{self.name}', {milliseconds}, NULL, NULL, NULL)")
        pending, frontier, finished = answer.rows[0]
        return bool(pending), int(frontier), bool(finished)


class _Known(Generic[R]):
    """What has been handed out, by row image: how many of such rows, and one of them."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[int, R]] = {}

    def add(self, changes: Sequence[Change[R]], images: Sequence[str]) -> None:
        for image, change in zip(images, changes, strict=True):
            before = self.rows.get(image)
            count = change.diff if before is None else before[0] + change.diff
            if count:
                self.rows[image] = (count, change.row)
            else:
                del self.rows[image]

    def difference(self, time: int, changes: Sequence[Change[R]], images: Sequence[str]) -> list[Change[R]]:
        """The changes that lead to these rows, which are known from now on; those that go come first."""
        before = self.rows
        self.rows = {}
        self.add(changes, images)
        gone = [
            Change(time, -less, row)
            for image, (count, row) in before.items()
            if (less := count - self.rows.get(image, (0, row))[0]) > 0
        ]
        come = [
            Change(time, more, row)
            for image, (count, row) in self.rows.items()
            if (more := count - before.get(image, (0, row))[0]) > 0
        ]
        return gone + come


def _unsubscribe(name: str) -> Query:
    return Query(f"SELECT freshet.unsubscribe('{name}')")


class Subscription(Generic[R]):
    """Changes as they commit: iterate over it, or over batches(), updates() or upserts(), one of them, once.

    As a context manager it is closed at the end. close() may be called by another thread: the iteration then ends.
    """

    def __init__(self, source: Source, plan: Plan[R]) -> None:
        self._source, self._plan, self._name = source, plan, f"freshet_{next(_numbers)}"
        self._channel: Channel | None = None
        self._busy = False
        self._closed = False
        self._batches = self._run()

    def __enter__(self) -> Subscription[R]:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Change[R]]:
        for batch in self._batches:
            yield from batch.changes

    def batches(self) -> Iterator[Batch[R]]:
        """All changes of one time together; the first batch is the snapshot."""
        return self._batches

    def updates(self, *key: str) -> Iterator[Update[R]]:
        """For each key that changed, its row before and after."""
        keyed = Keyed(key)
        return (update for batch in self._batches for update in keyed.updates(batch))

    def upserts(self, *key: str) -> Iterator[Upsert[R]]:
        """For each key that changed, its row, or None."""
        keyed = Keyed(key)
        return (upsert for batch in self._batches for upsert in keyed.upserts(batch))

    def close(self) -> None:
        """End the subscription and its connection."""
        self._closed = True
        channel = self._channel
        if channel is None:
            return
        if self._busy:
            channel.cancel()  # the thread that waits ends it
        else:
            self._batches.close()

    def _run(self) -> Generator[Batch[R], None, None]:
        steps = follow(self._plan, self._name)
        answer: Any = None
        error: Exception | None = None
        try:
            while not self._closed:
                step = steps.send(answer) if error is None else steps.throw(error)
                answer, error = None, None
                if isinstance(step, Batch):
                    yield step
                    continue
                try:
                    answer = self._take(step)
                except Exception as caught:
                    error = caught
        except StopIteration:
            pass
        finally:
            self._end()

    def _take(self, step: Step) -> Any:
        if isinstance(step, Open):
            self._channel = open_channel(self._source, keep=True)
            return getattr(self._channel, "connection", None)
        if isinstance(step, Sleep):
            clock.sleep(step.seconds)
        elif isinstance(step, Close):
            self._end()
        else:
            assert self._channel is not None
            self._busy = True
            try:
                return self._channel.query(step)
            finally:
                self._busy = False
        return None

    def _end(self) -> None:
        channel, self._channel = self._channel, None
        if channel is None:
            return
        try:
            if channel.owned:
                channel.close()
            else:
                channel.query(_unsubscribe(self._name))
        except Exception as error:
            logger.debug("while a subscription was closed: %s", error)


class AsyncSubscription(Generic[R]):
    """The same for `async for`. Cancelling the task that iterates ends it; `async with` closes it at the end."""

    def __init__(self, source: Source, plan: Plan[R]) -> None:
        self._source, self._plan, self._name = source, plan, f"freshet_{next(_numbers)}"
        self._channel: AsyncChannel | None = None
        self._batches = self._run()

    async def __aenter__(self) -> AsyncSubscription[R]:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.aclose()

    async def __aiter__(self) -> AsyncIterator[Change[R]]:
        async for batch in self._batches:
            for change in batch.changes:
                yield change

    def batches(self) -> AsyncIterator[Batch[R]]:
        """All changes of one time together; the first batch is the snapshot."""
        return self._batches

    async def updates(self, *key: str) -> AsyncIterator[Update[R]]:
        """For each key that changed, its row before and after."""
        keyed = Keyed(key)
        async for batch in self._batches:
            for update in keyed.updates(batch):
                yield update

    async def upserts(self, *key: str) -> AsyncIterator[Upsert[R]]:
        """For each key that changed, its row, or None."""
        keyed = Keyed(key)
        async for batch in self._batches:
            for upsert in keyed.upserts(batch):
                yield upsert

    async def aclose(self) -> None:
        """End the subscription and its connection."""
        await self._batches.aclose()
        await self._end()

    async def _run(self) -> AsyncGenerator[Batch[R], None]:
        steps = follow(self._plan, self._name)
        answer: Any = None
        error: Exception | None = None
        try:
            while True:
                try:
                    step = steps.send(answer) if error is None else steps.throw(error)
                except StopIteration:
                    return
                answer, error = None, None
                if isinstance(step, Batch):
                    yield step
                    continue
                try:
                    answer = await self._take(step)
                except Exception as caught:
                    error = caught
        finally:
            await self._end()

    async def _take(self, step: Step) -> Any:
        if isinstance(step, Open):
            self._channel = await open_async_channel(self._source, keep=True)
            return getattr(self._channel, "connection", None)
        if isinstance(step, Sleep):
            await asyncio.sleep(step.seconds)
        elif isinstance(step, Close):
            await self._end()
        else:
            assert self._channel is not None
            return await self._channel.query(step)
        return None

    async def _end(self) -> None:
        channel, self._channel = self._channel, None
        if channel is None:
            return
        try:
            await (channel.close() if channel.owned else channel.query(_unsubscribe(self._name)))
        except Exception as error:
            logger.debug("while a subscription was closed: %s", error)
