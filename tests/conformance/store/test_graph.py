"""Follow edges: a register per pair, and its mirror."""

from __future__ import annotations

import random
import time

import pytest

from rookery_server.domain.events import EventKind, shard_of
from rookery_server.domain.ids import time_ms
from rookery_server.domain.models import Edge
from rookery_server.store.interface import Store
from tests.conformance.ids import Ids

ME, YOU, THEM = 1001, 2002, 3003


async def write(store: Store, ids: Ids, edge: Edge) -> None:
    kind = EventKind.FOLLOW if edge.on else EventKind.UNFOLLOW
    await store.write_edge(edge, ids.event(kind, edge.follower_id, edge.followee_id, edge.version_us))


async def followers(store: Store, followee_id: int, limit: int) -> list[int]:
    found: list[int] = []
    after: int | None = None
    while True:
        page = await store.followers(followee_id, after, limit)
        assert len(page.follower_ids) <= limit
        found += page.follower_ids
        if page.next_after is None:
            return found
        assert after is None or page.next_after > after, "no progress"
        after = page.next_after


async def test_an_edge_shows_on_both_sides_and_in_the_log(store: Store, ids: Ids) -> None:
    edge = Edge(ME, YOU, True, 1_700_000_000_000_000)
    event = ids.event(EventKind.FOLLOW, ME, YOU, edge.version_us)
    await store.write_edge(edge, event)
    assert await store.edge(ME, YOU) == edge
    assert await store.edges(ME, [YOU, THEM]) == {YOU: edge}
    assert await store.following(ME) == (edge,)
    assert await followers(store, YOU, 10) == [ME]
    at = time_ms(event.id)
    assert [row.event for row in await store.read(shard_of(ME, store.shards), at, at + 1)] == [event]


async def test_nobody_is_followed_from_the_start(store: Store) -> None:
    assert await store.edge(ME, YOU) is None
    assert await store.edges(ME, []) == {}
    assert await store.following(ME) == ()
    page = await store.followers(YOU, None, 10)
    assert (page.follower_ids, page.next_after) == ((), None)


async def test_an_edge_has_one_direction(store: Store, ids: Ids) -> None:
    await write(store, ids, Edge(ME, YOU, True, 5))
    assert await store.edge(YOU, ME) is None
    assert await followers(store, ME, 10) == []


async def test_a_removed_edge_keeps_its_row_and_version(store: Store, ids: Ids) -> None:
    on, off = Edge(ME, YOU, True, 1_000), Edge(ME, YOU, False, 1_001)
    await write(store, ids, on)
    await write(store, ids, off)
    assert await store.edge(ME, YOU) == off
    assert await store.edges(ME, [YOU]) == {YOU: off}
    assert await store.following(ME) == (off,)
    assert await followers(store, YOU, 10) == []


@pytest.mark.parametrize("on", [True, False])
async def test_the_higher_version_stands_in_whatever_order_they_come(store: Store, ids: Ids, on: bool) -> None:
    higher, lower = Edge(ME, YOU, on, 2_000), Edge(ME, YOU, not on, 1_000)
    await write(store, ids, higher)
    await write(store, ids, lower)
    assert await store.edge(ME, YOU) == higher
    assert await followers(store, YOU, 10) == ([ME] if on else [])


async def test_of_one_version_the_removal_stands_on_both_sides(store: Store, ids: Ids) -> None:
    """What expires beats what does not: with clocks behind, two changes may come to one version."""
    for edge in (Edge(ME, YOU, True, 7), Edge(ME, YOU, False, 7), Edge(ME, YOU, True, 7)):
        await write(store, ids, edge)
    assert await store.edge(ME, YOU) == Edge(ME, YOU, False, 7)
    assert await followers(store, YOU, 10) == []


async def test_writing_again_changes_nothing(store: Store, ids: Ids) -> None:
    edge = Edge(ME, YOU, True, 9)
    for _ in range(3):
        await write(store, ids, edge)
    assert await store.following(ME) == (edge,)
    assert await followers(store, YOU, 10) == [ME]


async def test_the_mirror_is_corrected_and_the_truth_left_alone(store: Store, ids: Ids) -> None:
    await write(store, ids, Edge(ME, YOU, True, 5))
    await store.repair_mirror(Edge(ME, YOU, False, 6))
    assert await followers(store, YOU, 10) == []
    assert await store.edge(ME, YOU) == Edge(ME, YOU, True, 5)
    await store.repair_mirror(Edge(ME, YOU, True, 7))
    assert await followers(store, YOU, 10) == [ME]


