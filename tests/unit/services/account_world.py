"""What changes and shows accounts, over simple stores; two servers at will, and a worker that applies when told to."""

from __future__ import annotations

from typing import cast

from rookery_server.cache.interface import Cache
from rookery_server.domain import ids
from rookery_server.domain.limits import WATERMARK_LAG_MS
from rookery_server.domain.models import Profile, User
from rookery_server.services.account_changes import AccountChanges
from rookery_server.services.accounts import Accounts
from rookery_server.services.calls import Call
from rookery_server.services.quotas import LocalQuotas
from rookery_server.services.users import KnownUsers, Users
from rookery_server.services.writes import StartedWrites
from rookery_server.store.interface import NameClaim, Store
from tests.unit.services.clocks import Mint, TestClock
from tests.unit.services.simple_cache import SimpleCache
from tests.unit.services.simple_store import SimpleStore


class Server:
    """One process: its own copies and quotas."""

    def __init__(self, store: Store, cache: Cache, clock: TestClock, mint: Mint):
        self.writes = StartedWrites(clock, mint)
        self.accounts = Accounts(store, cache, clock)
        self.changes = AccountChanges(store, cache, clock, mint, self.writes, sleep=clock.sleep)
        self.users = Users(
            store, clock, mint, KnownUsers(store), self.accounts, self.changes, LocalQuotas(clock), self.writes
        )


class AccountWorld:
    def __init__(self) -> None:
        self.clock = TestClock()
        self.mint = Mint(self.clock)
        self.store, self.cache = SimpleStore(), SimpleCache()
        self.one, self.two = self.server(), self.server()

    def server(self) -> Server:
        return Server(cast(Store, self.store), cast(Cache, self.cache), self.clock, self.mint)

    def call(self, user_id: int, left_s: float = 2.0, bulk: bool = True) -> Call:
        return Call(user_id, self.clock.monotonic() + left_s, bulk)

    def admin(self) -> Call:
        return Call(0, self.clock.monotonic() + 2, admin=True)

    def user(self, name: str = "") -> int:
        user_id = self.mint()
        user = User(user_id, name or f"u{user_id % 10**9}", Profile(), self.clock.now_ms(), "1")
        self.store.users[user_id] = user
        if name:
            self.store.names[name.lower()] = NameClaim(user_id, b"", self.clock.now_ms())
        return user_id

    async def work(self) -> None:
        """Applies every event as soon as it may be (A4), in the order of their ids."""
        for id_, event in sorted(self.store.log.items()):
            wait_ms = ids.time_ms(id_) + WATERMARK_LAG_MS + 1 - self.clock.now_ms()
            self.clock.advance(max(0, wait_ms))
            await self.store.settled_user(event.subject)
            await self.cache.stub_profile(event.subject, self.mint())
        self.store.log.clear()
