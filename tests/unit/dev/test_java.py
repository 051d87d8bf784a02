from pathlib import Path

import pytest

from rookery_server.dev import java
from rookery_server.dev.errors import EngineMissing
from rookery_server.dev.java import ClassArchive, Java
from rookery_server.dev.narration import Silent


def fake_java(folder: Path, version: str, body: str = "") -> Path:
    binary = folder / "bin" / "java"
    binary.parent.mkdir(parents=True)
    binary.write_text(f'#!/bin/sh\n[ "$1" = -version ] && echo \'openjdk version "{version}"\' >&2 && exit\n{body}\n')
    binary.chmod(0o755)
    return binary


@pytest.fixture
def no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(java, "_packaged_java", list)


def test_the_packaged_java_goes_with_packaged_jars(tmp_path: Path) -> None:
    mine = fake_java(tmp_path, "17.0.1")
    env = {"JAVA_HOME": str(tmp_path), "PATH": ""}

    assert java.find_java(env, packaged_first=False) == Java(mine, "17.0.1")
    assert java.find_java(env, packaged_first=True).binary != mine
    assert java.find_java(env, packaged_first=True).version.startswith("17.")


@pytest.mark.usefixtures("no_package")
def test_java_home_comes_before_path(tmp_path: Path) -> None:
    at_home = fake_java(tmp_path / "home", "17.0.1")
    on_path = fake_java(tmp_path / "path", "17.0.2")
    path = str(on_path.parent)

    assert java.find_java({"JAVA_HOME": str(tmp_path / "home"), "PATH": path}, packaged_first=False).binary == at_home
    assert java.find_java({"PATH": path}, packaged_first=False).binary == on_path


@pytest.mark.usefixtures("no_package")
def test_another_version_is_refused_by_name(tmp_path: Path) -> None:
    fake_java(tmp_path, "21.0.4")

    with pytest.raises(EngineMissing, match=r"No Java 17 found \(.*/bin/java is 21.0.4\)"):
        java.find_java({"JAVA_HOME": str(tmp_path), "PATH": ""}, packaged_first=False)
    with pytest.raises(EngineMissing, match="is no Java that runs"):
        java.find_java({"JAVA_HOME": str(tmp_path / "nothing"), "PATH": ""}, packaged_first=False)


class Archives:
    """A class archive with a `java` that does as told, and the starts that lead to one."""

    def __init__(self, folder: Path, body: str) -> None:
        self.folder = folder / "archives"
        self.jar = folder / "a.jar"
        self.jar.touch()
        self._java = Java(fake_java(folder, "17.0.1", body), "17.0.1")

    def one(self) -> ClassArchive:
        return ClassArchive(self.folder, self._java, [self.jar])

    def start(self) -> list[str]:
        """As a node does: it records what it was told to."""
        flags = self.one().flags(Silent())
        for flag in flags:
            option, _, value = flag.partition("=")
            if option == "-XX:DumpLoadedClassList":
                Path(value).write_text("java/lang/Object id: 0\njava/lang/Str")
        return flags


BUILDS = """
for a; do case $a in
  -XX:SharedArchiveFile=*) archive=${a#*=} ;;
  -XX:SharedClassListFile=*) list=${a#*=} ;;
esac; done
cp "$list" "$archive"
"""


def test_the_archive_is_built_once_it_pays(tmp_path: Path) -> None:
    archives = Archives(tmp_path, BUILDS)
    for _ in range(java.STARTS_BEFORE_ARCHIVE):
        assert archives.start()[0] == "-Xshare:off"

    assert archives.start() == ["-Xshare:auto", f"-XX:SharedArchiveFile={archives.one().archive}"]
    # Half a line, left by a JVM that was killed, is not given to the build.
    assert archives.one().archive.read_text() == "java/lang/Object id: 0\n"
    assert not list(archives.folder.glob("*.classes"))


def test_a_jar_that_was_fetched_again_wants_another_archive(tmp_path: Path) -> None:
    archives = Archives(tmp_path, BUILDS)
    before = archives.one().archive
    assert archives.one().archive == before

    archives.jar.write_text("changed")
    assert archives.one().archive != before


def test_a_build_that_fails_stops_no_start_and_is_not_tried_again(tmp_path: Path) -> None:
    archives = Archives(tmp_path, 'echo build >>"$(dirname "$0")/calls"; exit 1')
    for _ in range(java.STARTS_BEFORE_ARCHIVE + 3):
        archives.start()

    assert archives.start() == ["-Xshare:auto"]
    assert (tmp_path / "bin" / "calls").read_text().count("build") == 1


def test_a_folder_that_cannot_be_written_stops_no_start(tmp_path: Path) -> None:
    archives = Archives(tmp_path, BUILDS)
    archives.folder.write_text("a file in its place")

    assert archives.start() == ["-Xshare:auto"]
