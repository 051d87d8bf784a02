"""Verified, explained and rebuilt homes: rules B22 and B23 of docs/protocols/build.md."""

from __future__ import annotations

import random
from typing import Any, cast

import pytest

from rookery_server.cache.interface import Cache
from rookery_server.domain import ids
from rookery_server.domain.errors import InvalidArgument, NotFound
from rookery_server.domain.fanout import AuthorTier, Thresholds, Tier
from rookery_server.domain.limits import HOME_KEPT, WATERMARK_LAG_MS
from rookery_server.domain.models import UserState
from rookery_server.domain.rules import Hidden
from rookery_server.services.audience import Audience
from rookery_server.services.explain import HomeExplainer, Verdict
from rookery_server.services.facts import FactFinder
from rookery_server.services.hydrate import Hydration
from rookery_server.services.inspection import HomeInspection
from rookery_server.services.recent_readers import RecentReaders
from rookery_server.services.truth import HomeTruth
from rookery_server.services.users import KnownUsers
from rookery_server.services.verifier import APART_S, BackgroundVerifier
from rookery_server.services.verify import DIFFERENCES_SHOWN, DifferenceKind, HomeVerifier
from rookery_server.services.witness import SILENT
from rookery_server.store.interface import Store
from tests.unit.services.people import become, pair, posts_of
from tests.unit.services.world import TextCodec, World


class Inspected:
    """A world and its inspection; `waits` are the pauses between two looks."""

    def __init__(self, world: World):
        self.world, self.waits = world, list[float]()
        self.between: Any = None
        store, cache, codec = cast(Store, world.store), cast(Cache, world.cache), TextCodec()
        truth = HomeTruth(store, world.clock, codec)
        facts = FactFinder(store, world.accounts)
        self.verifier = HomeVerifier(
            world.skeletons, world.claims, truth, world.clock, codec, Hydration(store, cache), facts, self._sleep
        )
        known = KnownUsers(store)
        audience = Audience(store, world.clock, known, Thresholds())
        explainer = HomeExplainer(store, cache, world.skeletons, world.claims, truth, audience)
        self.homes = HomeInspection(known, cache, self.verifier, explainer, world.skeletons.builds)

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.world.clock.advance(round(seconds * 1000))
        if self.between is not None:
            await self.between()

    async def verify(self, user: int) -> Any:
        return await self.homes.verify(self.world.call(user), user)

    async def verdict(self, user: int, tweet: int) -> Any:
        return (await self.homes.explain(self.world.call(user), user, tweet)).verdict


@pytest.fixture
async def inspected(world: World) -> Inspected:
    return Inspected(world)


# --- verify -----------------------------------------------------------------------------------------------------------


async def test_build_B22_a_home_that_is_right(inspected: Inspected) -> None:
    world = inspected.world
    alice, bob = await pair(world)
    posts = await posts_of(world, bob, 40)
    await world.tweets.delete(world.call(bob), posts[7])
    assert not (await inspected.verify(alice)).cached
    await world.page(alice)
    found = await inspected.verify(alice)
    assert (found.cached, found.floor_ms, found.compared, found.differences) == (True, 0, 39, ())
    assert found.complete_through_ms == world.clock.now_ms() - WATERMARK_LAG_MS
    assert inspected.waits == []


async def test_build_B22_a_lost_tweet_is_found_and_claimed(inspected: Inspected) -> None:
    world = inspected.world
    alice, bob = await pair(world)
    posts = await posts_of(world, bob, 40)
    await world.page(alice)
    world.cache.homes[alice].remove(posts[20])
    (lost,) = (await inspected.verify(alice)).differences
    assert (lost.tweet_id, lost.author_id, lost.kind, lost.rule) == (posts[20], bob, DifferenceKind.MISSING, None)
    assert lost.claimed


async def test_build_B22_what_is_newer_than_the_claim_is_not_claimed(inspected: Inspected) -> None:
    world = inspected.world
    alice, bob = await pair(world)
    await world.page(alice)
    fresh = await world.post(bob)
    (found,) = (await inspected.verify(alice)).differences
    assert (found.tweet_id, found.claimed) == (fresh, False)


async def test_build_B22_what_does_not_belong_is_found_with_its_rule(inspected: Inspected) -> None:
    world = inspected.world
    alice, bob = await pair(world)
    stranger, gone = world.user(), world.user()
    await world.follow(alice, gone)
    posts = await posts_of(world, bob, 3)
    foreign = world.seed_tweet(stranger, world.clock.now_ms() - 90_000)
    left = world.seed_tweet(gone, world.clock.now_ms() - 91_000)
    await world.page(alice)
    world.cache.homes[alice].insert(1, foreign)
    world.store.tweets[posts[0]] = world.store.own_tweets[bob][posts[0]] = type(world.store.tweets[posts[0]])(
        posts[0], bob, b"", 2**60
    )  # deleted, and the cached body was not overwritten
    await world.accounts.look([gone])
    await become(world, gone, state=UserState.SUSPENDED)
    world.cache.profiles.clear()
    found = {one.tweet_id: one for one in (await inspected.verify(alice)).differences}
    assert {id_: one.rule for id_, one in found.items()} == {foreign: Hidden.UNFOLLOWED, posts[0]: Hidden.DELETED}
    assert {one.kind for one in found.values()} == {DifferenceKind.FORBIDDEN}
    assert left not in found  # hidden on the page as well


