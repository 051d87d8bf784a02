"""Links and watermarks.  docs/protocols/links.md L1-L4 and L10-L12, claim.md."""

from __future__ import annotations

import asyncio

import pytest

from rookery_server.cache.interface import Cache, Link, Marks, ProfileRead, RelationsRead
from rookery_server.domain.errors import CacheUnavailable
from rookery_server.domain.models import Relations
from tests.conformance.cache.subjects import Subject, ended, relinked

TAG = 42


@pytest.fixture
def cache(subject: Subject) -> Cache:
    """Of nodes where no worker has been."""
    subject.forget()
    return subject.process()


@pytest.fixture
async def link(subject: Subject, cache: Cache) -> Link:
    """To a node that was adopted."""
    found = (await cache.open_links())[subject.node_of(TAG)]
    assert await cache.adopt_empty(found, 10)
    return found


# --- links ------------------------------------------------------------------------------------------------------------


async def test_one_link_a_node(cache: Cache) -> None:
    links = await cache.open_links()
    assert len(links) == 3
    assert set(links) == cache.nodes()
    assert all(name == link.node and cache.is_current(link) for name, link in links.items())
    assert await cache.open_links() == links


async def test_nodes_have_the_same_names_for_every_process(subject: Subject, cache: Cache) -> None:
    await cache.open_links()
    other = subject.process()
    await other.open_links()
    assert other.nodes() == cache.nodes()


async def test_a_link_is_of_one_process(subject: Subject, cache: Cache, link: Link) -> None:
    other = subject.process()
    theirs = (await other.open_links())[link.node]
    assert theirs != link
    assert not other.is_current(link)
    assert not cache.is_current(theirs)
    with pytest.raises(CacheUnavailable):
        await other.read_node_marks(link)


async def test_a_link_ends_for_ever(subject: Subject, cache: Cache, link: Link) -> None:
    subject.drop_connections(link.node)
    await ended(cache, link)
    again = await relinked(cache, link)
    assert again.generation > link.generation
    assert cache.is_current(again)
    assert not cache.is_current(link)
    links = await cache.open_links()
    assert links[link.node] == again
    assert all(cache.is_current(other) for other in links.values())


async def test_what_is_sent_over_a_link_that_ended_does_nothing(subject: Subject, cache: Cache, link: Link) -> None:
    subject.drop_connections(link.node)
    await ended(cache, link)
    again = await relinked(cache, link)
    with pytest.raises(CacheUnavailable):
        await cache.read_node_marks(link)
    with pytest.raises(CacheUnavailable):
        await cache.advance(link, {1: (None, 5)})
    with pytest.raises(CacheUnavailable):
        await cache.adopt_empty(link, 99, 10)
    assert await cache.read_node_marks(again) == Marks(again, True, {}, 10)


async def test_an_unknown_link_is_not_current(cache: Cache, link: Link) -> None:
    assert not cache.is_current(Link("nobody", 1))
    assert not cache.is_current(Link(link.node, link.generation + 1_000))
    with pytest.raises(CacheUnavailable):
        await cache.read_node_marks(Link("nobody", 1))


async def test_a_closed_cache_has_no_links(subject: Subject, cache: Cache, link: Link) -> None:
    await cache.close()
    assert not cache.is_current(link)
    assert dict(cache.fill_mark().links) == {}


# --- marks ------------------------------------------------------------------------------------------------------------


async def test_a_new_node_claims_nothing(cache: Cache) -> None:
    found = await cache.read_marks()
    assert len(found) == 3
    links = await cache.open_links()
    assert found == {name: Marks(link, known=False) for name, link in links.items()}


async def test_marks_belong_to_the_link_they_were_read_over(subject: Subject, cache: Cache, link: Link) -> None:
    before = (await cache.read_marks())[link.node]
    assert before is not None
    assert before.link == link
    subject.drop_connections(link.node)
    await ended(cache, link)
    again = await relinked(cache, link)
    after = (await cache.read_marks())[link.node]
    assert after == Marks(again, True, {}, 10)


async def test_an_adopted_node_is_known_to_everybody(subject: Subject, cache: Cache, link: Link) -> None:
    await cache.advance(link, {3: (None, 77)})
    other = subject.process()
    found = (await other.read_marks())[link.node]
    assert found is not None
    assert (found.known, found.marks, found.flushed_ms) == (True, {3: 77}, 10)
    rest = {name: marks for name, marks in (await cache.read_marks()).items() if name != link.node}
    assert all(marks is not None and not marks.known for marks in rest.values())


async def test_marks_move_only_from_what_was_expected(cache: Cache, link: Link) -> None:
    big = (1 << 62) + 1
    assert await cache.advance(link, {}) == {}
    moved = await cache.advance(link, {1: (None, 10), 2: (4, 10), 3: (None, big)})
    assert moved == {1: True, 2: False, 3: True}
    moved = await cache.advance(link, {1: (None, 11), 2: (None, 4), 3: (big - 1, 5)})
    assert moved == {1: False, 2: True, 3: False}
    assert (await cache.read_node_marks(link)).marks == {1: 10, 2: 4, 3: big}
    # Whether it rises is the worker's business: a recovery takes W back.
    assert await cache.advance(link, {1: (10, 6)}) == {1: True}
    assert (await cache.read_node_marks(link)).marks[1] == 6


async def test_of_two_workers_at_once_one_moves_a_mark(subject: Subject, cache: Cache, link: Link) -> None:
    other = subject.process()
    theirs = (await other.open_links())[link.node]
    for shard in range(20):
        moved = await asyncio.gather(cache.advance(link, {shard: (None, 1)}), other.advance(theirs, {shard: (None, 2)}))
        assert sorted([moved[0][shard], moved[1][shard]]) == [False, True]
        assert (await cache.read_node_marks(link)).marks[shard] == (1 if moved[0][shard] else 2)


