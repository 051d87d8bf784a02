from pathlib import Path

from rookery_server.dev import valkey


def test_slots_are_shared_without_gap_or_overlap() -> None:
    ranges = valkey.slot_ranges(3)

    assert [slot for first, last in ranges for slot in range(first, last + 1)] == list(range(valkey.SLOTS))
    assert max(last - first for first, last in ranges) - min(last - first for first, last in ranges) <= 1


def test_flags_come_as_pairs_and_keep_nothing_on_disk() -> None:
    flags = valkey.server_flags(10_005, 1500)
    options = dict(zip(flags[::2], flags[1::2], strict=True))

    assert options["--port"] == "10005"
    assert options["--cluster-node-timeout"] == "1500"
    assert options["--save"] == ""
    assert options["--maxmemory-policy"] == "volatile-lru"
    assert options["--cluster-require-full-coverage"] == "no"


NODES_CONF = """\
aa 127.0.0.1:10001@20001,, myself,master - 0 0 1 connected 0-5460
bb 127.0.0.1:10002@20002,, master - 0 1700 2 connected 5461-10921 10922 [93->-cc]
cc 127.0.0.1:10003@20003,, master - 0 1700 3 disconnected 10923-16383
vars currentEpoch 3 lastVoteEpoch 0
"""


def test_a_node_finds_back_only_to_a_whole_cluster(tmp_path: Path) -> None:
    assert not valkey.has_formed(tmp_path, 3)

    (tmp_path / "nodes.conf").write_text(NODES_CONF)
    assert valkey.has_formed(tmp_path, 3)
    assert not valkey.has_formed(tmp_path, 6)

    (tmp_path / "nodes.conf").write_text(NODES_CONF.replace("10922 ", ""))
    assert not valkey.has_formed(tmp_path, 3)
