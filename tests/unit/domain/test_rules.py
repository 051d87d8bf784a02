"""Who sees what: one table of cases, and each rule alone."""

from __future__ import annotations

import pytest

from rookery_server.domain.models import Reference, Relations, Reply, Tweet
from rookery_server.domain.rules import (
    Facts,
    Hidden,
    Viewer,
    hidden_account,
    hidden_anywhere,
    hidden_from_home,
    speakers,
)

ME, FRIEND, OTHER = 1, 2, 3


def _tweet(author: int, reply_to: int = 0, quoted: int = 0, retweeted: int = 0) -> Tweet:
    return Tweet(
        100,
        author,
        "text",
        0,
        reply=Reply(90, reply_to, 90) if reply_to else None,
        quoted=Reference(91, quoted) if quoted else None,
        retweeted=Reference(92, retweeted) if retweeted else None,
    )


def test_a_followee_is_shown() -> None:
    assert hidden_from_home(Viewer(ME), _tweet(FRIEND)) is None


def test_deleted_is_hidden_everywhere() -> None:
    assert hidden_from_home(Viewer(ME), None) is Hidden.DELETED
    assert hidden_anywhere(Viewer(ME), None) is Hidden.DELETED


def test_removal_R9_unfollowed_is_hidden_from_home_only() -> None:
    viewer = Viewer(ME, Relations(1, unfollowed=frozenset({FRIEND})))
    assert hidden_from_home(viewer, _tweet(FRIEND)) is Hidden.UNFOLLOWED
    assert hidden_anywhere(viewer, _tweet(FRIEND)) is None


def test_where_followees_are_known_only_they_count() -> None:
    # Followed again since the relations were dated: the followees are the later word.
    viewer = Viewer(ME, Relations(1, unfollowed=frozenset({FRIEND})), frozenset({FRIEND}))
    assert hidden_from_home(viewer, _tweet(FRIEND)) is None
    assert hidden_from_home(viewer, _tweet(OTHER)) is Hidden.UNFOLLOWED


@pytest.mark.parametrize("following", [None, frozenset[int]()])
def test_own_tweets_are_always_at_home(following: frozenset[int] | None) -> None:
    viewer = Viewer(ME, Relations(1, unfollowed=frozenset({ME}), muted={ME: 0}), following)
    assert hidden_from_home(viewer, _tweet(ME)) is None


def test_muted_authors_are_left_out_of_home_only() -> None:
    viewer = Viewer(ME, Relations(1, muted={FRIEND: 0}))
    assert hidden_from_home(viewer, _tweet(FRIEND)) is Hidden.MUTED
    assert hidden_anywhere(viewer, _tweet(FRIEND)) is None


@pytest.mark.parametrize(
    "tweet",
    [
        _tweet(OTHER),
        _tweet(FRIEND, reply_to=OTHER),
        _tweet(FRIEND, quoted=OTHER),
        _tweet(FRIEND, retweeted=OTHER),
        _tweet(ME, reply_to=OTHER),
    ],
    ids=["author", "answered", "quoted", "retweeted", "answered by oneself"],
)
def test_blocked_authors_are_hidden_however_they_speak(tweet: Tweet) -> None:
    viewer = Viewer(ME, Relations(1, blocked=frozenset({OTHER})))
    assert hidden_anywhere(viewer, tweet) is Hidden.BLOCKED
    assert hidden_from_home(viewer, tweet) is Hidden.BLOCKED


SPOKEN_BY_OTHER = pytest.mark.parametrize(
    "tweet",
    [_tweet(OTHER), _tweet(FRIEND, reply_to=OTHER), _tweet(FRIEND, quoted=OTHER), _tweet(FRIEND, retweeted=OTHER)],
    ids=["author", "answered", "quoted", "retweeted"],
)


