"""Copies a server keeps for itself for at most a second, so that what everybody asks for costs one read a second:
A10 of docs/protocols/account.md and T8 of docs/protocols/tier.md."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Generic, TypeVar

from rookery_server.domain.clock import Clock
from rookery_server.domain.limits import COPY_LIFE_S

V = TypeVar("V")


class OwnCopies(Generic[V]):
    """By id, at most `most` of them: the one kept longest ago goes first."""

    def __init__(self, clock: Clock, most: int):
        self._clock, self._most = clock, most
        self._kept: OrderedDict[int, tuple[V, float]] = OrderedDict()

    def of(self, ids: Iterable[int]) -> dict[int, V]:
        """Those of them whose copy is still good."""
        now = self._clock.monotonic()
        kept = ((id_, self._kept.get(id_)) for id_ in ids)
        return {id_: copy[0] for id_, copy in kept if copy is not None and now - copy[1] < COPY_LIFE_S}

    def keep(self, id_: int, value: V, began: float) -> None:
        """`began`: monotonic seconds from before anything of it was read.  What a later read gave stays."""
        older = self._kept.get(id_)
        if older is not None and older[1] >= began:
            return
        self._kept[id_] = (value, began)
        self._kept.move_to_end(id_)
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)
