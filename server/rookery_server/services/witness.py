"""What use cases let others see of themselves.  They know no metrics; the wiring gives them a witness that counts."""

from __future__ import annotations

from typing import Protocol


class Witness(Protocol):
    """Label values are those of the metrics catalogue.  No method may wait or raise."""

    def request(self, method: str, outcome: str) -> None:
        """Fate of a request id: `new`, `replay`, `conflict`."""
        ...

    def cache(self, cache: str, outcome: str, count: int = 1) -> None:
        """Look-ups of one cache: `hit`, `absent`, `old_version`, `error`."""
        ...

    def coalesced(self, cache: str) -> None:
        """A read that joined one that somebody else had asked for."""
        ...

    def page(self, source: str, flag: str, rounds: int, claim_age_s: float) -> None:
        """One home page: what it admits (`none`, `degraded`, `stale`), its slices, the age of its claim."""
        ...

    def building(self, more: int) -> None:
        """A list build began (1) or ended (-1)."""
        ...

    def built(self, outcome: str) -> None:
        """`stored`, `served` (not stored: token lost, or too slow), `capped`, `failed`."""
        ...

    def build_time(self, reason: str, seconds: float) -> None:
        """Of a build that ended; `reason`: `absent`, `relations`."""
        ...

    def removal(self, operation: str, settled: bool) -> None:
        """`delete`, `unfollow`, `block`, `mute`, `account`; not settled = left to the outbox."""
        ...

    def verified(self, outcome: str) -> None:
        """A cached home compared with its rows: `equal`, `differs`, `absent` (no list), `failed`."""
        ...

    def home_mismatch(self, kind: str) -> None:
        """A tweet such a home is wrong about, at or below its claim: `missing`, `forbidden`, `doubled`."""
        ...


class _Silent:
    def request(self, method: str, outcome: str) -> None: ...

    def cache(self, cache: str, outcome: str, count: int = 1) -> None: ...

    def coalesced(self, cache: str) -> None: ...

    def page(self, source: str, flag: str, rounds: int, claim_age_s: float) -> None: ...

    def building(self, more: int) -> None: ...

    def built(self, outcome: str) -> None: ...

    def build_time(self, reason: str, seconds: float) -> None: ...

    def removal(self, operation: str, settled: bool) -> None: ...

    def verified(self, outcome: str) -> None: ...

    def home_mismatch(self, kind: str) -> None: ...


SILENT: Witness = _Silent()
"""For tests, and wherever nobody counts."""
