"""One read of the truth for many askers, without ever answering from the past."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Generic, TypeVar

from rookery_server.domain.errors import Unavailable

V = TypeVar("V")


class Coalesced(Generic[V]):
    """Reads by key, at most one in flight a key.

    A caller joins only a read that has **not begun yet** (docs/protocols/removal.md, R10): an answer fetched before
    the call began could show what was removed in between.  So while a read of a key is in flight, all newcomers share
    the next one, which begins when the first ends.  Reads outlive callers that are cancelled.
    """

    def __init__(
        self,
        load: Callable[[tuple[int, ...]], Awaitable[Mapping[int, V]]],
        joined: Callable[[], None] = lambda: None,
    ):
        """`load` answers a batch; absent keys are absent from its answer.  `joined` hears of each key that was
        asked for already."""
        self._load, self._joined = load, joined
        self._queued: dict[int, asyncio.Future[V | None]] = {}
        self._running: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def get(self, keys: Iterable[int]) -> dict[int, V]:
        """Raises what `load` raised."""
        promises = {key: self._promise(key) for key in keys}
        self._start_ready()
        if promises:
            # `wait`, not `gather`: a cancelled caller must not cancel what others wait for.
            await asyncio.wait(promises.values())
        answers = ((key, promise.result()) for key, promise in promises.items())
        return {key: value for key, value in answers if value is not None}

    def _promise(self, key: int) -> asyncio.Future[V | None]:
        if key in self._queued:
            self._joined()
        else:
            promise = asyncio.get_running_loop().create_future()
            # Whoever asked may be gone by the time it fails; that is no unhandled error.
            promise.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._queued[key] = promise
        return self._queued[key]

    def _start_ready(self) -> None:
        ready = {key: promise for key, promise in self._queued.items() if key not in self._running}
        if not ready:
            return
        for key in ready:
            del self._queued[key]
        self._running.update(ready)
        task = asyncio.create_task(self._run(ready))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, promises: Mapping[int, asyncio.Future[V | None]]) -> None:
        try:
            found = await self._load(tuple(promises))
            for key, promise in promises.items():
                promise.set_result(found.get(key))
        except BaseException as error:
            # Whatever ended the read, also its own cancellation, must reach everybody who waits for it.
            for promise in promises.values():
                if not promise.done():
                    promise.set_exception(error if isinstance(error, Exception) else Unavailable())
            if not isinstance(error, Exception):
                raise
        finally:
            self._running.difference_update(promises)
            self._start_ready()