async def test_a_mirror_is_never_corrected_backwards(store: Store, ids: Ids) -> None:
    await write(store, ids, Edge(ME, YOU, True, 5))
    await store.repair_mirror(Edge(ME, YOU, False, 4))
    assert await followers(store, YOU, 10) == [ME]


async def test_a_cut_edge_is_off_on_both_sides_and_not_in_the_log(store: Store, ids: Ids) -> None:
    await write(store, ids, Edge(ME, YOU, True, 5))
    cut = Edge(ME, YOU, False, 6)
    for _ in range(2):
        await store.cut_edge(cut)
    assert await store.edge(ME, YOU) == cut
    assert await followers(store, YOU, 10) == []
    now = time.time_ns() // 1_000_000
    log = await store.read(shard_of(ME, store.shards), now - 60_000, now + 60_000)
    assert [row.event.kind for row in log if row.event] == [EventKind.FOLLOW]


async def test_an_edge_is_never_cut_backwards(store: Store, ids: Ids) -> None:
    edge = Edge(ME, YOU, True, 5)
    await write(store, ids, edge)
    await store.cut_edge(Edge(ME, YOU, False, 4))
    assert await store.edge(ME, YOU) == edge
    assert await followers(store, YOU, 10) == [ME]


async def test_an_edge_cut_before_it_came_stays_cut(store: Store, ids: Ids) -> None:
    await store.cut_edge(Edge(ME, YOU, False, 6))
    await write(store, ids, Edge(ME, YOU, True, 5))
    assert await store.edge(ME, YOU) == Edge(ME, YOU, False, 6)
    assert await followers(store, YOU, 10) == []


async def test_whom_one_follows_comes_by_followee(store: Store, ids: Ids) -> None:
    for followee, version in ((THEM, 1), (YOU, 3), (ME + 1, 2)):
        await write(store, ids, Edge(ME, followee, followee != YOU, version))
    assert [edge.followee_id for edge in await store.following(ME)] == [ME + 1, YOU, THEM]


async def test_whom_one_follows_comes_whole_however_many(store: Store, ids: Ids, short_reads: None) -> None:
    edges = tuple(Edge(ME, followee, followee % 3 > 0, followee) for followee in range(1, 8))
    for edge in edges:
        await write(store, ids, edge)
    assert await store.following(ME) == edges


async def test_a_page_of_removed_followers_is_empty_and_not_the_last(store: Store, ids: Ids) -> None:
    for follower in range(1, 7):
        await write(store, ids, Edge(follower, YOU, follower > 4, 10))
    assert await followers(store, YOU, 2) == [5, 6]
    assert (await store.followers(YOU, 6, 2)).next_after is None


async def test_followers_come_in_order_page_by_page(store: Store, ids: Ids) -> None:
    people = random.Random(1).sample(range(1, 10**12), 23)
    for at, follower in enumerate(people):
        await write(store, ids, Edge(follower, YOU, True, at + 1))
    for follower in people[:5]:
        await write(store, ids, Edge(follower, YOU, False, 1_000))
    for limit in (1, 4, 18, 19, 1000):
        assert await followers(store, YOU, limit) == sorted(people[5:])
    middle = sorted(people[5:])[7]
    page = await store.followers(YOU, middle, 3)  # may be short: removed rows are read and left out
    assert list(page.follower_ids) == sorted(people[5:])[8 : 8 + len(page.follower_ids)]
    assert page.next_after is not None
    assert (await store.followers(YOU, page.next_after, 1000)).follower_ids == tuple(
        id_ for id_ in sorted(people[5:]) if id_ > page.next_after
    )


async def test_random_changes_end_as_the_highest_version_says(store: Store, ids: Ids) -> None:
    dice = random.Random(7)
    people, truth = [11, 12, 13], dict[tuple[int, int], Edge]()
    for _ in range(60):
        one, other = dice.sample(people, 2)
        edge = Edge(one, other, dice.random() < 0.6, dice.randrange(1, 400))
        old = truth.get((one, other))
        await write(store, ids, edge)
        if old is None or edge.version_us > old.version_us or (edge.version_us == old.version_us and not edge.on):
            truth[one, other] = edge
    for one in people:
        mine = [edge for (follower, _), edge in sorted(truth.items()) if follower == one]
        assert list(await store.following(one)) == mine
        assert await followers(store, one, 2) == sorted(f for (f, of), edge in truth.items() if of == one and edge.on)
