"""An event loop whose time passes only when nobody can run: an hour of waiting costs nothing; every run is alike."""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import itertools
from asyncio import events
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Self, TypeVar

T = TypeVar("T")
SAME_MOMENT_S = 1e-6
"""Timers are compared after sums of floats; a microsecond apart is the same moment."""
Factory = Callable[..., asyncio.Task[Any]]


class Stuck(RuntimeError):
    """Nothing can run and nobody waits for a time: a deadlock."""


class _Handle:
    """What `asyncio.Handle` is to its callers, without what only debuggers need."""

    __slots__ = ("_args", "_callback", "_context", "_when")

    def __init__(
        self, callback: Callable[..., object], args: tuple[Any, ...], context: contextvars.Context | None, when: float
    ) -> None:
        self._callback: Callable[..., object] | None = callback
        self._args, self._when = args, when
        self._context = contextvars.copy_context() if context is None else context

    def cancel(self) -> None:
        self._callback, self._args = None, ()

    def cancelled(self) -> bool:
        return self._callback is None

    def when(self) -> float:
        return self._when


_Soon = tuple[Callable[..., object], tuple[Any, ...], contextvars.Context]
"""What a task or a future asked for: it is never taken back."""


class VirtualTimeLoop(asyncio.AbstractEventLoop):
    """No files, no threads, no signals: only tasks and timers, in the order of their times.

    Written out rather than derived from asyncio's own loop, which spends half of a history looking after what is not
    there.  What stands in line is a handle, or one of the two that are most of it and need none: what tasks and
    futures ask for, and naps."""

    def __init__(self) -> None:
        self.now = 0.0
        self._ready: deque[_Handle | _Soon | asyncio.Future[None]] = deque()
        self._timers: list[tuple[float, int, _Handle | asyncio.Future[None]]] = []
        self._order = itertools.count()
        self._running = self._closed = False
        self._factory: Factory | None = None
        self._handler: Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object] | None = None

    @classmethod
    def new(cls) -> Self:
        """Loops are made here: for a type checker this class lacks what asyncio's loop merely refuses."""
        return cls()

    # --- what tasks ask for -------------------------------------------------------------------------------------

    def time(self) -> float:
        return self.now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return self._running

    def is_closed(self) -> bool:
        return self._closed

    def call_soon(  # type: ignore[override]  # the stub wants asyncio's own handles, here and below
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> _Handle | None:
        """Whoever brings a context is a task or a future, and wants no handle."""
        if context is not None:
            self._ready.append((callback, args, context))
            return None
        handle = _Handle(callback, args, context, self.now)
        self._ready.append(handle)
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> _Handle:
        return self.call_at(self.now + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> _Handle:
        handle = _Handle(callback, args, context, when)
        heapq.heappush(self._timers, (when, next(self._order), handle))
        return handle

    def nap(self, seconds: float) -> asyncio.Future[None]:
        """`asyncio.sleep` without a coroutine, a handle and their clearing up, which are most of its price."""
        over: asyncio.Future[None] = asyncio.Future(loop=self)
        heapq.heappush(self._timers, (self.now + seconds, next(self._order), over))
        return over

    def sleep(self, seconds: float) -> Awaitable[None]:
        """What `asyncio.sleep` is, for whoever has it given."""
        return self.nap(seconds) if seconds > 0 else asyncio.sleep(0)

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, **options: Any) -> asyncio.Task[Any]:
        options.pop("name", None)
        return (self._factory or _task)(self, coro, **options)

    def set_task_factory(self, factory: Any) -> None:
        self._factory = factory

    def set_exception_handler(self, handler: Any) -> None:
        self._handler = handler

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if self._handler is not None:
            self._handler(self, context)

    async def shutdown_asyncgens(self) -> None:
        """They end with the tasks that hold them."""

    # --- going on -----------------------------------------------------------------------------------------------

    def run_until_complete(self, future: Any) -> Any:
        task = asyncio.ensure_future(future, loop=self)
        self._running = True
        events._set_running_loop(self)
        try:
            while not task.done():
                self._go_on(task)
        finally:
            self._running = False
            events._set_running_loop(None)
        return task.result()

    def _go_on(self, task: asyncio.Future[Any]) -> None:
        """Runs what can run now; when there is nothing, time passes to the next timer."""
        ready, done = self._ready, task.done
        while ready and not done():
            one = ready.popleft()
            try:
                if isinstance(one, tuple):
                    callback, arguments, context = one
                    context.run(callback, *arguments)
                elif isinstance(one, _Handle):
                    if one._callback is not None:
                        one._context.run(one._callback, *one._args)
                elif not one.done():
                    one.set_result(None)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:  # as any loop: one callback's failure is not the next one's
                self.call_exception_handler({"message": "a callback failed", "exception": error})
        if not ready and not done():
            self._let_time_pass()

    def _let_time_pass(self) -> None:
        timers = self._timers
        while timers and _is_void(timers[0][2]):
            heapq.heappop(timers)
        if not timers:
            raise Stuck
        self.now = max(self.now, timers[0][0])
        until = self.now + SAME_MOMENT_S
        while timers and timers[0][0] <= until:
            self._ready.append(heapq.heappop(timers)[2])

    def close(self) -> None:
        self._closed = True
        self._ready.clear()
        self._timers.clear()


def _is_void(timer: _Handle | asyncio.Future[None]) -> bool:
    return timer._callback is None if isinstance(timer, _Handle) else timer.done()


def _task(loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any], **options: Any) -> asyncio.Task[Any]:
    return asyncio.Task(coro, loop=loop, **options)


def run(main: Coroutine[Any, Any, T], loop: VirtualTimeLoop, over: Callable[[], None] = lambda: None) -> T:
    """Runs `main`, then calls `over` and cancels whatever is still there."""
    try:
        return loop.run_until_complete(main)  # type: ignore[no-any-return]
    finally:
        over()
        loop.run_until_complete(_end_all(loop))
        loop.close()


async def _end_all(loop: VirtualTimeLoop) -> None:
    for _ in range(20):  # a task may begin others as it ends, or need to be told twice
        left = [task for task in asyncio.all_tasks(loop) if task is not asyncio.current_task()]
        if not left:
            return
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=1.0)
    raise Stuck(f"{len(left)} tasks do not end: {left[0]}")
