"""The background verifier: one home of those lately read, again and again (docs/protocols/build.md, B22)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from rookery_server.domain.clock import Clock
from rookery_server.domain.errors import RookeryError
from rookery_server.domain.limits import DEGRADED_AFTER_MS
from rookery_server.services.recent_readers import RecentReaders
from rookery_server.services.verify import HomeVerifier
from rookery_server.services.witness import Witness

log = logging.getLogger(__name__)

APART_S = 15.0
"""Between two looks at what differs: longer than any event of a healthy installation takes to be applied and claimed,
so that what is left is none that was under way."""
PAGES_S = DEGRADED_AFTER_MS / 1000
"""For the pages of one home; they take milliseconds."""


class BackgroundVerifier:
    """Never builds a list and never stops for an error."""

    def __init__(
        self,
        verifier: HomeVerifier,
        recent: RecentReaders,
        clock: Clock,
        witness: Witness,
        every_s: float,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ):
        self._verifier, self._recent, self._clock, self._witness = verifier, recent, clock, witness
        self._every_s, self._sleep = every_s, sleep

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._sleep(self._every_s)
            await self.step()

    async def step(self) -> None:
        """One home, if one was read."""
        user_id = self._recent.draw()
        if user_id is None:
            return
        try:
            found = await self._verifier.verify(user_id, self._clock.monotonic() + PAGES_S, APART_S)
        except Exception as error:  # whatever it stumbles over, the server behind it goes on serving
            if not isinstance(error, RookeryError):
                log.exception("the home of %d could not be verified", user_id)
            self._witness.verified("failed")
            return
        if not found.cached:
            self._witness.verified("absent")
            return
        wrong = [one for one in found.differences if one.claimed]
        self._witness.verified("differs" if wrong else "equal")
        for one in wrong:
            self._witness.home_mismatch(one.kind.value)
            log.error("the home of %d is wrong: tweet %d of %d is %s (%s), though it claims %d ms",
                      user_id, one.tweet_id, one.author_id, one.kind.value, one.rule,
                      found.complete_through_ms)  # fmt: skip
