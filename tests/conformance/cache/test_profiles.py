"""Profiles: loaded over what was seen, overwritten by stubs of which no two are alike.
docs/protocols/links.md L18."""

from __future__ import annotations

import pytest

from rookery_server.cache import keys
from rookery_server.cache.interface import Cache, Delivered, Link, ProfileRead
from tests.conformance.cache.subjects import Subject, ended, relinked

USER = 42


async def profile(cache: Cache, user_id: int = USER) -> ProfileRead:
    return (await cache.read_profiles([user_id]))[user_id]


async def absent(cache: Cache) -> ProfileRead:
    """What a loader hands back that saw nothing."""
    return ProfileRead((await profile(cache)).link, None, None)


@pytest.fixture
async def links(cache: Cache) -> dict[str, Link]:
    return await cache.open_links()


async def test_a_profile_is_stored_over_absence(subject: Subject, cache: Cache) -> None:
    assert await profile(cache) == await absent(cache)
    await cache.store_profiles({USER: (await absent(cache), b"who")})
    read = await profile(subject.process())
    assert read.value == b"who"
    assert read.seen is not None
    assert subject.left_s(keys.profile(USER)) == pytest.approx(keys.PROFILE_LIFE_S, rel=keys.LIFE_JITTER + 0.02)


@pytest.mark.parametrize("value", [b"", b"\x00\xff\r\n$-1\r\n", bytes(5_000)])
async def test_a_profile_is_any_bytes(cache: Cache, value: bytes) -> None:
    await cache.store_profiles({USER: (await absent(cache), value)})
    assert (await profile(cache)).value == value


async def test_a_profile_is_stored_over_the_stub_that_was_seen(subject: Subject, cache: Cache) -> None:
    assert await cache.stub_profile(USER, 9)
    stub = await profile(cache)
    assert stub.seen is not None
    assert stub.value is None
    assert subject.left_s(keys.profile(USER)) == pytest.approx(keys.PROFILE_LIFE_S, rel=keys.LIFE_JITTER + 0.02)
    await cache.store_profiles({USER: (stub, b"new")})
    assert (await profile(cache)).value == b"new"


async def test_a_profile_is_stored_over_nothing_else(cache: Cache) -> None:
    await cache.store_profiles({USER: (await absent(cache), b"first")})
    first = await profile(cache)
    await cache.store_profiles({USER: (await absent(cache), b"again")})
    assert (await profile(cache)).value == b"first"
    assert await cache.stub_profile(USER, 1)
    await cache.store_profiles({USER: (await absent(cache), b"again")})
    await cache.store_profiles({USER: (first, b"again")})
    assert (await profile(cache)).value is None


@pytest.mark.parametrize("versions", [(7, 8), (8, 7), (7, 7)])
async def test_no_two_stubs_are_alike(cache: Cache, links: dict[str, Link], versions: tuple[int, int]) -> None:
    """Not even those of one version: an event may be applied again while somebody loads what is out of date by now."""
    assert await cache.stub_profile(USER, versions[0])
    first = await profile(cache)
    assert await cache.overwrite_profile(USER, versions[1], links) == Delivered(inserted=1)
    await cache.store_profiles({USER: (first, b"stale")})
    assert (await profile(cache)).value is None


async def test_a_stub_overwrites_whatever_is_there(cache: Cache, links: dict[str, Link]) -> None:
    for version in (1, (1 << 62) + 1):
        read = await profile(cache)
        await cache.store_profiles({USER: (read, b"who")})
        assert (await profile(cache)).value == b"who"
        assert await cache.stub_profile(USER, version)
        assert (await profile(cache)).value is None
        read = await profile(cache)
        await cache.store_profiles({USER: (read, b"who")})
        assert await cache.overwrite_profile(USER, version, links) == Delivered(inserted=1)
        assert (await profile(cache)).value is None


async def test_a_profile_that_ran_out_is_not_what_was_seen(subject: Subject, cache: Cache) -> None:
    assert await cache.stub_profile(USER, 9)
    seen = await profile(cache)
    subject.shorten(keys.profile(USER), 0)
    await cache.store_profiles({USER: (seen, b"who")})
    assert await profile(cache) == await absent(cache)


async def test_removal_R2_a_profile_is_stored_over_the_link_it_was_read_on(subject: Subject, cache: Cache) -> None:
    """A node that came back empty meanwhile says no more of what happened than the absence that was seen."""
    nothing = await profile(cache)
    subject.drop_connections(nothing.link.node)
    await ended(cache, nothing.link)
    await cache.store_profiles({USER: (nothing, b"over a link that ended")})
    await relinked(cache, nothing.link)
    await cache.store_profiles({USER: (nothing, b"over another link")})
    assert (await profile(cache)).value is None
    await cache.store_profiles({USER: (await profile(cache), b"who")})
    assert (await profile(cache)).value == b"who"


async def test_many_profiles_at_once(subject: Subject, cache: Cache) -> None:
    users = range(1_000, 1_600)
    assert len({subject.node_of(user_id) for user_id in users}) == 3
    nothing = await cache.read_profiles(users)
    assert {user_id: (one.seen, one.value) for user_id, one in nothing.items()} == dict.fromkeys(users, (None, None))
    assert await cache.stub_profile(1_001, 5)
    await cache.store_profiles({user_id: (one, b"%d" % user_id) for user_id, one in nothing.items()})
    read = await cache.read_profiles([*users, 1_000])
    assert {user_id: one.value for user_id, one in read.items()} == {
        user_id: None if user_id == 1_001 else b"%d" % user_id for user_id in users
    }
    assert await cache.read_profiles([]) == {}
    await cache.store_profiles({})


async def test_a_worker_overwrites_over_its_links_only(cache: Cache, subject: Subject, links: dict[str, Link]) -> None:
    await cache.store_profiles({USER: (await absent(cache), b"who")})
    node = subject.node_of(USER)
    others = {name: link for name, link in links.items() if name != node}
    assert await cache.overwrite_profile(USER, 5, others) == Delivered(behind=frozenset({node}))
    assert (await profile(cache)).value == b"who"
