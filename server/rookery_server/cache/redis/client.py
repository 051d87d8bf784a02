"""A thin client of a cluster: one explicit connection per node, everything pipelined, nothing retried behind a back.

Commands go over *exactly this link* (`over`: what rests on claims and pushes) or over the current one of a slot
(`ask`, `ask_all`: reads, which may be asked once more if the answer was a quick no).  Writes are never repeated here.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

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
class Asked:
    """Commands of one slot, packed; `count` of them."""

    slot: int
    packed: bytes
    count: int = 1


@dataclass(frozen=True, slots=True)
class Answered:
    """Their replies, and the link they came over."""

    link: Link
    replies: list[Reply]


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
        started = time.perf_counter()
        replies = await connection.send(packed, count, patience_s)
        self.uses.took(use, time.perf_counter() - started)
        return replies

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

    def accepted(self, reply: Reply, use: str) -> Reply:
        if is_error(reply):
            error = Refused(str(reply))
            self.uses.failed(use, error)
            raise error
        return reply

    # --- reads over the current links --------------------------------------------------------------------------

    async def ask(self, asked: Asked, use: str) -> Answered:
        """A read.  Asked once more when the first node's answer was a quick no.  Raises LinkError."""
        try:
            return await self._ask_once(asked, use)
        except (Redirected, Disconnected):
            await self.topology()
            return await self._ask_once(asked, use)

    async def _ask_once(self, asked: Asked, use: str) -> Answered:
        link = await self.link_to(asked.slot)
        return Answered(link, await self.over(link, asked.packed, asked.count, use))

    async def ask_all(self, asked: Sequence[Asked], use: str) -> list[Answered | None]:
        """Many reads, pipelined per node; None for those whose node cannot answer.  Never raises LinkError."""
        answers: list[Answered | None] = [None] * len(asked)
        try:
            again = await self._ask_round(await self.known_topology(), asked, range(len(asked)), answers, use)
            if again:
                await self._ask_round(await self.topology(), asked, again, answers, use)
        except LinkError as error:
            self.uses.failed(use, error)
        return answers

    async def _ask_round(
        self,
        topology: Topology,
        asked: Sequence[Asked],
        indexes: Iterable[int],
        answers: list[Answered | None],
        use: str,
    ) -> list[int]:
        """Fills `answers`; returns the indexes worth asking once more."""
        groups: dict[str, list[int]] = {}
        owners = topology.owners
        for index in indexes:
            node = owners[asked[index].slot]
            if node is not None:
                groups.setdefault(node, []).append(index)
        failed = await asyncio.gather(*(self._ask_node(n, asked, group, answers, use) for n, group in groups.items()))
        return [index for part in failed for index in part]

    async def _ask_node(
        self, node: str, asked: Sequence[Asked], group: list[int], answers: list[Answered | None], use: str
    ) -> list[int]:
        size = max(1, self.bulk // asked[group[0]].count)
        if len(group) <= size:
            return await self._ask_part(node, asked, group, answers, use)
        failed: list[int] = []

        async def part(at: int) -> None:
            async with self.port(node).window:
                failed.extend(await self._ask_part(node, asked, group[at : at + size], answers, use))

        await asyncio.gather(*(part(at) for at in range(0, len(group), size)))
        return failed

    @property
    def bulk(self) -> int:
        """Commands of one part of something large: two such parts leave most of the queue to everybody else."""
        return max(1, self.settings.queue // 5)

    async def _ask_part(
        self, node: str, asked: Sequence[Asked], part: list[int], answers: list[Answered | None], use: str
    ) -> list[int]:
        count = sum([asked[index].count for index in part])
        try:
            link, _ = await self.port(node).open()
            replies = await self.over(link, b"".join([asked[index].packed for index in part]), count, use)
        except (Redirected, Disconnected):
            return part
        except LinkError:
            return []
        at = 0
        for index in part:
            following = at + asked[index].count
            answers[index] = Answered(link, replies[at:following])
            at = following
        return []

    async def close(self) -> None:
        for port in (*self._ports.values(), *self._removal_ports.values()):
            await port.close()
        await self.directory.close()