async def test_a_node_that_was_emptied_claims_nothing(subject: Subject, cache: Cache, link: Link) -> None:
    await cache.advance(link, {1: (None, 5)})
    subject.lose_everything(link.node)
    now = link if cache.is_current(link) else await relinked(cache, link)
    assert await cache.read_node_marks(now) == Marks(now, known=False)
    assert await cache.advance(now, {1: (5, 6), 2: (None, 6)}) == {1: False, 2: False}
    assert await cache.read_node_marks(now) == Marks(now, known=False)


# --- adoption ---------------------------------------------------------------------------------------------------------


async def test_a_node_is_adopted_once(cache: Cache, link: Link) -> None:
    assert not await cache.adopt_empty(link, 20)
    assert (await cache.read_node_marks(link)).flushed_ms == 10


async def test_adoption_empties_the_node(subject: Subject, cache: Cache) -> None:
    link = (await cache.open_links())[subject.node_of(TAG)]
    elsewhere = next(tag for tag in range(1_000) if subject.node_of(tag) != link.node)
    await cache.mark_deleted(TAG)
    await cache.mark_deleted(elsewhere)
    assert await cache.adopt_empty(link, 10)
    assert await cache.get_bodies([TAG, elsewhere]) == {elsewhere: b""}


async def test_of_two_workers_at_once_one_adopts(subject: Subject, cache: Cache) -> None:
    other = subject.process()
    mine, theirs = await cache.open_links(), await other.open_links()
    for node in mine:
        first, second = await asyncio.gather(
            cache.adopt_empty(mine[node], 1), other.adopt_empty(theirs[node], 2), return_exceptions=True
        )
        # The winner ends the other's link, before or after it was told that it lost.
        assert [won is True for won in (first, second)].count(True) == 1
        assert all(lost is False or isinstance(lost, CacheUnavailable) for lost in (first, second) if lost is not True)
        after = cache if first is True else other
        assert (await after.read_node_marks((await after.open_links())[node])).flushed_ms == (1 if first is True else 2)


async def test_the_loser_flushes_nothing(subject: Subject, cache: Cache, link: Link) -> None:
    await cache.mark_deleted(TAG)
    await cache.advance(link, {1: (None, 5)})
    other = subject.process()
    theirs = (await other.open_links())[link.node]
    assert not await other.adopt_empty(theirs, 20)
    assert await cache.get_bodies([TAG]) == {TAG: b""}
    assert await cache.read_node_marks(link) == Marks(link, True, {1: 5}, 10)


async def test_a_known_node_too_far_behind_is_flushed_once(cache: Cache, link: Link) -> None:
    await cache.advance(link, {1: (None, 5)})
    await cache.mark_deleted(TAG)
    assert not await cache.adopt_empty(link, 20, 9)
    assert await cache.get_bodies([TAG]) == {TAG: b""}
    assert await cache.adopt_empty(link, 20, 10)
    assert await cache.get_bodies([TAG]) == {}
    assert await cache.read_node_marks(link) == Marks(link, True, {}, 20)
    assert not await cache.adopt_empty(link, 30, 10)


async def test_claim_C7_nothing_read_before_a_node_is_adopted_is_filled_in_after(
    subject: Subject, cache: Cache
) -> None:
    """Slots were moved, say: what it says of itself lies elsewhere now, and removals had been settled on it."""
    server, link = subject.process(), (await cache.open_links())[subject.node_of(TAG)]
    nothing, before = await server.read_relations(TAG), server.fill_mark()
    assert await cache.adopt_empty(link, 10)
    with pytest.raises(CacheUnavailable):
        await server.store_relations(TAG, nothing, Relations(1))
    await server.fill_bodies({TAG: b"deleted long since"}, before)
    await relinked(server, nothing.link)
    assert (await server.read_relations(TAG)).seen is None
    assert await server.get_bodies([TAG]) == {}


async def test_claim_C8_nothing_read_before_a_known_node_is_flushed_is_filled_in_after(
    subject: Subject, cache: Cache, link: Link
) -> None:
    """The flush takes the removal along that would have refused it."""
    server = subject.process()
    links = await server.open_links()
    no_relations, no_profile = await server.read_relations(TAG), (await server.read_profiles([TAG]))[TAG]
    before = server.fill_mark()
    assert await server.mark_deleted(TAG)
    assert await server.stub_relations(TAG, 7)
    assert await server.stub_profile(TAG, 7)
    assert await cache.adopt_empty(link, 20, 10)
    assert cache.is_current(link)
    await server.fill_bodies({TAG: b"deleted long since"}, before)
    with pytest.raises(CacheUnavailable):
        await server.store_relations(TAG, no_relations, Relations(1))
    await server.store_profiles({TAG: (no_profile, b"before")})
    assert not server.is_current(links[link.node])
    now = await relinked(server, links[link.node])
    assert await server.get_bodies([TAG]) == {}
    assert await server.read_relations(TAG) == RelationsRead(now, None, 0, None)
    assert await server.read_profiles([TAG]) == {TAG: ProfileRead(now, None, None)}


async def test_an_unknown_node_is_adopted_whatever_is_believed_of_it(subject: Subject, cache: Cache) -> None:
    link = (await cache.open_links())[subject.node_of(TAG)]
    assert await cache.adopt_empty(link, 20, 10)
    assert (await cache.read_node_marks(link)).flushed_ms == 20
