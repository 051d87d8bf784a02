"""The log of consequences, its readers' progress, and what nobody can decode."""

from __future__ import annotations

from collections.abc import Sequence

from rookery_server.domain import events, ids
from rookery_server.store.interface import DeadLetter, OutboxRow, Progress, WindowPrint
from rookery_server.store.memory.cells import Cell
from rookery_server.store.memory.role import Role

_DAY_MS = 86_400_000
_PRINTS_MS = 2 * _DAY_MS
"""The last audit of a window is a day after it closed; twice that is plenty."""


class OutboxRole(Role):
    @property
    def shards(self) -> int:
        return self._world.shards

    async def read(self, shard: int, since_ms: int, until_ms: int) -> tuple[OutboxRow, ...]:
        found: dict[int, Cell] = {}
        for window in events.windows_between(since_ms, until_ms - 1):
            found |= await self._rows("read", "outbox", (shard, window))
        return tuple(_row(id_, found[id_].value) for id_ in sorted(found) if since_ms <= ids.time_ms(id_) < until_ms)

    async def load_progress(self, reader: str, shard: int) -> Progress:
        def load() -> Progress:
            saved = self._world.saved_progress(reader, shard)
            oldest = (self._now_ms() - _PRINTS_MS) // events.WINDOW_MS
            prints = {window: print_ for window, print_ in saved.windows.items() if window >= oldest}
            return Progress(saved.fence, saved.checkpoint_ms, prints)

        return await self._compare_and_set("load_progress", load)

    async def save_progress(
        self, reader: str, shard: int, fence: int, checkpoint_ms: int, windows: Sequence[WindowPrint]
    ) -> bool:
        def save() -> bool:
            saved = self._world.saved_progress(reader, shard)
            if fence < saved.fence:
                return False
            saved.fence, saved.checkpoint_ms = fence, checkpoint_ms
            saved.windows |= {print_.window: print_ for print_ in windows}
            return True

        return await self._compare_and_set("save_progress", save)

    async def bury(self, reader: str, letter: DeadLetter) -> None:
        await self._compare_and_set("bury", lambda: self._world.dead.setdefault((reader, letter.event_id), letter))

    async def dead_letters(self, reader: str, days: int) -> tuple[DeadLetter, ...]:
        def letters() -> tuple[DeadLetter, ...]:
            today = self._now_ms() // _DAY_MS
            mine = (letter for (of, _), letter in sorted(self._world.dead.items()) if of == reader)
            return tuple(letter for letter in mine if ids.time_ms(letter.event_id) // _DAY_MS > today - days)

        return await self._compare_and_set("dead_letters", letters)


def _row(event_id: int, raw: bytes) -> OutboxRow:
    try:
        return OutboxRow(event_id, raw, events.decode(raw))
    except events.Undecodable as error:
        return OutboxRow(event_id, raw, None, str(error))