@SPOKEN_BY_OTHER
def test_removal_R12_who_blocks_the_viewer_is_hidden_however_they_speak(tweet: Tweet) -> None:
    facts = Facts(blocking=frozenset({OTHER}))
    assert hidden_anywhere(Viewer(ME), tweet, facts) is Hidden.BLOCKED
    assert hidden_from_home(Viewer(ME), tweet, facts) is Hidden.BLOCKED
    assert hidden_account(Viewer(ME), OTHER, facts) is Hidden.BLOCKED
    assert hidden_anywhere(Viewer(OTHER, Relations(1)), _tweet(OTHER), facts) is None


@SPOKEN_BY_OTHER
def test_removal_R14_a_mute_hides_from_home_until_its_time(tweet: Tweet) -> None:
    viewer = Viewer(ME, Relations(1, muted={OTHER: 1_000}), frozenset({FRIEND, OTHER}))
    assert hidden_from_home(viewer, tweet, now_ms=999) is Hidden.MUTED
    assert hidden_from_home(viewer, tweet, now_ms=1_000) is None
    assert hidden_anywhere(viewer, tweet) is None
    for_ever = Viewer(ME, Relations(1, muted={OTHER: 0}), frozenset({FRIEND, OTHER}))
    assert hidden_from_home(for_ever, tweet, now_ms=10**15) is Hidden.MUTED


@SPOKEN_BY_OTHER
def test_removal_R15_inactive_accounts_are_hidden_from_everybody_else(tweet: Tweet) -> None:
    facts = Facts(inactive=frozenset({OTHER}))
    assert hidden_anywhere(Viewer(0), tweet, facts) is Hidden.INACTIVE
    assert hidden_from_home(Viewer(ME, following=frozenset({FRIEND, OTHER})), tweet, facts) is Hidden.INACTIVE
    assert hidden_anywhere(Viewer(OTHER), tweet, facts) is None


@SPOKEN_BY_OTHER
def test_removal_R15_protected_accounts_are_shown_to_followers_only(tweet: Tweet) -> None:
    facts = Facts(protected=frozenset({OTHER}))
    assert hidden_anywhere(Viewer(0), tweet, facts) is Hidden.PROTECTED
    assert hidden_anywhere(Viewer(ME), tweet, facts) is Hidden.PROTECTED
    assert hidden_anywhere(Viewer(ME, following=frozenset()), tweet, facts) is Hidden.PROTECTED
    assert hidden_anywhere(Viewer(ME, following=frozenset({OTHER})), tweet, facts) is None
    assert hidden_anywhere(Viewer(ME), tweet, Facts(protected=frozenset({OTHER}), followed=frozenset({OTHER}))) is None
    assert hidden_anywhere(Viewer(OTHER), tweet, facts) is None


def test_replies_to_strangers_are_left_out_where_the_viewer_says_so() -> None:
    viewer = Viewer(ME, following=frozenset({FRIEND}), only_known_replies=True)
    assert hidden_from_home(viewer, _tweet(FRIEND, reply_to=OTHER)) is Hidden.STRANGER
    assert hidden_from_home(viewer, _tweet(FRIEND, reply_to=ME)) is None
    assert hidden_from_home(viewer, _tweet(FRIEND, reply_to=FRIEND)) is None
    assert hidden_from_home(viewer, _tweet(ME, reply_to=OTHER)) is None
    assert hidden_from_home(Viewer(ME, following=frozenset({FRIEND})), _tweet(FRIEND, reply_to=OTHER)) is None
    of_a_list = Viewer(ME, only_known_replies=True)
    assert hidden_from_home(of_a_list, _tweet(FRIEND, reply_to=OTHER)) is Hidden.STRANGER
    assert hidden_from_home(of_a_list, _tweet(FRIEND, reply_to=OTHER), Facts(followed=frozenset({OTHER}))) is None


def test_speakers_are_named_once_the_author_first() -> None:
    assert speakers(_tweet(FRIEND, reply_to=OTHER, quoted=FRIEND, retweeted=4)) == (FRIEND, OTHER, 4)
