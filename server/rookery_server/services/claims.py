from __future__ import annotations


class ClaimTracker:
    async def run(self) -> None:
        """Polls the marks of every node each 500 ms until cancelled; started by the wiring."""
        raise NotImplementedError
