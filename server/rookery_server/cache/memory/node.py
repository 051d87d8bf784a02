"""One primary with its replica: keys, and the ways in which a node goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from rookery_server.cache import keys
from rookery_server.cache.memory.values import Entry, Value
from rookery_server.domain.clock import Clock

T = TypeVar("T")
Effects = list[tuple[bytes, Entry | None]]
"""What one command left under which keys, in order; None: the key went."""
_FLUSH: Final = b""
"""In place of a key: everything went."""


class Node:
    """`name` is the shard id, which outlives failovers.

    The replica holds a *prefix* of the primary's writes, whole commands: all of them unless `replicating` is off.
    `epoch` counts what breaks every connection.  A stopped node breaks none, but answers nobody; what reached it
    meanwhile waits in `backlog` by connection and runs when it is let (`run_backlog`), unless its client came back
    and killed the old connection first.
    """

    def __init__(self, name: str, slots: tuple[int, int], clock: Clock, replicated: bool) -> None:
        """`slots`: the first and the last it serves."""
        self.watermarks_key = keys.watermarks((slots,))
        self.name, self.epoch, self.stopped, self.dead = name, 0, False, False
        self.replicated, self.replicating = replicated, True
        self.backlog: dict[object, list[Callable[[], object]]] = {}
        self.silenced: list[Callable[[], None]] = []
        """Called when those who listen here hear nothing more, or might again."""
        self._clock = clock
        self._keys: dict[bytes, Entry] = {}
        self._replica: dict[bytes, Entry] = {}
        self._unreplicated: list[Effects] = []
        self._running: Effects | None = None

    def run(self, command: Callable[[Node], T]) -> T:
        """One command: one step for everybody, and the replica gets all of it or nothing."""
        self._running = []
        try:
            return command(self)
        finally:
            self._replicated(self._running)
            self._running = None

    # --- keys ---------------------------------------------------------------------------------------------------

    def get(self, key: bytes) -> Value | None:
        entry = self._keys.get(key)
        if entry is None:
            return None
        if entry.expires is not None and entry.expires <= self._clock.monotonic():
            self.delete(key)
            return None
        return entry.value

    def left_s(self, key: bytes) -> float | None:
        """Seconds a key that exists has to live; None: for ever."""
        expires = self._keys[key].expires
        return None if expires is None else expires - self._clock.monotonic()

    def set(self, key: bytes, value: Value, life_s: float | None) -> None:
        self._write(key, Entry(value, None if life_s is None else self._clock.monotonic() + life_s))

    def change(self, key: bytes, value: Value) -> None:
        """A new value under a key that exists, which keeps its life."""
        if value != self._keys[key].value:
            self._write(key, Entry(value, self._keys[key].expires))

    def delete(self, *keys: bytes) -> None:
        for key in keys:
            if key in self._keys:
                self._write(key, None)

    def flush(self) -> None:
        self._write(_FLUSH, None)

    def _write(self, key: bytes, entry: Entry | None) -> None:
        _apply(self._keys, key, entry)
        if self._running is None:
            self._replicated([(key, entry)])
        else:
            self._running.append((key, entry))

    def _replicated(self, effects: Effects) -> None:
        if self.replicated and effects:
            self._unreplicated.append(effects)
            if self.replicating:
                self._catch_up(len(self._unreplicated))

    def _catch_up(self, commands: int) -> None:
        for effects in self._unreplicated[:commands]:
            for key, entry in effects:
                _apply(self._replica, key, entry)
        del self._unreplicated[:commands]

    # --- what goes wrong ----------------------------------------------------------------------------------------

    @property
    def answers(self) -> bool:
        return not self.stopped and not self.dead

    @property
    def confirmed(self) -> bool:
        """Whether the replica, if there is one, has everything: what WAIT tells."""
        return not self._unreplicated

    def replicate(self) -> None:
        """The replica catches up and follows from now on."""
        self._catch_up(len(self._unreplicated))
        self.replicating = True

    def fail_over(self, lost: int | None = None) -> None:
        """The replica takes over with what it has, the rest is lost; with `lost`: no more than the last `lost`
        commands.  A new replica follows it.  What a replica has confirmed is never lost."""
        if not self.replicated:
            raise ValueError(f"{self.name} has no replica")
        if lost is not None:
            self._catch_up(max(0, len(self._unreplicated) - lost))
        self._keys = dict(self._replica)
        self._unreplicated.clear()
        self._begin_anew()

    def restart_empty(self) -> None:
        self._keys, self._replica = {}, {}
        self._unreplicated.clear()
        self._begin_anew()

    def _begin_anew(self) -> None:
        self.stopped, self.dead, self.replicating = False, False, True
        self.break_connections()

    def break_connections(self) -> None:
        self.epoch += 1
        self.backlog.clear()
        self._silence()

    def kill(self) -> None:
        """Refuses connections until `fail_over` or `restart_empty`."""
        self.dead = True
        self.break_connections()

    def stop(self) -> None:
        self.stopped = True
        self._silence()

    def resume(self) -> None:
        """Answers again.  What was sent before may still run: see `run_backlog`."""
        self.stopped = False
        self._silence()

    def _silence(self) -> None:
        for silenced in list(self.silenced):
            silenced()

    def run_backlog(self) -> None:
        for commands in [self.backlog.pop(connection) for connection in list(self.backlog)]:
            for command in commands:
                command()


def _apply(keys: dict[bytes, Entry], key: bytes, entry: Entry | None) -> None:
    if key == _FLUSH:
        keys.clear()
    elif entry is None:
        keys.pop(key, None)
    else:
        keys[key] = entry