async def test_build_B22_what_settles_between_two_looks_is_no_difference(inspected: Inspected) -> None:
    world = inspected.world
    alice, bob = await pair(world)
    await world.page(alice)
    await world.post(bob)
    inspected.between = world.work
    assert (await inspected.verify(alice)).differences == ()
    assert inspected.waits == [0.0]


async def test_build_B22_pull_authors_are_compared_too(inspected: Inspected) -> None:
    world = inspected.world
    alice, bob = await pair(world)
    world.store.author_tiers[bob] = AuthorTier(bob, True, 1)
    await world.tiers.refresh()
    await world.page(alice)
    tweets = [await world.post(bob) for _ in range(3)]
    world.clock.advance(2 * WATERMARK_LAG_MS)
    await world.work()
    found = await inspected.verify(alice)
    assert (found.compared, found.differences) == (3, ())
    world.cache.authors[bob].remove(tweets[1])
    world.clock.advance(1_500)
    await world.work()
    assert [one.tweet_id for one in (await inspected.verify(alice)).differences] == [tweets[1]]


async def test_build_B22_only_down_to_the_floor_and_at_most_a_hundred(inspected: Inspected) -> None:
    world = inspected.world
    alice, bob = await pair(world)
    posts = await posts_of(world, bob, HOME_KEPT + 200, apart_ms=20_000)
    await world.page(alice)
    kept = world.cache.homes[alice]
    floor_ms = (await inspected.verify(alice)).floor_ms
    assert floor_ms > ids.time_ms(posts[0])
    del kept[10:130]
    found = await inspected.verify(alice)
    assert len(found.differences) == DIFFERENCES_SHOWN
    assert found.more
    assert found.differences[0].tweet_id > found.differences[-1].tweet_id


# --- the background verifier ------------------------------------------------------------------------------------------


class Seen(type(SILENT)):  # type: ignore[misc]
    def __init__(self) -> None:
        self.outcomes, self.kinds = list[str](), list[str]()

    def verified(self, outcome: str) -> None:
        self.outcomes.append(outcome)

    def home_mismatch(self, kind: str) -> None:
        self.kinds.append(kind)


async def test_build_B22_homes_lately_read_are_verified_in_the_background(inspected: Inspected) -> None:
    world, seen, recent = inspected.world, Seen(), RecentReaders(random.Random(1))
    background = BackgroundVerifier(inspected.verifier, recent, world.clock, seen, 10.0)
    await background.step()
    assert seen.outcomes == []
    alice, bob = await pair(world)
    posts = await posts_of(world, bob, 5)
    recent.note(alice)
    await background.step()
    assert seen.outcomes == ["absent"]
    await world.page(alice)
    recent.note(alice)
    await background.step()
    assert (seen.outcomes, seen.kinds) == (["absent", "equal"], [])
    world.cache.homes[alice].remove(posts[2])
    inspected.between = world.work
    recent.note(alice)
    await background.step()
    assert (seen.outcomes[2:], seen.kinds, inspected.waits) == (["differs"], ["missing"], [APART_S])
    world.store.down = True
    recent.note(alice)
    await background.step()
    assert seen.outcomes[3:] == ["failed"]


async def test_a_bug_of_the_verifier_does_not_end_the_server(inspected: Inspected) -> None:
    world, seen, recent = inspected.world, Seen(), RecentReaders(random.Random(1))

    class Broken:
        async def verify(self, *_: object) -> None:
            raise ZeroDivisionError

    recent.note(1)
    await BackgroundVerifier(cast(HomeVerifier, Broken()), recent, world.clock, seen, 10.0).step()
    assert seen.outcomes == ["failed"]


def test_the_sample_of_readers_is_bounded() -> None:
    recent = RecentReaders(random.Random(3), size=10)
    for user in range(1000):
        recent.note(user)
    drawn = {recent.draw() for _ in range(10)}
    assert len(drawn) == 10
    assert recent.draw() is None
    assert max(user or 0 for user in drawn) > 500


# --- explain ----------------------------------------------------------------------------------------------------------


