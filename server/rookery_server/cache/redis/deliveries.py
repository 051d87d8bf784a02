"""What workers write, over exactly the links whose watermarks they will move."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from rookery_server.cache import keys
from rookery_server.cache.interface import Delivered, Link
from rookery_server.cache.redis import placing, uses
from rookery_server.cache.redis.client import Client
from rookery_server.cache.redis.commands import lpushx, lpushx_tail
from rookery_server.cache.redis.connection import Reply, is_error
from rookery_server.cache.redis.errors import LinkError, NotSent, Refused
from rookery_server.cache.redis.profiles import set_profile_stub
from rookery_server.cache.redis.removals import deleted_marker, stub_call
from rookery_server.cache.redis.role import Role
from rookery_server.domain import ids, limits

_PLACED_AT_ONCE = 50
"""Placing looks through ten seconds of a list, 10 µs as a rule (four times a push) and 300 in a list of hundreds of
entries that young: so many at once keep a node for 15 ms at the worst, far below the time-out."""


@dataclass(slots=True)
class _Tally:
    """Counts of one call, as its parts come in."""

    pushed: int = 0
    inserted: int = 0
    duplicate: int = 0
    inactive: int = 0
    failed: bool = False

    def add_placed(self, client: Client, replies: Sequence[Reply]) -> None:
        for reply in replies:
            if is_error(reply):
                client.uses.failed(uses.PUSH, Refused(str(reply)))
                self.failed = True
            elif reply == placing.INSERTED:
                self.inserted += 1
            elif reply == placing.DUPLICATE:
                self.duplicate += 1
            else:  # no list, or one that does not reach down so far
                self.inactive += 1


_Apply = Callable[[Link, _Tally], Awaitable[None]]


def _delivered(tallies: Mapping[str, _Tally], behind: frozenset[str] = frozenset()) -> Delivered:
    return Delivered(
        pushed=sum(tally.pushed for tally in tallies.values()),
        inserted=sum(tally.inserted for tally in tallies.values()),
        duplicate=sum(tally.duplicate for tally in tallies.values()),
        inactive=sum(tally.inactive for tally in tallies.values()),
        behind=behind | {node for node, tally in tallies.items() if tally.failed},
    )


class DeliveriesRole(Role):
    def nodes(self) -> frozenset[str]:
        return frozenset(self._client.directory.current.shards)

    async def open_links(self) -> dict[str, Link]:
        try:
            nodes = list((await self._client.topology()).shards)
        except LinkError as error:
            self._client.uses.failed(uses.WATERMARK, error)
            return {}
        found = await asyncio.gather(*(self._open(node) for node in nodes))
        return {link.node: link for link in found if link is not None}

    async def _open(self, node: str) -> Link | None:
        try:
            return (await self._client.port(node).open())[0]
        except LinkError as error:
            self._client.uses.failed(uses.WATERMARK, error)
            return None

    # --- many followers ----------------------------------------------------------------------------------------

    async def deliver(
        self, tweet_id: int, follower_ids: Sequence[int], links: Mapping[str, Link], in_place: bool
    ) -> Delivered:
        owners, groups = self._owners(), dict[str | None, list[int]]()
        for follower_id, slot in zip(follower_ids, keys.slots_of(follower_ids), strict=True):
            groups.setdefault(owners[slot], []).append(follower_id)
        behind = self._unserved() if None in groups else frozenset[str]()
        tallies = {node: _Tally() for node in groups if node is not None}
        await asyncio.gather(
            *(
                self._deliver_node(tweet_id, groups[node], links.get(node), in_place, tally)
                for node, tally in tallies.items()
            )
        )
        return _delivered(tallies, behind)

    def _owners(self) -> tuple[str | None, ...]:
        """Slot → node.  Raises NotSent before any node has answered: then there is not even one to be behind."""
        current = self._client.directory.current
        if not current.shards:
            raise NotSent("no node of the cluster has answered yet")
        return current.owners

    def _unserved(self) -> frozenset[str]:
        """Nobody serves a slot now: whoever will, nothing may be claimed past this."""
        return self.nodes()

    async def _deliver_node(
        self, tweet_id: int, follower_ids: list[int], link: Link | None, in_place: bool, tally: _Tally
    ) -> None:
        if link is None or not self._client.is_current(link):
            tally.failed = True
            return
        size, tail = (_PLACED_AT_ONCE if in_place else self._client.bulk), lpushx_tail(tweet_id)
        window = self._client.port(link.node).window

        async def part(at: int) -> None:
            async with window:
                if tally.failed:
                    return
                followers = follower_ids[at : at + size]
                try:
                    if in_place or self._too_old(tweet_id):
                        await self._place(tweet_id, followers, link, tally)
                    else:
                        await self._push(followers, tail, link, tally)
                except LinkError:
                    tally.failed = True

        await asyncio.gather(*(part(at) for at in range(0, len(follower_ids), size)))

    def _too_old(self, tweet_id: int) -> bool:
        """Asked right before the bytes leave: waiting for the window may have taken the time it had."""
        return self._clock.now_ms() - ids.time_ms(tweet_id) >= limits.PLAIN_PUSH_MS

    async def _push(self, followers: Sequence[int], tail: bytes, link: Link, tally: _Tally) -> None:
        client = self._client
        packed = b"".join([lpushx(keys.home(follower), tail) for follower in followers])
        lengths = await client.over(link, packed, len(followers), uses.PUSH)
        for reply in filter(is_error, lengths):
            client.uses.failed(uses.PUSH, Refused(str(reply)))
            tally.failed = True
        absent = lengths.count(0)
        tally.inactive += absent
        tally.pushed += sum(type(length) is int for length in lengths) - absent
        trim = client.scripts.trim
        long = [
            trim.call([keys.home(follower)], limits.HOME_KEPT)
            for follower, length in zip(followers, lengths, strict=True)
            if type(length) is int and length > limits.HOME_TRIM_AT
        ]
        if long:
            await client.script(link, trim, long, uses.PUSH)

    async def _place(self, tweet_id: int, followers: Sequence[int], link: Link, tally: _Tally) -> None:
        place = self._client.scripts.place
        calls = placing.place_homes(place, followers, tweet_id)
        tally.add_placed(self._client, await self._client.script(link, place, calls, uses.PUSH))

    # --- one subject ---------------------------------------------------------------------------------------------

    async def place_author(self, author_id: int, tweet_id: int, links: Mapping[str, Link]) -> Delivered:
        place = self._client.scripts.place
        calls = placing.place_calls(place, author_id, tweet_id)

        async def apply(link: Link, tally: _Tally) -> None:
            tally.add_placed(self._client, await self._client.script(link, place, calls, uses.PUSH))

        return await self._apply(author_id, links, apply)

    async def overwrite_deleted(self, tweet_id: int, links: Mapping[str, Link]) -> Delivered:
        packed = deleted_marker(tweet_id, self._client.rng.random())
        return await self._apply(tweet_id, links, self._overwriting(packed))

    async def overwrite_relations(
        self, user_id: int, version: int, links: Mapping[str, Link], change: int | None = None
    ) -> Delivered:
        stub = self._client.scripts.stub

        async def apply(link: Link, tally: _Tally) -> None:
            call = stub_call(self._client, user_id, version, change, once=True)
            if await self._client.script_one(link, stub, call, uses.OVERWRITE):
                tally.inserted += 1
            else:
                tally.duplicate += 1

        return await self._apply(user_id, links, apply)

    async def overwrite_profile(self, user_id: int, version: int, links: Mapping[str, Link]) -> Delivered:
        return await self._apply(user_id, links, self._overwriting(set_profile_stub(self._client, user_id, version)))

    def _overwriting(self, packed: bytes) -> _Apply:
        """One command that cannot fail to change what it is about."""

        async def apply(link: Link, tally: _Tally) -> None:
            (reply,) = await self._client.over(link, packed, 1, uses.OVERWRITE)
            self._client.accepted(reply, uses.OVERWRITE)
            tally.inserted += 1

        return apply

    async def _apply(self, tag: int, links: Mapping[str, Link], apply: _Apply) -> Delivered:
        node = self._owners()[keys.slot_of(tag)]
        if node is None:
            return Delivered(behind=self._unserved())
        tally, link = _Tally(), links.get(node)
        try:
            if link is None:
                tally.failed = True
            else:
                await apply(link, tally)
        except LinkError:
            tally.failed = True
        return _delivered({node: tally})
