"""Reading the cluster's description of itself, through a connection that recites it."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import hiredis
import pytest

from rookery_server.cache import keys
from rookery_server.cache.redis.connection import Connection
from rookery_server.cache.redis.errors import Disconnected, NotSent
from rookery_server.cache.redis.settings import Address, RedisSettings
from rookery_server.cache.redis.topology import Directory, Shard, Topology

A, B, C = Address("10.0.0.1", 7000), Address("10.0.0.2", 7000), Address("10.0.0.3", 7000)


def node(address: Address, role: bytes = b"master", health: bytes = b"online") -> dict[bytes, Any]:
    at = address.host.encode()
    return {b"id": b"n", b"port": address.port, b"ip": at, b"endpoint": at, b"role": role, b"health": health}


def shard(name: bytes | None, slots: list[int], *nodes: dict[bytes, Any]) -> dict[bytes, Any]:
    return {b"slots": slots, b"nodes": list(nodes)} | ({} if name is None else {b"id": name})


class Reciting(Connection):
    def __init__(self, answers: dict[str, Any]) -> None:
        super().__init__(1.0, 10)
        self.answers = answers

    def send(self, packed: bytes, count: int, *rest: Any) -> asyncio.Future[list[Any]]:
        answer: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        said = next(value for command, value in self.answers.items() if command.encode() in packed)
        answer.set_result([said])
        return answer


class Cluster:
    """Answers by address; an address that is missing does not answer."""

    def __init__(self, answers: dict[Address, dict[str, Any]]) -> None:
        self.answers = answers
        self.dialled: list[Address] = []

    async def dial(self, address: Address) -> Connection:
        self.dialled.append(address)
        await asyncio.sleep(0)
        if address not in self.answers:
            raise Disconnected(str(address))
        return Reciting(self.answers[address])

    def directory(self, *seeds: Address, **settings: Any) -> Directory:
        return Directory(RedisSettings(seeds, **settings), self.dial, random.Random(1))


TWO = [
    shard(b"s1", [0, 8191], node(A), node(C, b"replica")),
    shard(b"s2", [8192, 16383], node(B)),
    shard(b"s3", [], node(Address("10.0.0.9", 7000))),
]


async def test_slots_primaries_and_replicas() -> None:
    topology = await Cluster({A: {"SHARDS": TWO}}).directory(A).fresh()
    assert dict(topology.shards) == {
        "s1": Shard("s1", A, (C,), ((0, 8191),)),
        "s2": Shard("s2", B, (), ((8192, 16383),)),
    }
    assert (topology.owners[8191], topology.owners[8192]) == ("s1", "s2")
    assert topology.shards["s2"].watermarks_key == keys.watermarks(((8192, 16383),))


async def test_flat_replies_are_read_too() -> None:
    flat = [[item for pair in part.items() for item in pair] for part in TWO]
    assert set((await Cluster({A: {"SHARDS": flat}}).directory(A).fresh()).shards) == {"s1", "s2"}


async def test_between_failure_and_vote_the_healthy_master_counts() -> None:
    both = [shard(b"s1", [0, 16383], node(A, health=b"fail"), node(B), node(C, b"replica", b"fail"))]
    topology = await Cluster({A: {"SHARDS": both}}).directory(A).fresh()
    # Replicas are counted whatever their health: a settled removal waits for every one that is known.
    assert topology.shards["s1"] == Shard("s1", B, (A, C), ((0, 16383),))


async def test_a_server_that_does_not_name_its_shards_is_asked() -> None:
    unnamed = [shard(None, [0, 16383], node(A), node(B, b"replica"))]
    cluster = Cluster({C: {"SHARDS": unnamed}, B: {"MYSHARDID": b"s7"}})
    assert set((await cluster.directory(C).fresh()).shards) == {"s7"}
    assert cluster.dialled == [C, A, B]


async def test_a_shard_without_a_leader_stays_in_the_map() -> None:
    cluster = Cluster({A: {"SHARDS": TWO}})
    directory = cluster.directory(A)
    before = await directory.fresh()
    leaderless = [shard(b"s1", [0, 8191], node(C, b"replica"), node(A, b"replica", b"fail")), TWO[1]]
    cluster.answers = {address: {"SHARDS": leaderless} for address in (A, B, C)}
    directory.doubt()
    after = await directory.fresh()
    assert after is not before
    assert after.shards["s1"] == Shard("s1", A, (C,), ((0, 8191),))


@pytest.mark.parametrize("endpoint", [b"", b"?", None])
async def test_an_unnamed_endpoint_is_where_we_reached_it(endpoint: bytes | None) -> None:
    described = [shard(b"s1", [0, 16383], node(B) | {b"endpoint": endpoint, b"ip": b""})]
    topology = await Cluster({A: {"SHARDS": described}}).directory(A).fresh()
    assert topology.shards["s1"].primary == Address(A.host, B.port)


async def test_announced_addresses_are_remapped() -> None:
    topology = await Cluster({A: {"SHARDS": TWO}}).directory(A, remap={B: C}).fresh()
    assert topology.shards["s2"].primary == C


async def test_one_refresh_for_all_who_wait() -> None:
    cluster = Cluster({A: {"SHARDS": TWO}})
    directory = cluster.directory(A)
    first, second = await asyncio.gather(directory.fresh(), directory.fresh())
    assert first is second
    assert cluster.dialled == [A]
    await directory.fresh()
    assert cluster.dialled == [A]


async def test_silent_nodes_do_not_hide_the_cluster() -> None:
    cluster = Cluster({C: {"SHARDS": TWO}})
    directory = cluster.directory(A, B, C)
    assert (await directory.fresh()).shards
    # A node in doubt is asked last.
    directory.doubt(C)
    cluster.answers[A] = {"SHARDS": TWO}
    cluster.dialled.clear()
    await directory.fresh()
    assert C not in cluster.dialled


async def test_nobody_answers() -> None:
    cluster = Cluster({})
    directory = cluster.directory(A)
    with pytest.raises(NotSent):
        await directory.fresh()
    assert directory.current == Topology()
    # And is not asked again at once.
    with pytest.raises(NotSent):
        await directory.fresh()
    assert cluster.dialled == [A]


@pytest.mark.parametrize(
    "nonsense", [7, [], [[1, 2, 3]], [{b"slots": [0]}], [shard(b"s1", [0, 9])], hiredis.ReplyError("ERR no cluster")]
)
async def test_nonsense_leaves_the_last_map(nonsense: Any) -> None:
    cluster = Cluster({A: {"SHARDS": TWO}})
    directory = cluster.directory(A)
    before = await directory.fresh()
    cluster.answers[A] = cluster.answers[B] = cluster.answers[C] = {"SHARDS": nonsense}
    directory.doubt()
    assert await directory.fresh() is before
    assert directory._stale


async def test_a_refresh_outlives_a_caller_that_gave_up() -> None:
    cluster = Cluster({A: {"SHARDS": TWO}})
    directory = cluster.directory(A)
    impatient, patient = asyncio.create_task(directory.fresh()), asyncio.create_task(directory.fresh())
    await asyncio.sleep(0)
    impatient.cancel()
    assert (await patient).shards


def test_a_topology_is_whole_when_every_slot_has_an_owner() -> None:
    def shard(name: str, *ranges: tuple[int, int]) -> Shard:
        return Shard(name, Address("127.0.0.1", 7000), (), tuple(ranges))

    assert Topology.of([shard("a", (0, 8000)), shard("b", (8001, 16383))]).whole
    assert not Topology.of([shard("a", (0, 8000)), shard("b", (8001, 16382))]).whole
    assert not Topology().whole
