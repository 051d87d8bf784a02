"""The two everybody needs: a reader, and an author with a past."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.unit.services.world import World


async def pair(world: World) -> tuple[int, int]:
    """Alice, who follows Bob."""
    alice, bob = world.user(), world.user()
    await world.follow(alice, bob)
    await world.work()
    return alice, bob


async def posts_of(world: World, author: int, count: int, apart_ms: int = 60_000) -> list[int]:
    """Posts of the past, oldest first, the last one a minute ago."""
    now = world.clock.now_ms() - 60_000
    return [world.seed_tweet(author, now - (count - at) * apart_ms) for at in range(count)]


async def become(world: World, user: int, **changes: Any) -> None:
    """Changes an account's row, as settled as a change can be: the stub is set and every copy has died."""
    world.store.users[user] = replace(world.store.users[user], **changes)
    await world.cache.stub_profile(user, world.mint())
    world.clock.advance(1_100)
