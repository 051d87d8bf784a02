"""The log of consequences, its readers' progress, and what nobody can decode."""

from __future__ import annotations

from collections.abc import Sequence

from rookery_server.domain import events, ids
from rookery_server.domain.events import Event
from rookery_server.store.interface import DeadLetter, OutboxRow, Progress, WindowPrint
from rookery_server.store.memory.cells import Span
from rookery_server.store.memory.role import Role

_DAY_MS = 86_400_000
_PRINTS_MS = 2 * _DAY_MS
"""The last audit of a window is a day after it closed; twice that is plenty."""


class OutboxRole(Role):
    @property
    def shards(self) -> int:
        return self._world.shards

    async def append(self, event: Event) -> None:
        await self._batch("append", [self._event(event)])

    async def read(self, shard: int, since_ms: int, until_ms: int) -> tuple[OutboxRow, ...]:
        if since_ms >= until_ms:
            return ()
        found: list[OutboxRow] = []
        span = Span(above=ids.first_at(since_ms) - 1, below=ids.first_at(until_ms))
        for window in events.windows_between(since_ms, until_ms - 1):
            rows = await self._rows("read", "outbox", (shard, window), span)
            found.extend(_row(id_, cell.value) for id_, cell in rows.items())
        return tuple(found)

    async def load_progress(self, reader: str, shard: int) -> Progress:
        def load() -> Progress:
            saved = self._world.saved_progress(reader, shard)
            return Progress(saved.fence, saved.checkpoint_ms, saved.live_prints(self._now_ms()))

        return await self._compare_and_set("load_progress", load)

    async def save_progress(
        self, reader: str, shard: int, fence: int, checkpoint_ms: int, windows: Sequence[WindowPrint]
    ) -> bool:
        def save() -> bool:
            saved = self._world.saved_progress(reader, shard)
            if fence < saved.fence:
                return False
            saved.fence, saved.checkpoint_ms = fence, checkpoint_ms
            expires_ms = self._now_ms() + _PRINTS_MS
            saved.windows |= {print_.window: (print_, expires_ms) for print_ in windows}
            return True

        return await self._compare_and_set("save_progress", save)

    async def bury(self, reader: str, letter: DeadLetter) -> None:
        def bury() -> None:
            key = (reader, letter.event_id)
            # Both have the timestamp of the id: of two reasons the greater stands, as cells do.
            self._world.dead[key] = max(letter, self._world.dead.get(key, letter), key=lambda one: one.error)

        await self._compare_and_set("bury", bury)

    async def dead_letters(self, reader: str, days: int) -> tuple[DeadLetter, ...]:
        def letters() -> tuple[DeadLetter, ...]:
            today = self._clock.now_ms() // _DAY_MS  # what to ask for goes by the asking process's clock
            mine = (letter for (of, _), letter in sorted(self._world.dead.items()) if of == reader)
            return tuple(letter for letter in mine if ids.time_ms(letter.event_id) // _DAY_MS > today - days)

        return await self._compare_and_set("dead_letters", letters)


def _row(event_id: int, raw: bytes) -> OutboxRow:
    try:
        return OutboxRow(event_id, raw, events.decode(raw))
    except events.Undecodable as error:
        return OutboxRow(event_id, raw, None, str(error))
