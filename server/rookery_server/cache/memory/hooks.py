"""Where faults are put in: the constructor's argument, never the environment.  The class itself injects none."""

from __future__ import annotations

from rookery_server.domain.errors import CacheUnavailable


class Refused(CacheUnavailable):
    """The node's no to one command (OOM, NOPERM): it did nothing, and the link is as good as before."""


class CacheHooks:
    """`operation` is the name of the contract's method.  `CacheUnavailable` raised here ends the link, unless it is
    `Refused`.  Real clients wait 250 ms for an answer: what waits longer here should end so."""

    async def before(self, operation: str, node: str) -> None:
        """Before the command runs: may wait; raising proves that it never will.  Commands of one link keep their
        order, so what waits here holds up those behind it."""

    async def after(self, operation: str, node: str) -> None:
        """After it ran: may wait; raising loses the reply."""

    def rings(self) -> bool:
        """Whether a ring of the bell arrives."""
        return True
