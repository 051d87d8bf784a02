"""What is looked up for the rules, what it costs, and what becomes of what could not be read: R12 and R15 to R17 of
docs/protocols/removal.md."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import cast

import pytest

from rookery_server.domain.errors import NotFound, PermissionDenied, StoreUnavailable
from rookery_server.domain.models import Reference, Relations, Reply, Tweet, User, UserState
from rookery_server.domain.rules import Facts, Viewer
from rookery_server.services.facts import FactFinder, FactsFound
from rookery_server.services.tokens import user_token
from rookery_server.store.interface import Store
from tests.unit.services.people import become, pair
from tests.unit.services.world import World


def _finder(world: World) -> FactFinder:
    return FactFinder(cast(Store, world.store), world.accounts)


def _tweet(author: int, reply_to: int = 0, quoted: int = 0) -> Tweet:
    return Tweet(
        100,
        author,
        "text",
        0,
        reply=Reply(90, reply_to, 90) if reply_to else None,
        quoted=Reference(91, quoted) if quoted else None,
    )


async def test_removal_R16_a_page_of_ordinary_accounts_reads_nothing_of_the_store(world: World) -> None:
    alice, bob, carol = world.user(), world.user(), world.user()
    tweets = [_tweet(bob), _tweet(bob, reply_to=carol), None, _tweet(alice, quoted=carol)]
    viewer = Viewer(alice, Relations(1, blocked_by=frozenset({carol, 4711})))
    await _finder(world).gather(viewer, tweets)
    world.store.calls.clear()
    world.clock.advance(2_000)
    assert await _finder(world).gather(viewer, tweets) == FactsFound(Facts(blocking=frozenset({carol})))
    assert not world.store.calls


async def test_removal_R16_followees_are_asked_for_where_it_matters(world: World) -> None:
    alice, bob, carol, dave = world.user(), world.user(), world.user(), world.user()
    await world.follow(alice, bob)
    await become(world, bob, protected=True)
    await become(world, dave, state=UserState.SUSPENDED)
    tweets = [_tweet(bob, reply_to=carol), _tweet(dave)]
    found = await _finder(world).gather(Viewer(alice), tweets)
    assert found == FactsFound(Facts(frozenset({dave}), frozenset({bob}), frozenset(), frozenset({bob})))
    await world.follow(alice, carol)
    choosy = await _finder(world).gather(Viewer(alice, only_known_replies=True), tweets)
    assert choosy.facts.followed == {bob, carol}
    known = await _finder(world).gather(Viewer(alice, following=frozenset({bob})), tweets)
    assert known.facts.followed == frozenset()
    world.store.calls.clear()
    public = await _finder(world).gather(Viewer(0), tweets)
    assert (public.facts.protected, public.facts.followed) == ({bob}, frozenset())
    assert "edges" not in world.store.calls


async def test_removal_R16_blockers_too_many_to_carry_are_asked_for(world: World) -> None:
    alice, bob, carol = world.user(), world.user(), world.user()
    await world.graph.block(world.call(bob), alice)
    viewer = Viewer(alice, Relations(1, blocked_by=None))
    found = await _finder(world).gather(viewer, [_tweet(bob), _tweet(carol)])
    assert found == FactsFound(Facts(blocking=frozenset({bob})))


async def test_removal_R17_what_could_not_be_read_is_named(world: World) -> None:
    alice, bob, carol = world.user(), world.user(), world.user()
    await _finder(world).gather(Viewer(alice), [_tweet(bob)])
    world.store.down = True
    found = await _finder(world).gather(Viewer(alice), [_tweet(bob), _tweet(bob, quoted=carol)])
    assert found.unread == {carol}
    assert found.judges(_tweet(bob))
    assert found.judges(None)
    assert not found.judges(_tweet(bob, quoted=carol))
    with pytest.raises(StoreUnavailable):
        found.raise_if_unread()
    many = await _finder(world).gather(Viewer(alice, Relations(1, blocked_by=None)), [_tweet(bob)])
    assert many.unread == {bob}


async def test_removal_R17_nor_is_anybody_taken_for_a_follower(world: World) -> None:
    alice, bob, carol = world.user(), world.user(), world.user()
    await become(world, bob, protected=True)
    await world.accounts.standing([bob, carol])
    world.store.down = True
    found = await _finder(world).gather(Viewer(alice), [_tweet(bob), _tweet(carol)])
    assert found.unread == {bob}


# --- as paths show it -------------------------------------------------------------------------------------------------

Hide = Callable[[World, int, int], Awaitable[object]]


async def _block(world: World, alice: int, bob: int) -> None:
    await world.graph.block(world.call(alice), bob)


async def _be_blocked(world: World, alice: int, bob: int) -> None:
    await world.graph.block(world.call(bob), alice)


async def _suspend(world: World, alice: int, bob: int) -> None:
    await become(world, bob, state=UserState.SUSPENDED)


async def _deactivate(world: World, alice: int, bob: int) -> None:
    await become(world, bob, state=UserState.DEACTIVATED)


async def _protect(world: World, alice: int, bob: int) -> None:
    await become(world, bob, protected=True)


HIDING = pytest.mark.parametrize("hide", [_block, _be_blocked, _suspend, _deactivate, _protect])


@HIDING
async def test_removal_R12_R15_hidden_on_every_path(world: World, hide: Hide) -> None:
    alice, carol = await pair(world)  # Alice follows Carol, and not Bob
    bob = world.user()
    said = await world.post(bob)
    quoting = await world.post(carol, quoted_id=said)
    answering = await world.post(carol, in_reply_to_id=said)
    plain = await world.post(carol)
    await world.work()
    assert (await world.page(alice)).tweet_ids == (plain, answering, quoting)
    await hide(world, alice, bob)
    for _ in range(2):  # built, then from the list
        page = await world.page(alice)
        assert (page.tweet_ids, page.info.hidden) == ((plain,), 2)
    call = world.call(alice)
    assert [
        id_ for id_, body in (await world.tweets.batch_get(call, [said, quoting, answering, plain])).items() if body
    ] == [plain]
    with pytest.raises(NotFound):
        await world.tweets.get(call, said)
    with pytest.raises(NotFound):
        await world.profiles.page(call, bob, 20)
    assert (await world.profiles.page(call, carol, 20)).tweet_ids == (plain,)
    world.cache.down.update(world.cache.nodes)
    assert (await world.page(alice)).tweet_ids == (plain,)
    assert (await world.profiles.page(call, carol, 20)).tweet_ids == (plain,)


@HIDING
async def test_removal_R12_hidden_tweets_are_neither_answered_nor_quoted_nor_told_from_missing_ones(
    world: World, hide: Hide
) -> None:
    alice, bob = world.user(), world.user()
    said = await world.post(bob)
    await hide(world, alice, bob)
    with pytest.raises(NotFound):
        await world.post(alice, in_reply_to_id=said)
    with pytest.raises(NotFound):
        await world.post(alice, quoted_id=said)
    with pytest.raises(NotFound):
        await world.tweets.delete(world.call(alice), said)
    other = await world.post(world.user())
    with pytest.raises(PermissionDenied):
        await world.tweets.delete(world.call(alice), other)


@HIDING
async def test_removal_R15_nobody_is_hidden_from_themselves(world: World, hide: Hide) -> None:
    alice, bob = world.user(), world.user()
    said = await world.post(bob)
    await world.work()
    await hide(world, alice, bob)
    assert (await world.page(bob)).tweet_ids == (said,)
    assert (await world.profiles.page(world.call(bob), bob, 20)).tweet_ids == (said,)
    assert await world.tweets.get(world.call(bob), said)


async def test_removal_R13_history_comes_back(world: World) -> None:
    alice, carol = await pair(world)
    bob = world.user()
    said = await world.post(bob)
    quoting = await world.post(carol, quoted_id=said)
    await world.work()
    assert (await world.page(alice)).tweet_ids == (quoting,)
    for blocker, blocked in ((alice, bob), (bob, alice)):
        await world.graph.block(world.call(blocker), blocked)
        assert (await world.page(alice)).tweet_ids == ()
        await world.graph.unblock(world.call(blocker), blocked)
        assert (await world.page(alice)).tweet_ids == (quoting,)
    for changes in ({"state": UserState.SUSPENDED}, {"protected": True}):
        await become(world, bob, **changes)
        assert (await world.page(alice)).tweet_ids == ()
        await become(world, bob, state=UserState.ACTIVE, protected=False)
        assert (await world.page(alice)).tweet_ids == (quoting,)


async def test_removal_R15_a_protected_account_shows_to_followers(world: World) -> None:
    alice, bob = await pair(world)
    stranger = world.user()
    said = await world.post(bob)
    await world.work()
    await become(world, bob, protected=True)
    for _ in range(2):
        assert (await world.page(alice)).tweet_ids == (said,)
    for _ in range(2):
        assert (await world.profiles.page(world.call(alice), bob, 20)).tweet_ids == (said,)
        assert await world.tweets.get(world.call(alice), said)
    for caller in (stranger, 0):
        with pytest.raises(NotFound):
            await world.profiles.page(world.call(caller), bob, 20)
        with pytest.raises(NotFound):
            await world.tweets.get(world.call(caller), said)


async def test_removal_R17_a_home_page_is_cut_before_what_is_not_known(world: World) -> None:
    alice, bob = await pair(world)
    carol = world.user()
    quoting = await world.post(bob, quoted_id=await world.post(carol))
    plain = await world.post(bob)
    await world.work()
    await world.page(alice)
    assert (await world.page(alice)).tweet_ids == (plain, quoting)
    world.cache.profiles.pop(carol)
    world.clock.advance(1_100)
    world.store.down = True
    page = await world.page(alice)
    assert (page.tweet_ids, page.info.stale) == ((plain,), True)
    assert page.next_cursor is not None
    with pytest.raises(StoreUnavailable):
        await world.tweets.get(world.call(alice), quoting)
    assert await world.tweets.get(world.call(alice), plain)


UNSETTLED = pytest.mark.parametrize(
    "change", [lambda user: replace(user, protected=True), lambda user: replace(user, state=UserState.DEACTIVATED)]
)


@UNSETTLED
async def test_account_A14_a_token_goes_past_every_copy_on_every_path(
    world: World, change: Callable[[User], User]
) -> None:
    alice, carol = await pair(world)  # Alice follows Carol, and not Bob
    bob = world.user()
    said = await world.post(bob)
    quoting = await world.post(carol, quoted_id=said)
    plain = await world.post(carol)
    await world.work()
    assert (await world.page(alice)).tweet_ids == (plain, quoting)
    # Committed, its caller cut off before the stub: `p:` and this server's own copy show the old state.
    world.store.users[bob] = change(world.store.users[bob])
    token, call = user_token(bob, world.clock.now_ms()), world.call(alice)
    assert (await world.page(alice, token=token)).tweet_ids == (plain,)
    assert (await world.tweets.batch_get(call, [said, quoting], token)) == {said: None, quoting: None}
    with pytest.raises(NotFound):
        await world.profiles.page(call, bob, 20, token=token)
    assert (await world.profiles.page(call, carol, 20, token=token)).tweet_ids == (plain,)
    world.store.down = True
    assert (await world.accounts.look([bob, carol], bypass=[bob])).unread == {bob}
