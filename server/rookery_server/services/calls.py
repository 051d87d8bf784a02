"""What a use case knows of the call it serves."""

from __future__ import annotations

from dataclasses import dataclass

from rookery_server.domain.clock import Clock


@dataclass(frozen=True, slots=True)
class Call:
    """`caller_id`: the acting user, 0 for nobody (public reads, sign-up).  `deadline`: on `Clock.monotonic`, seconds;
    what is left minus the transport's margin.  `bulk`: the credential has scope `bulk`, so no quotas (loaders).
    `admin`: it has scope `admin` and acts for nobody."""

    caller_id: int
    deadline: float
    bulk: bool = False
    admin: bool = False

    def left(self, clock: Clock) -> float:
        """Seconds until the deadline; negative when it has passed."""
        return self.deadline - clock.monotonic()
