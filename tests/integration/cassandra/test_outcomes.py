"""What a lost request, a lost reply and a late commit leave behind, on a real node."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from rookery_server.domain import ids
from rookery_server.domain.clock import SystemClock
from rookery_server.domain.errors import Outcome, StoreUnavailable
from rookery_server.domain.events import Event, EventKind, shard_of
from rookery_server.domain.models import Edge, Profile, User
from rookery_server.store.cassandra.session import SessionHook
from rookery_server.store.cassandra.store import CassandraStore
from rookery_server.store.interface import NameClaim, TweetRow
from tests.support.keyspaces import SHARDS
from tests.support.session_hooks import Faults

Open = Callable[[SessionHook], Awaitable[CassandraStore]]
AUTHOR = 77
CLOCK = SystemClock()


def _post(sequence: int, now_ms: int, body: bytes = b"body") -> tuple[TweetRow, Event]:
    tweet = ids.compose(now_ms, 1, sequence)
    row = TweetRow(tweet, AUTHOR, body, ids.write_timestamp_us(tweet))
    return row, Event(ids.compose(now_ms, 2, sequence), EventKind.POST, AUTHOR, tweet, row.version_us)


async def _events(store: CassandraStore, now_ms: int) -> list[int]:
    rows = await store.read(shard_of(AUTHOR, SHARDS), now_ms - 1000, now_ms + 1000)
    return [row.event_id for row in rows]


async def test_two_tweets_of_one_millisecond_both_survive(cassandra_store: CassandraStore) -> None:
    now = CLOCK.now_ms()
    (first, _), (second, _) = posts = [_post(1, now, b"one"), _post(2, now, b"two")]
    for row, event in posts:
        await cassandra_store.post(row, event)
    page = await cassandra_store.user_tweets(AUTHOR, None, 10)
    assert page.rows == (second, first)
    assert page.end
    assert await cassandra_store.get_tweets([first.tweet_id, second.tweet_id]) == {
        first.tweet_id: first,
        second.tweet_id: second,
    }


async def test_a_batch_that_commits_late_appears_wholly(open_hooked: Open) -> None:
    faults = Faults()
    store = await open_hooked(faults)
    now = CLOCK.now_ms()
    row, event = _post(1, now)
    faults.commit_late("post_batch")
    with pytest.raises(StoreUnavailable) as unknown:
        await store.post(row, event)
    assert unknown.value.outcome is Outcome.UNKNOWN
    assert await store.get_tweets([row.tweet_id]) == {}
    assert await _events(store, now) == []
    await faults.release()
    assert await store.get_tweets([row.tweet_id]) == {row.tweet_id: row}
    assert await store.user_tweet(AUTHOR, row.tweet_id) == row
    assert (await store.user_tweets(AUTHOR, None, 10)).rows == (row,)
    assert await _events(store, now) == [event.id]


async def test_a_late_batch_cannot_bring_a_deleted_tweet_back(open_hooked: Open) -> None:
    faults = Faults()
    store = await open_hooked(faults)
    now = CLOCK.now_ms()
    row, event = _post(1, now)
    faults.commit_late("post_batch")
    with pytest.raises(StoreUnavailable):
        await store.post(row, event)
    removal = ids.compose(now, 1, 3)
    version = ids.later_timestamp_us(removal, row.version_us)
    await store.delete(row.tweet_id, AUTHOR, Event(removal, EventKind.DELETE, AUTHOR, row.tweet_id, version))
    await faults.release()
    found = (await store.get_tweets([row.tweet_id]))[row.tweet_id]
    assert (found.body, found.version_us) == (b"", version)
    assert await store.user_tweet(AUTHOR, row.tweet_id) == TweetRow(row.tweet_id, AUTHOR, b"", version)


async def test_a_repeat_after_a_lost_reply_changes_nothing_but_adds_its_event(open_hooked: Open) -> None:
    faults = Faults()
    store = await open_hooked(faults)
    now = CLOCK.now_ms()
    row, event = _post(1, now)
    faults.lose_reply("post_batch")
    with pytest.raises(StoreUnavailable):
        await store.post(row, event)
    again = Event(ids.compose(now, 2, 9), EventKind.POST, AUTHOR, row.tweet_id, row.version_us, repeat=True)
    await store.post(row, again)
    assert (await store.user_tweets(AUTHOR, None, 10)).rows == (row,)
    assert await _events(store, now) == [event.id, again.id]


async def test_a_lost_post_leaves_the_bucket_row_to_the_next(open_hooked: Open) -> None:
    faults = Faults()
    store = await open_hooked(faults)
    now = CLOCK.now_ms()
    faults.lose_request("post_batch")
    with pytest.raises(StoreUnavailable):
        await store.post(*_post(1, now))
    row, event = _post(2, now)
    await store.post(row, event)
    assert (await store.user_tweets(AUTHOR, None, 10)).rows == (row,)


async def test_an_older_edge_never_wins(cassandra_store: CassandraStore) -> None:
    now = CLOCK.now_ms()
    old, new = ids.compose(now, 1, 1), ids.compose(now, 1, 2)
    off = Edge(1, 2, False, ids.write_timestamp_us(new))
    late = Edge(1, 2, True, ids.write_timestamp_us(old))
    await cassandra_store.write_edge(off, Event(new, EventKind.UNFOLLOW, 1, 2, off.version_us))
    await cassandra_store.write_edge(late, Event(old, EventKind.FOLLOW, 1, 2, late.version_us))
    await cassandra_store.repair_mirror(late)
    assert await cassandra_store.edge(1, 2) == off
    assert (await cassandra_store.followers(2, None, 10)).follower_ids == ()


async def test_an_unknown_claim_of_a_request_is_settled_by_the_row(open_hooked: Open) -> None:
    faults = Faults()
    store = await open_hooked(faults)
    faults.lose_reply("request_claim")
    assert (await store.claim_request(1, "a", b"hash", 5)).fresh
    faults.lose_request("request_claim")
    assert (await store.claim_request(1, "b", b"hash", 6)).fresh
    assert faults.sent.count("request_at_serial") == 2
    assert faults.sent.count("request_claim") == 3  # absent at SERIAL: inserted again
    faults.lose_request("request_claim")
    standing = await store.claim_request(1, "a", b"other", 7)
    assert (standing.fresh, standing.content_hash, standing.result_id) == (False, b"hash", 5)


async def test_an_unknown_claim_that_cannot_be_read_stays_unknown(open_hooked: Open) -> None:
    faults = Faults()
    store = await open_hooked(faults)
    faults.lose_request("request_claim")
    faults.lose_request("request_at_serial")
    with pytest.raises(StoreUnavailable) as unknown:
        await store.claim_request(1, "a", b"hash", 5)
    assert unknown.value.outcome is Outcome.UNKNOWN


async def test_unknown_names_users_and_edits_are_settled(open_hooked: Open) -> None:
    faults = Faults()
    store = await open_hooked(faults)
    claim, other = NameClaim(7, b"h", 1), NameClaim(8, b"g", 2)
    faults.lose_reply("name_claim")
    assert await store.claim_name("ann", claim) == claim
    faults.lose_request("name_take_over")
    assert await store.take_over_name("ann", claim, other) == claim
    faults.lose_reply("name_take_over")
    assert await store.take_over_name("ann", claim, other) == other
    user = User(8, "Ann", Profile("Ann"), 3, "e1")
    faults.lose_reply("user_create")
    assert await store.create_user(user) == user
    changed = replace(user, etag="e2", profile=Profile("Bee"))
    faults.lose_request("user_replace")
    assert await store.replace_user(changed, "e1") == user
    faults.lose_reply("user_replace")
    assert await store.replace_user(changed, "e1") == changed
    assert await store.settled_user(8) == changed


async def test_a_change_that_was_made_is_never_said_not_to_be(open_hooked: Open) -> None:
    """After the yes nothing is read that could fail."""
    faults = Faults()
    store = await open_hooked(faults)
    user = User(9, "Bo", Profile(), 3, "e1")
    await store.create_user(user)
    faults.lose_request("user_at_serial")
    changed = replace(user, etag="e2", protected=True)
    assert await store.replace_user(changed, "e1") == changed
    faults.lose_request("user_replace")
    with pytest.raises(StoreUnavailable) as unknown:
        await store.replace_user(replace(user, etag="e3"), "e2")
    assert unknown.value.outcome is Outcome.UNKNOWN


async def test_an_unknown_lease_is_not_held(open_hooked: Open) -> None:
    faults = Faults()
    store = await open_hooked(faults)
    faults.lose_reply("lease_first")
    with pytest.raises(StoreUnavailable) as unknown:
        await store.take_lease("shard/1", None, "me", 0)
    assert unknown.value.outcome is Outcome.UNKNOWN
    standing = (await store.read_leases(["shard/1"]))["shard/1"]
    assert standing.owner == "me"


async def test_one_of_many_wins(cassandra_store: CassandraStore) -> None:
    name = secrets.token_hex(4)
    claims = await asyncio.gather(
        *(cassandra_store.claim_request(1, name, b"hash", result) for result in range(1, 51)), return_exceptions=True
    )
    settled = [claim for claim in claims if not isinstance(claim, BaseException)]
    assert len({claim.result_id for claim in settled}) == 1
    assert sum(claim.fresh for claim in settled) <= 1
    standing = await cassandra_store.claim_request(1, name, b"hash", 99)
    assert standing.result_id == settled[0].result_id
