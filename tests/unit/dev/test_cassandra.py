import json
from pathlib import Path

import pytest

from rookery_server.dev import cassandra
from rookery_server.dev.cassandra import Ring

FOLDER = Path("/data/stack/cassandra-1")


def ring(nodes: int = 1, *, durable: bool = True, throwaway: bool = False, full_jvm: bool = False) -> Ring:
    return Ring("name", nodes, 10_001, 10_002, durable=durable, throwaway=throwaway, full_jvm=full_jvm)


@pytest.mark.parametrize("nodes", [1, 3])
def test_tokens_share_the_ring_evenly(nodes: int) -> None:
    tokens = [cassandra.initial_token(index, nodes) for index in range(nodes)]
    gaps = [(after - before) % 2**64 or 2**64 for before, after in zip(tokens, tokens[1:] + tokens[:1], strict=True)]

    assert max(gaps) - min(gaps) <= 1
    assert all(-(2**63) < token < 2**63 for token in tokens)


def test_each_node_listens_on_its_own_address_and_all_are_seeds() -> None:
    texts = [cassandra.node_yaml(ring(3), index, FOLDER) for index in range(3)]

    assert [text["listen_address"] for text in texts] == ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
    assert {text["native_transport_port"] for text in texts} == {10_001}
    (provider,) = texts[0]["seed_provider"]
    assert provider["parameters"] == [{"seeds": "127.0.0.1:10002,127.0.0.2:10002,127.0.0.3:10002"}]


def test_a_durable_node_syncs_before_it_acknowledges() -> None:
    durable = cassandra.node_yaml(ring(durable=True), 0, FOLDER)
    fast = cassandra.node_yaml(ring(durable=False), 0, FOLDER)

    assert durable["commitlog_sync"] == "batch"
    assert "commitlog_sync_period" not in durable  # Cassandra refuses to start with both
    assert (fast["commitlog_sync"], fast["commitlog_sync_period"]) == ("periodic", "10s")


def test_everything_a_node_writes_is_in_its_folder() -> None:
    text = cassandra.node_yaml(ring(), 0, FOLDER)
    folders = [value for key, value in text.items() if key.endswith("_directory")] + text["data_file_directories"]

    assert len(folders) == 5
    assert all(Path(folder).parent == FOLDER for folder in folders)
    assert f"-Djava.io.tmpdir={FOLDER / 'unpacked'}" in cassandra.jvm_flags(ring(), FOLDER, [])


def test_what_a_killed_node_unpacked_is_gone_when_it_starts_again(tmp_path: Path) -> None:
    left = tmp_path / "unpacked" / "library.so"
    cassandra.prepare(ring(), 0, tmp_path, [], [])
    left.write_bytes(b"")
    cassandra.prepare(ring(), 0, tmp_path, [], [])
    assert left.parent.is_dir()
    assert not left.exists()


def test_only_a_throwaway_ring_leaves_its_schema_unflushed() -> None:
    switch = "-Dcassandra.test.flush_local_schema_changes=false"

    assert switch in cassandra.jvm_flags(ring(durable=False, throwaway=True), FOLDER, [])
    assert switch not in cassandra.jvm_flags(ring(durable=False), FOLDER, [])


def test_a_full_jvm_compiles_as_far_as_it_can_in_a_heap_of_its_own() -> None:
    small = cassandra.jvm_flags(ring(), FOLDER, [])
    full = cassandra.jvm_flags(ring(full_jvm=True), FOLDER, [])

    assert "-XX:TieredStopAtLevel=1" in small
    assert not [flag for flag in full if "Tiered" in flag]
    assert "-Xmx512m" in small
    assert "-Xmx1g" in full
    assert len({flag[:4] for flag in full if flag.startswith("-Xm")}) == len([f for f in full if f.startswith("-Xm")])


def test_the_arguments_are_in_a_file_that_survives_spaces(tmp_path: Path) -> None:
    folder = tmp_path / 'with space and "quote"'
    jars = [Path("/j/b.jar"), Path("/j/a.jar")]

    (argument,) = cassandra.prepare(ring(), 0, folder, jars, ["-Xshare:auto"])

    assert argument == f"@{folder / 'java.args'}"
    lines = (folder / "java.args").read_text().splitlines()
    assert all(line.startswith('"') and line.endswith('"') for line in lines)
    escaped = str(folder).replace('"', '\\"')
    assert f'"-Dcassandra.storagedir={escaped}"' in lines
    assert lines[-3:] == ['"-cp"', '"/j/a.jar:/j/b.jar"', '"org.apache.cassandra.service.CassandraDaemon"']
    assert json.loads((folder / "cassandra.yaml").read_text())["cluster_name"] == "name"
