"""A view as server-sent events, for Starlette and FastAPI.

Each client has a subscription, and so a connection, of its own. The first event is `snapshot`; then each commit that
changes the view gives one `changes`. Data is JSON: a list of [diff, row]. A browser that comes back begins with the
snapshot again, since the server keeps no history.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.responses import StreamingResponse

from ._api import asubscribe
from ._records import Batch, Row


def events(
    source: Any, what: Any, *, heartbeat: float = 15.0, encode: Callable[[Any], Any] = str, **options: Any
) -> StreamingResponse:
    """The response that follows what; source and options are those of freshet.asubscribe.

    encode: what makes of a value that JSON does not know, a Decimal or a date, one that it knows. heartbeat: after so
    many seconds without a change a comment is sent, which proxies and lost connections need.
    """
    subscription = asubscribe(source, what, heartbeat=heartbeat, **options)

    async def body() -> AsyncIterator[str]:
        async with subscription:
            async for batch in subscription.batches():
                yield _event(batch, encode)

    return StreamingResponse(body(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


def _event(batch: Batch[Row], encode: Callable[[Any], Any]) -> str:
    if not batch.changes and not batch.snapshot:
        return ": nothing new\n\n"
    data = json.dumps([[change.diff, change.row._asdict()] for change in batch.changes], default=encode)
    return f"event: {'snapshot' if batch.snapshot else 'changes'}\nid: {batch.time}\ndata: {data}\n\n"
