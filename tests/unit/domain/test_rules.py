"""Who sees what: one table of cases, and each rule alone."""

from __future__ import annotations

import pytest

from rookery_server.domain.models import Reference, Relations, Reply, Tweet
from rookery_server.domain.rules import Hidden, Viewer, hidden_anywhere, hidden_from_home

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
    viewer = Viewer(ME, Relations(1, unfollowed=frozenset({ME}), muted=frozenset({ME})), following)
    assert hidden_from_home(viewer, _tweet(ME)) is None


def test_muted_authors_are_left_out_of_home_only() -> None:
    viewer = Viewer(ME, Relations(1, muted=frozenset({FRIEND})))
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
