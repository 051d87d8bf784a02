"""A stream's progress over a home that behaves as badly as its claims allow: rules S5 to S7 and S10."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest

from rookery_server.domain import ids
from rookery_server.domain.limits import ATTEMPT_LIFE_MS, REREAD_MS
from rookery_server.domain.live_cursors import LiveCursor
from rookery_server.domain.merge import BEYOND
from rookery_server.domain.tokens import SECRET_BYTES, NewerCursor, PageCursor, Scope, TokenSigner
from rookery_server.services.live_progress import Next, Progress
from rookery_server.services.pages import PageInfo, PageSource, TimelinePage

T0 = 1_700_000_000_000
SIGNER, SCOPE = TokenSigner({1: b"k" * SECRET_BYTES}, signing=1), Scope("StreamHomeTimeline", 7)


@dataclass
class Tweet:
    """`acked_ms` is at most an attempt's life after the id; `arrives_ms`: when lists show it."""

    id: int
    acked_ms: int
    arrives_ms: int


class Home:
    """What arrives when; and pages of it, whose claims are never more than true, and at times much less."""

    def __init__(self, dice: random.Random):
        self.dice, self.now_ms = dice, T0
        self.tweets: list[Tweet] = []
        self.bad_until_ms = 0

    def pass_time(self) -> None:
        dice = self.dice
        self.now_ms += dice.choice([50, 400, 1_000, 1_000, 5_000, 40_000])
        for _ in range(dice.choice([0, 0, 1, 2, 8])):
            minted = self.now_ms - dice.choice([0, 0, 500, 2_500])
            acked = minted + dice.randrange(ATTEMPT_LIFE_MS)
            arrives = max(self.now_ms, acked) + dice.choice([0, 0, 100, 3_000, 30_000])
            self.tweets.append(Tweet(ids.compose(minted, 1, len(self.tweets) % 4_000), acked, arrives))
        if dice.random() < 0.05:
            self.bad_until_ms = self.now_ms + dice.choice([2_000, 60_000])

    def shown(self) -> list[int]:
        return sorted({one.id for one in self.tweets if one.arrives_ms <= self.now_ms}, reverse=True)

    def claim(self) -> int:
        """The highest that is true: everything acked by then shows."""
        missing = [one.acked_ms for one in self.tweets if one.arrives_ms > self.now_ms]
        return min([self.now_ms - 5_000, *(acked_ms - 1 for acked_ms in missing)])

    def page(self, position: PageCursor | NewerCursor, size: int) -> TimelinePage:
        below, floor = BEYOND, 0
        if isinstance(position, PageCursor):
            below, floor = position.last_id, position.floor_id
        else:
            floor = ids.first_at(position.complete_through_ms - REREAD_MS)
        found = [id_ for id_ in self.shown() if floor <= id_ < below]
        claim, stale = self.claim() - self.dice.choice([0, 0, 0, 500, 20_000]), self.dice.random() < 0.03
        if self.now_ms < self.bad_until_ms:
            claim = 0
            found = [id_ for id_ in found if self.dice.random() < 0.7]  # what claims nothing may lack anything
        cut = tuple(found[:size])
        onward = PageCursor(cut[-1], floor) if len(found) > size else None
        return TimelinePage(
            tuple(map(str.encode, map(str, cut))), cut, cut, onward, None,
            PageInfo(PageSource.LIST, False, claim, stale=stale),
        )  # fmt: skip


class Client:
    """Takes messages, and opens the stream again now and then."""

    def __init__(self, home: Home):
        self.home, self.began_ms = home, home.now_ms
        self.progress = Progress.begin(None, lambda: home.now_ms)
        self.got: list[int] = []

    def round(self, size: int) -> Next:
        page = self.home.page(self.progress.position(), size)
        send, then = self.progress.take(page)
        sent = [page.tweet_ids[at] for at in send]
        assert sent == sorted(sent)
        self.got += sent
        self.check_claim()
        return then

    def check_claim(self) -> None:
        owed = {one.id for one in self.home.tweets if self.began_ms < one.acked_ms <= self.progress.claim_ms}
        assert owed <= {*self.got}

    def resume(self) -> None:
        self.progress = Progress.begin(SIGNER.live_cursor(SIGNER.sign(self.progress.cursor(), SCOPE), SCOPE), lambda: 0)


@pytest.mark.parametrize("seed", range(300))
def test_live_S10_every_tweet_once_whatever_happens(seed: int) -> None:
    dice = random.Random(seed)
    home = Home(dice)
    home.now_ms += 60_000
    client = Client(home)
    for _ in range(150):
        home.pass_time()
        if dice.random() < 0.3:
            client.resume()
        for _ in range(dice.randrange(4)):
            if client.round(dice.choice([1, 3, 3, 100])) is not Next.NOW:
                break
    home.now_ms += 200_000
    for _ in range(2_000):
        if client.round(3) is Next.LATER:
            break
        home.now_ms += 100
    assert client.progress.claim_ms > home.now_ms - 60_000
    lowest = ids.first_at(client.began_ms - REREAD_MS)
    assert sorted(client.got) == [id_ for id_ in reversed(home.shown()) if id_ >= lowest]


def test_a_token_of_a_busy_stream_is_short() -> None:
    sent = tuple(ids.compose(T0 + 40 * at, at % 30, at % 7) for at in range(400))  # 25 a second
    token = SIGNER.sign(LiveCursor(T0, sent, ids.first_at(T0), ids.first_at(T0 - 99_000)), SCOPE)
    assert len(token) < 2_800
    assert SIGNER.live_cursor(token, SCOPE) == LiveCursor(T0, sent, ids.first_at(T0), ids.first_at(T0 - 99_000))
