import pytest

from rookery_server.domain import ids, leases


def test_every_worker_id_has_a_row() -> None:
    assert len(leases.WORKER_IDS) == ids.WORKERS
    assert [leases.worker_id_of(name) for name in leases.WORKER_IDS] == list(range(ids.WORKERS))


@pytest.mark.parametrize("shard", [0, 7, 255])
def test_shard_names_come_back(shard: int) -> None:
    assert leases.shard_of_name(leases.shard_name(shard)) == shard


def test_lease_L2_a_watch_counts_from_the_first_sight_of_a_sign() -> None:
    watch = leases.Watch()
    assert watch.see("a", (1, 1), 100.0) == 0
    assert watch.see("a", (1, 1), 129.5) == 29.5
    assert watch.see("a", (1, 2), 130.0) == 0
    assert watch.see("a", (1, 2), 131.0) == 1
    watch.forget("a")
    assert watch.see("a", (1, 2), 140.0) == 0


@pytest.mark.parametrize(
    ("shards", "owners", "share"), [(16, "a", 16), (16, "ab", 8), (16, "abc", 6), (16, "aab", 8), (2, "abc", 1)]
)
def test_lease_L11_a_fair_share_covers_all_shards(shards: int, owners: str, share: int) -> None:
    assert leases.fair_share(shards, owners) == share
    assert leases.fair_share(shards, owners) * len(set(owners)) >= shards
