"""A row that says on or off: what is off lives 8 days, so that its version outlives whatever can still come."""

from __future__ import annotations

from rookery_server.domain import limits

OFF, ON = 0, 1
_FOR_EVER = 0  # CQL: a TTL of 0 is none


def state_and_life(on: bool) -> tuple[int, int]:
    """What is bound for `state` and for `TTL`."""
    return (ON, _FOR_EVER) if on else (OFF, limits.REMOVED_EDGE_LIFE_S)
