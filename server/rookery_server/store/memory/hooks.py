"""Where faults are put in: the constructor's argument, never the environment.  The class itself injects none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

REPLICAS = 3
QUORUM = 2


@dataclass(frozen=True, slots=True)
class Commit:
    """What becomes of a write.

    `now`: for each statement the replicas that apply it at once; the others get it through `StoreHooks.later`, unless
    it is `lost` (the coordinator died before the batchlog was written: all or nothing means nothing).  `acked`: the
    caller is told OK, which asks for a quorum of every statement; otherwise it hears that the outcome is unknown.
    `early`: statements (by position) that show before the others, since a logged batch is atomic and not isolated;
    `StoreHooks.between` is awaited in between.
    """

    now: tuple[tuple[int, ...], ...]
    acked: bool = True
    lost: bool = False
    early: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        if self.acked and (self.lost or any(len(replicas) < QUORUM for replicas in self.now)):
            raise ValueError("an acked write is on a quorum of replicas")
        if self.lost and len(self.now) > 1 and any(self.now):
            raise ValueError("a batch is lost wholly or not at all")


EVERYWHERE = tuple(range(REPLICAS))


class StoreHooks:
    """`operation` is the name of the contract's method.  Whatever `before` and `after` raise reaches the caller."""

    async def before(self, operation: str) -> None:
        """Before anything is done: may wait; raising proves that nothing happened."""

    async def between(self, operation: str) -> None:
        """When some statements of a batch show and the others do not: may wait."""

    async def after(self, operation: str) -> None:
        """After it is done: may wait; raising loses the answer."""

    def commit(self, operation: str, tables: Sequence[str]) -> Commit:
        return Commit((EVERYWHERE,) * len(tables))

    def later(self, apply: Callable[[], None]) -> None:
        """Takes one statement for one replica that the commit left out; calling it is the replay."""
        apply()

    def asked(self, operation: str) -> tuple[int, ...]:
        """Which replicas answer a quorum read."""
        return (0, 1)
