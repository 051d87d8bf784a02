from pathlib import Path

import pytest

from rookery_server.dev import logs
from rookery_server.dev.errors import LocalClusterError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "cassandra-1.log").write_text("one\ntwo\n")
    (tmp_path / "logs" / "cassandra-1.log.1").write_text("old\n")
    (tmp_path / "keeper.log").write_text("")
    return tmp_path


def test_all_logs_or_one_by_name(folder: Path) -> None:
    assert list(logs.log_files(folder)) == ["cassandra-1", "keeper"]
    assert list(logs.ends(logs.log_files(folder, "cassandra-1"))) == ["one\ntwo"]
    assert next(logs.ends(logs.log_files(folder))) == "==> cassandra-1 <=="


def test_an_unknown_name_is_told_what_there_is(folder: Path) -> None:
    with pytest.raises(LocalClusterError, match=r"no log of 'x' .* \(there are: cassandra-1, keeper\)"):
        logs.log_files(folder, "x")


def test_what_is_added_is_followed(folder: Path) -> None:
    files = logs.log_files(folder)
    steps = iter([True, True, False])

    def goes_on() -> bool:
        with files["cassandra-1"].open("a") as log:
            log.write("more\n")
        return next(steps)

    assert list(logs.follow(files, goes_on)) == ["cassandra-1: more", "cassandra-1: more"]
