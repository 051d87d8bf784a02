"""No server ever shows an old state after a settled change, whatever fails; in quiet times all show the truth; and each
of the rules is needed for that."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rookery_server.cache.memory import MemoryCacheWorld
from rookery_server.domain.models import User
from rookery_server.services import account_changes
from rookery_server.services.account_changes import AccountChanges
from rookery_server.services.own_copies import OwnCopies
from rookery_server.services.profiles_cache import CachedProfiles
from tests.support.faults import Weather
from tests.support.virtual_time import run
from tests.unit.services.account_history import History, Wrong


@pytest.mark.parametrize("seed", range(12))
def test_account_A14_no_old_state_after_a_settled_change(seed: int) -> None:
    history = History(seed).play()
    assert history.looks > 100
    assert history.settled > 0


def caught(seeds: range, **weather: float) -> bool:
    for seed in seeds:
        try:
            History(seed, Weather(**weather)).play()
        except Wrong:
            return True
    return False


def test_the_weather_of_the_bugs_is_borne_without_them() -> None:
    assert not caught(range(2), slow=0.3, slow_reads_s=2.0)
    assert not caught(range(2), cache_refuses=0.2)


def test_account_A11_without_the_wait_it_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account_changes, "COPY_WAIT_S", 0.0)
    assert caught(range(5))


def test_account_A10_copies_dated_after_their_read_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    keep = OwnCopies.keep

    def dated_late(self: OwnCopies[Any], id_: int, value: Any, began: float) -> None:
        keep(self, id_, value, self._clock.monotonic())

    monkeypatch.setattr(OwnCopies, "keep", dated_late)
    assert caught(range(10), slow=0.3, slow_reads_s=2.0)


def test_account_A9_fills_that_compare_nothing_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    fill = CachedProfiles._fill

    async def over_anything(self: Any, rows: Any, seen: Any, began: float) -> None:
        await fill(self, rows, await self._cached(tuple(seen)), began)

    monkeypatch.setattr(CachedProfiles, "_fill", over_anything)
    assert caught(range(10), slow=0.3, slow_reads_s=2.0)


def test_account_A2_without_the_event_it_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unannounced(self: Any, call: Any, standing: Any, target: Any) -> bool:
        stands = await self._store.replace_user(target, standing.etag)
        return bool(stands.etag == target.etag)

    monkeypatch.setattr(AccountChanges, "_replace", unannounced)
    assert caught(range(20), cache_refuses=0.2)


def test_account_A4_a_worker_that_hears_of_it_at_once_does_not_come_too_early() -> None:
    """The event rings, the row changes two seconds later, its server dies: what was overwritten at once would be filled
    with the old state again."""
    history = History(1, Weather())

    async def scenario() -> None:
        dying, other = history._server(), history._server()
        history._worker()
        alice = history.people[0]
        await asyncio.sleep(10)
        store = dying.changes._store
        replace_user = store.replace_user

        async def late(user: User, expected_etag: str) -> User:
            await asyncio.sleep(1.9)
            await replace_user(user, expected_etag)
            dying.process.crash()
            return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

        store.replace_user = late  # type: ignore[method-assign]
        changing = asyncio.create_task(history._ask(dying, dying.users.set_protected(dying.call(alice), True)))
        seen = []
        for _ in range(10):
            await asyncio.sleep(1)
            seen.append((await other.accounts.standing([alice]))[alice].protected)
        assert (await changing, seen[0], seen[-1]) == (None, False, True)
        assert seen == sorted(seen)

    run(scenario(), history.loop, history.chance.end)


async def test_account_A5_no_two_stubs_are_alike() -> None:
    cache = MemoryCacheWorld().client()
    links, stubs = await cache.open_links(), set[bytes | None]()
    for _ in range(3):
        await cache.stub_profile(7, 1)
        stubs.add((await cache.read_profiles([7]))[7].seen)
        await cache.overwrite_profile(7, 1, links)
        stubs.add((await cache.read_profiles([7]))[7].seen)
    assert len(stubs) == 6
