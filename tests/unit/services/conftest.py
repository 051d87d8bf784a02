"""One world a test, ready for work."""

from __future__ import annotations

import pytest

from tests.unit.services.world import World


@pytest.fixture
async def world() -> World:
    """A server whose marks were read and whose worker is five seconds behind, as always."""
    world = World()
    await world.work()
    return world