async def test_explain_names_every_verdict(inspected: Inspected) -> None:
    world = inspected.world
    alice, bob = await pair(world)
    carol = world.user()
    posts = await posts_of(world, bob, HOME_KEPT + 100, apart_ms=20_000)
    assert await inspected.verdict(alice, posts[-1]) is Verdict.BUILT_ON_READ
    await world.page(alice)
    assert await inspected.verdict(alice, posts[-1]) is Verdict.LISTED
    assert await inspected.verdict(alice, posts[0]) is Verdict.BELOW_FLOOR
    assert await inspected.verdict(alice, 12345) is Verdict.NO_SUCH_TWEET
    assert await inspected.verdict(alice, world.seed_tweet(carol, world.clock.now_ms())) is Verdict.NOT_FOLLOWED
    assert await inspected.verdict(alice, await world.post(bob)) is Verdict.ON_ITS_WAY
    world.cache.homes[alice].remove(posts[-3])
    assert await inspected.verdict(alice, posts[-3]) is Verdict.LOST
    await world.tweets.delete(world.call(bob), posts[-4])
    assert await inspected.verdict(alice, posts[-4]) is Verdict.HIDDEN


async def test_explain_tells_everything_that_decides(inspected: Inspected) -> None:
    world = inspected.world
    alice, bob = await pair(world)
    world.store.author_tiers[bob] = AuthorTier(bob, True, 1)
    await world.tiers.refresh()
    await world.page(alice)
    tweet = await world.post(bob)
    world.clock.advance(2 * WATERMARK_LAG_MS)
    await world.work()
    found = await inspected.homes.explain(world.call(alice), alice, tweet)
    assert found.verdict is Verdict.MERGED
    assert (found.author_id, found.rule, found.following, found.cached, found.listed) == (bob, None, True, True, False)
    assert found.in_author_list
    assert found.tier is not None
    assert (found.tier.tier, found.tier.merged, found.tier.delivered) == (Tier.PULL, True, False)
    assert found.edge_ms == world.store.edges_of[alice][bob].version_us // 1000
    assert found.watermark_ms == found.complete_through_ms == world.clock.now_ms() - WATERMARK_LAG_MS
    assert found.built_ms == world.cache.built_ms[alice]
    assert found.floor_ms == 0
    await become(world, bob, state=UserState.SUSPENDED)
    hidden = await inspected.homes.explain(world.call(alice), alice, tweet)
    assert (hidden.verdict, hidden.rule) == (Verdict.HIDDEN, Hidden.INACTIVE)
    await world.unfollow(alice, bob)
    gone = await inspected.homes.explain(world.call(alice), alice, tweet)
    assert (gone.following, gone.cached) == (False, False)


async def test_explain_reads_a_list_that_serves_once(inspected: Inspected) -> None:
    world = inspected.world
    alice, bob = await pair(world)
    posts = await posts_of(world, bob, 3)
    await world.page(alice)
    await world.age()
    world.cache.calls.clear()
    found = await inspected.homes.explain(world.call(alice), alice, posts[0])
    assert (found.verdict, found.cached, found.listed) == (Verdict.LISTED, True, True)
    assert world.cache.calls.count("read_home") == 1


async def test_explain_tells_what_a_list_holds_that_no_page_is_read_from(inspected: Inspected) -> None:
    world = inspected.world
    alice, bob = await pair(world)
    posts = await posts_of(world, bob, 3)
    await world.page(alice)
    world.cache.built_under[alice] = 1
    found = await inspected.homes.explain(world.call(alice), alice, posts[0])
    assert (found.verdict, found.cached, found.listed) == (Verdict.BUILT_ON_READ, False, True)


async def test_explain_without_the_cache(inspected: Inspected) -> None:
    world = inspected.world
    alice, bob = await pair(world)
    (tweet,) = await posts_of(world, bob, 1)
    world.cache.down.update(world.cache.nodes)
    found = await inspected.homes.explain(world.call(alice), alice, tweet)
    assert (found.verdict, found.cached, found.watermark_ms) == (Verdict.BUILT_ON_READ, False, 0)


# --- rebuild ----------------------------------------------------------------------------------------------------------


async def test_build_B23_a_home_is_built_anew(inspected: Inspected) -> None:
    world = inspected.world
    alice, bob = await pair(world)
    posts = await posts_of(world, bob, 5)
    await world.page(alice)
    world.cache.homes[alice].remove(posts[2])
    found = await inspected.homes.rebuild(world.call(alice), alice)
    assert (found.settled, found.stored, found.size) == (True, True, 5)
    assert found.complete_through_ms == world.clock.now_ms() - WATERMARK_LAG_MS
    assert list((await world.page(alice)).tweet_ids) == posts[::-1]
    world.cache.down.add(world.cache.node_of(alice))
    away = await inspected.homes.rebuild(world.call(alice), alice)
    assert (away.settled, away.stored) == (False, False)


async def test_inspection_needs_a_user(inspected: Inspected) -> None:
    world = inspected.world
    with pytest.raises(NotFound):
        await inspected.verify(12345)
    with pytest.raises(InvalidArgument):
        await inspected.homes.explain(world.call(1), world.user(), 0)
    with pytest.raises(NotFound):
        await inspected.homes.rebuild(world.call(1), 12345)
