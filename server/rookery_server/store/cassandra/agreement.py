"""What all processes of an installation agreed upon: a row of `settings`.  Rule T11 of docs/protocols/tier.md.

Not the values of any process, but bounds: none gives less notice, none needs more.  So whoever is more careful may
start at any time, and two processes within the bounds are always sound together.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from rookery_server.domain.clock import Clock
from rookery_server.domain.fanout import GIVEN, NEEDED, Crossing
from rookery_server.store.cassandra.session import CassandraSession
from rookery_server.store.cassandra.statements import compare_and_set, read_serial

SETTING_READ = read_serial("setting_read", "SELECT value FROM settings WHERE name = ?")
SETTING_FIX = compare_and_set("setting_fix", "INSERT INTO settings (name, value) VALUES (?, ?) IF NOT EXISTS")
SETTING_CHANGE = compare_and_set("setting_change", "UPDATE settings SET value = ? WHERE name = ? IF value = ?")
STATEMENTS = (SETTING_READ, SETTING_FIX, SETTING_CHANGE)

_NAME = "tiers"


class NotAgreed(Exception):
    """What was asked for cannot be agreed upon now; the text says what can."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """`lingers_until_ms`: until then copies may be about that were kept under a longer life than is agreed now."""

    bounds: Crossing
    lingers_until_ms: int = 0

    def to_json(self) -> str:
        bounds = {name: getattr(self.bounds, name) for name in (*GIVEN, *NEEDED)}
        return json.dumps({**bounds, "lingers_until_ms": self.lingers_until_ms}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Agreement:
        stored: Mapping[str, Any] = json.loads(text)
        bounds = {name: float(stored[name]) for name in (*GIVEN, *NEEDED)}
        return cls(replace(Crossing(), **bounds), int(stored["lingers_until_ms"]))

    def changed(self, wanted: Crossing, now_ms: int) -> Agreement:
        """The agreement after this one, so that processes of both are sound beside each other.  Raises NotAgreed."""
        beside = wanted.beside(self.bounds).problems()
        if beside:
            raise NotAgreed(
                f"processes that go by what is agreed now may still run, and beside them {beside[0]}: first agree on a"
                " longer announce_s and merge_s alone, or on shorter other times alone"
            )
        gives_less = any(getattr(wanted, name) < getattr(self.bounds, name) for name in GIVEN)
        wait_s = (self.lingers_until_ms - now_ms) / 1000
        if gives_less and wait_s > 0:
            raise NotAgreed(f"relations kept for longer than is agreed now may be about for {wait_s:.0f} s more: wait")
        lingers_ms = self.lingers_until_ms
        if wanted.relations_life_s < self.bounds.relations_life_s:
            lingers_ms = max(lingers_ms, now_ms + round(self.bounds.relations_life_s * 1000))
        return Agreement(wanted, lingers_ms)


async def begin(session: CassandraSession, bounds: Crossing) -> Agreement:
    """What is agreed: these bounds if there were none.  Raises StoreUnavailable."""
    return Agreement.from_json(await _text(session, bounds))


async def _text(session: CassandraSession, bounds: Crossing) -> str:
    """As it is stored, to the letter: a change is compared with it."""
    while True:
        rows: Any = await session.execute(SETTING_READ, (_NAME,))
        if rows:
            return str(rows[0]["value"])
        await session.compare_and_set(SETTING_FIX, (_NAME, Agreement(bounds).to_json()))


async def change(session: CassandraSession, clock: Clock, wanted: Crossing) -> Agreement:
    """Agrees upon other bounds.  Repeating it is harmless.  Raises NotAgreed, StoreUnavailable."""
    text = await _text(session, wanted)
    standing = Agreement.from_json(text)
    if not wanted.beyond(standing.bounds) and not standing.bounds.beyond(wanted):
        return standing
    new = standing.changed(wanted, clock.now_ms())
    await session.compare_and_set(SETTING_CHANGE, (new.to_json(), _NAME, text))
    found = await begin(session, wanted)
    if found != new:
        raise NotAgreed("somebody else agreed upon something else at the same time: look again")
    return found
