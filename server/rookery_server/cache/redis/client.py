"""A thin client of a cluster: one explicit connection per node, everything pipelined, nothing retried behind a back.

Commands go over *exactly this link* (`over`: what rests on claims and pushes) or over the current one of a slot
(`ask`, `ask_all`: reads, which may be asked once more if the answer was a quick no).  Writes are never repeated here.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from rookery_server.cache import keys
from rookery_server.cache.interface import Link
from rookery_server.cache.redis.connection import Connection, Reply, is_error
from rookery_server.cache.redis.errors import Disconnected, LinkError, NotSent, Redirected, Refused
from rookery_server.cache.redis.handshake import dial
from rookery_server.cache.redis.port import Port
from rookery_server.cache.redis.scripts import Script, Scripts
from rookery_server.cache.redis.settings import Address, RedisSettings
from rookery_server.cache.redis.topology import Directory, Topology
from rookery_server.cache.redis.uses import Uses
from rookery_server.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Part:
    """What one node answered to its share of a large read: `per` replies for each of `tags`, and the link."""

    link: Link
    tags: list[int]
    replies: list[Reply]


@dataclass(frozen=True, slots=True)
class _Read:
    """A read of many keys: `packed(tag)` is the `per` commands of one of them."""

    packed: Callable[[int], bytes]
    per: int
    use: str


class Client:
    """Nothing is opened before the first use, and nothing runs in the background."""

    def __init__(self, settings: RedisSettings, metrics: Metrics, rng: random.Random) -> None:
        self.settings = settings
        self.scripts = Scripts.load()
        self.directory = Directory(settings, self._dial_any, rng)
        self.uses = Uses(metrics)
        self.rng = rng
        self._prelude = self.scripts.loading()
        self._ports: dict[str, Port] = {}
        self._removal_ports: dict[str, Port] = {}
        self._seen = self.directory.current

    # --- nodes and links -------------------------------------------------------------------------------------

    async def topology(self) -> Topology:
        """As fresh as it has to be; links to nodes that moved are ended.  Raises LinkError when nobody answers."""
        topology = await self.directory.fresh()
        if topology is not self._seen:
            self._seen = topology
            for ports in (self._ports, self._removal_ports):
                for node, port in list(ports.items()):
                    if node in topology.shards:
                        port.follow(topology.shards[node].primary)
                    else:
                        await ports.pop(node).close()
        return topology

    async def known_topology(self) -> Topology:
        """The last one read, without waiting unless none was."""
        current = self.directory.current
        return current if current.shards else await self.topology()

    def port(self, node: str) -> Port:
        return self._port_in(self._ports, node)

    def removal_port(self, node: str) -> Port:
        """A connection of its own, on which WAIT may block nobody."""
        return self._port_in(self._removal_ports, node)

    def _port_in(self, ports: dict[str, Port], node: str) -> Port:
        port = ports.get(node)
        if port is None:
            port = ports[node] = Port(node, self.settings, self.directory, self._prelude, self.rng)
        return port

    def current_port(self, slot: int) -> Port | None:
        """The port of the node that serves `slot` as far as is known; opens nothing."""
        node = self.directory.current.owners[slot]
        return self._ports.get(node) if node is not None else None

    def is_current(self, link: Link) -> bool:
        port = self._ports.get(link.node)
        return port is not None and port.over(link) is not None

    def current_links(self) -> dict[str, Link]:
        return {node: port.link for node, port in self._ports.items() if port.link is not None}

    async def link_to(self, slot: int) -> Link:
        """The current link to the node of `slot`, opened if need be.  Raises LinkError."""
        node = self.directory.current.owners[slot]
        if node is None:
            node = (await self.topology()).owners[slot]
        if node is None:
            raise NotSent(f"nobody serves slot {slot}")
        return (await self.port(node).open())[0]

    async def links_to(self, tags: Iterable[int]) -> dict[Link, list[int]]:
        """The current links to the nodes of many tags, opened if need be, each with its own.  Those whose node cannot
        be reached are with none.  Never raises LinkError."""
        found: dict[Link, list[int]] = {}

        async def of_node(node: str, group: list[int]) -> None:
            with contextlib.suppress(LinkError):  # the port has told of it
                found[(await self.port(node).open())[0]] = group

        with contextlib.suppress(LinkError):
            groups = self._by_node(await self.known_topology(), list(tags))
            await asyncio.gather(*(of_node(node, group) for node, group in groups.items()))
        return found

    async def _dial_any(self, address: Address) -> Connection:
        return (await dial(address, self.settings)).connection

    # --- over exactly one link -------------------------------------------------------------------------------

    async def over(self, link: Link, packed: bytes, count: int, use: str) -> list[Reply]:
        """Replies of `count` commands sent over exactly `link`; error replies stand in their places.  Raises
        LinkError: NotSent if the link had ended before."""
        port = self._ports.get(link.node)
        connection = port.over(link) if port is not None else None
        try:
            if connection is None:
                raise NotSent("link ended before")
            return await self.timed(connection, packed, count, use)
        except LinkError as error:
            self.uses.failed(use, error)
            raise

    def cast(self, link: Link, packed: bytes) -> None:
        """One command over `link` if it is there, its reply dropped.  Never raises LinkError."""
        port = self._ports.get(link.node)
        connection = port.over(link) if port is not None else None
        if connection is not None:
            with contextlib.suppress(NotSent):
                connection.cast(packed)

    async def timed(
        self, connection: Connection, packed: bytes, count: int, use: str, patience_s: float = 0.0
    ) -> list[Reply]:
        return await connection.send(packed, count, self.uses.timer(use), patience_s)

    async def script(self, link: Link, script: Script, calls: Sequence[bytes], use: str) -> list[Reply]:
        """Calls of one script over exactly `link`.  A server that lost its scripts gets it again, once: a call
        answered NOSCRIPT did nothing."""
        replies = await self.over(link, b"".join(calls), len(calls), use)
        lost = [i for i, reply in enumerate(replies) if is_error(reply) and str(reply).startswith("NOSCRIPT")]
        if lost:
            await self.over(link, script.loading, 1, use)
            again = await self.over(link, b"".join(calls[i] for i in lost), len(lost), use)
            for i, reply in zip(lost, again, strict=True):
                replies[i] = reply
        return replies

    async def script_one(self, link: Link, script: Script, call: bytes, use: str) -> Reply:
        """One call; an error reply is raised as Refused."""
        (reply,) = await self.script(link, script, [call], use)
        return self.accepted(reply, use)

    async def script_many(self, link: Link, script: Script, calls: Sequence[bytes], use: str) -> list[Reply]:
        """Any number of calls of one script over exactly `link`, in parts that leave room to others.  None in place of
        what was not done or whose outcome is not known.  Never raises LinkError."""
        size, replies = self.bulk, list[Reply]()
        for at in range(0, len(calls), size):
            part = calls[at : at + size]
            try:
                async with self.port(link.node).window:
                    replies += [self._done(reply, use) for reply in await self.script(link, script, part, use)]
            except LinkError:
                replies += [None] * len(part)  # counted
        return replies

    def _done(self, reply: Reply, use: str) -> Reply:
        try:
            return self.accepted(reply, use)
        except Refused:
            return None

    def accepted(self, reply: Reply, use: str) -> Reply:
        if is_error(reply):
            error = Refused(str(reply))
            self.uses.failed(use, error)
            raise error
        return reply

    # --- reads over the current links --------------------------------------------------------------------------

    async def ask(self, slot: int, packed: bytes, count: int, use: str) -> tuple[Link, list[Reply]]:
        """A read of one slot.  Asked once more when the first node's answer was a quick no.  Raises LinkError."""
        try:
            link = await self.link_to(slot)
            return link, await self.over(link, packed, count, use)
        except (Redirected, Disconnected):
            await self.topology()
            link = await self.link_to(slot)
            return link, await self.over(link, packed, count, use)

    async def ask_all(self, tags: Sequence[int], packed: Callable[[int], bytes], per: int, use: str) -> list[Part]:
        """A read of many tags, pipelined per node; those whose node cannot answer are in no part.  Those that got a
        quick no are asked once more.  Never raises LinkError."""
        read, parts = _Read(packed, per, use), list[Part]()
        try:
            again = await self._ask_round(await self.known_topology(), tags, read, parts)
            if again:
                await self._ask_round(await self.topology(), again, read, parts)
        except LinkError as error:
            self.uses.failed(use, error)
        return parts

    async def _ask_round(self, topology: Topology, tags: Sequence[int], read: _Read, parts: list[Part]) -> list[int]:
        """Adds to `parts`; returns the tags worth asking once more."""
        waiting: list[tuple[Link, list[int], asyncio.Future[list[Reply]]]] = []
        slow: list[Awaitable[list[int]]] = []
        for node, group in self._by_node(topology, tags).items():
            port = self.port(node)
            if port.link is not None and port.connection is not None and len(group) * read.per <= self.bulk:
                try:
                    packed = b"".join(map(read.packed, group))
                    timer = self.uses.timer(read.use)
                    waiting.append((port.link, group, port.connection.send(packed, len(group) * read.per, timer)))
                except NotSent as error:
                    self.uses.failed(read.use, error)
            else:
                slow.append(self._ask_slowly(port, group, read, parts))
        again = [tag for failed in await asyncio.gather(*slow) for tag in failed] if slow else []
        for link, group, answer in waiting:
            try:
                parts.append(Part(link, group, await answer))
            except LinkError as error:
                self.uses.failed(read.use, error)
                if isinstance(error, (Redirected, Disconnected)):
                    again += group
        return again

    def _by_node(self, topology: Topology, tags: Sequence[int]) -> dict[str, list[int]]:
        groups: dict[str, list[int]] = {}
        owners = topology.owners
        for tag, slot in zip(tags, keys.slots_of(tags), strict=True):
            node = owners[slot]
            if node is not None:
                groups.setdefault(node, []).append(tag)
        return groups

    async def _ask_slowly(self, port: Port, tags: list[int], read: _Read, parts: list[Part]) -> list[int]:
        """For a node whose link must be opened first, or whose share is large: then a window holds it back."""
        size = max(1, self.bulk // read.per)
        failed: list[int] = []

        async def ask(at: int) -> None:
            share = tags[at : at + size]
            async with port.window:
                try:
                    link, _ = await port.open()
                    packed = b"".join(map(read.packed, share))
                    parts.append(Part(link, share, await self.over(link, packed, len(share) * read.per, read.use)))
                except (Redirected, Disconnected):
                    failed.extend(share)
                except LinkError:
                    pass  # counted, and the answer lacks them

        await asyncio.gather(*(ask(at) for at in range(0, len(tags), size)))
        return failed

    @property
    def bulk(self) -> int:
        """Commands of one part of something large: two such parts leave most of the queue to everybody else."""
        return max(1, self.settings.queue // 5)

    async def close(self) -> None:
        for port in (*self._ports.values(), *self._removal_ports.values()):
            await port.close()
        await self.directory.close()
