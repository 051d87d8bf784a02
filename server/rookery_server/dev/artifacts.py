"""Cassandra's jars: fetched by coordinates, held against a committed list of sha256, kept in the user's cache.

jgo does the fetching. It writes straight to the final name and only warns about a wrong checksum, so everything it
brings lands in a waiting folder first and is moved into the cache once it equals the list.
"""

import hashlib
import logging
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Protocol

from rookery_server.dev.errors import DamagedJar, DownloadRefused, EngineMissing
from rookery_server.dev.narration import Narrator
from rookery_server.dev.records import read_json, write_json

CASSANDRA = "org.apache.cassandra:cassandra-all:5.0.8"
_FETCHERS = 8  # 90 small files: the time goes into round trips, not into bytes
_HTTP_TIMEOUT_SECONDS = 30  # jgo's 10 s is short for a slow first byte
# Four tries over 7 s: a dropped connection or a restarted proxy is survived, a refusal is told soon.
PAUSES_SECONDS = (1.0, 2.0, 4.0)


@dataclass(frozen=True, slots=True)
class Jar:
    """One line of the list. `coordinate` is group:artifact:version or group:artifact:version:classifier."""

    coordinate: str
    size: int
    sha256: str

    @property
    def file_name(self) -> str:
        return "-".join(self.coordinate.split(":")[1:]) + ".jar"


class Fetch(Protocol):
    """Bring one jar into `folder` and return its path; `advance` is told the bytes as they come. Raises OSError."""

    def __call__(self, jar: Jar, folder: Path, advance: Callable[[int], None]) -> Path: ...


def parse_lock(text: str) -> tuple[Jar, ...]:
    lines = (line.split() for line in text.splitlines() if line and not line.startswith("#"))
    return tuple(Jar(coordinate, int(size), digest) for coordinate, size, digest in lines)


def committed_jars() -> tuple[Jar, ...]:
    return parse_lock(resources.files("rookery_server.dev").joinpath("jars.lock").read_text())


def ensure_jars(
    jars: Sequence[Jar],
    folder: Path,
    narrator: Narrator,
    fetch: Fetch | None = None,
    pauses_seconds: Sequence[float] = PAUSES_SECONDS,
) -> tuple[Path, ...]:
    """Make `folder` hold all jars as listed and return their paths, in the order of the list.

    Hashes only what changed (size or time) since it was last found good; fetches what is missing, and what is damaged
    after deleting it. Raises DownloadRefused or DamagedJar.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stamp_file = folder / "verified.json"
    stamps: dict[str, Any] = read_json(stamp_file) or {}
    missing = [jar for jar in jars if not _is_good(jar, folder, stamps, narrator)]
    if missing:
        _fetch_all(missing, folder, narrator, fetch or JgoFetch(), pauses_seconds)
    fresh = {jar.file_name: _stamp(jar, folder / jar.file_name) for jar in jars}
    if fresh != stamps:
        write_json(stamp_file, fresh)
    return tuple(folder / jar.file_name for jar in jars)


def _stamp(jar: Jar, path: Path) -> list[Any]:
    status = path.stat()
    return [jar.sha256, status.st_size, status.st_mtime_ns]


def _is_good(jar: Jar, folder: Path, stamps: dict[str, Any], narrator: Narrator) -> bool:
    path = folder / jar.file_name
    if not path.exists():
        return False
    if stamps.get(jar.file_name) == _stamp(jar, path) or _sha256(path) == jar.sha256:
        return True
    narrator.say(f"{jar.file_name} in the cache is damaged: fetching it again.")
    path.unlink()
    return False


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch_all(
    jars: Sequence[Jar], folder: Path, narrator: Narrator, fetch: Fetch, pauses_seconds: Sequence[float]
) -> None:
    title = f"Fetching Cassandra ({len(jars)} jars, once)"

    def one_jar(jar: Jar) -> None:
        _fetch_one(jar, folder, Path(waiting), lambda room: fetch(jar, room, download.advance), pauses_seconds)

    with (
        tempfile.TemporaryDirectory(prefix=".incoming-", dir=folder) as waiting,
        narrator.download(title, sum(jar.size for jar in jars)) as download,
        ThreadPoolExecutor(_FETCHERS) as pool,
    ):
        work = [pool.submit(one_jar, jar) for jar in jars]
        try:
            for one in work:
                one.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # one refusal is enough: do not ask 89 times more
            raise


def _fetch_one(
    jar: Jar, folder: Path, waiting: Path, fetch: Callable[[Path], Path], pauses_seconds: Sequence[float]
) -> None:
    """Fetch, check, move into the cache; again after a pause when that fails."""
    for attempt, pause in enumerate((*pauses_seconds, None)):
        room = waiting / f"{jar.file_name}.{attempt}"
        try:
            path = fetch(room)
            _require_listed(jar, path)
        except (OSError, DamagedJar) as error:
            if pause is not None:
                time.sleep(pause)
            elif isinstance(error, DamagedJar):
                raise
            else:
                raise DownloadRefused(
                    f"{jar.coordinate} could not be fetched: {error}\n"
                    "Is the network up, and does it allow Maven Central? What has come is kept: try again later, "
                    "or set CASSANDRA_HOME to an installed Cassandra 5.0."
                ) from error
        else:
            path.replace(folder / jar.file_name)
            return


def _require_listed(jar: Jar, path: Path) -> None:
    if (found := _sha256(path)) != jar.sha256:
        raise DamagedJar(
            f"{jar.coordinate} arrives damaged: its sha256 is {found}, the list says {jar.sha256}.\n"
            "Something between here and Maven Central changes or cuts it."
        )


class JgoFetch:
    """Fetches from Maven Central, or from `repositories` (name to URL)."""

    def __init__(self, repositories: dict[str, str] | None = None) -> None:
        self._maven, _ = _jgo()
        self._repositories = repositories

    def __call__(self, jar: Jar, folder: Path, advance: Callable[[int], None]) -> Path:
        group, artifact, version, *classifier = jar.coordinate.split(":")

        @contextmanager
        def report(_name: str, _size: int) -> Iterator[Callable[[int], None]]:
            yield advance

        resolver = self._maven.PythonResolver(progress_callback=report)
        context = self._maven.MavenContext(
            resolver=resolver,
            repo_cache=folder,
            local_repos=[],
            remote_repos=self._repositories,
            timeout=_HTTP_TIMEOUT_SECONDS,
        )
        component = context.project(group, artifact).at_version(version)
        try:
            path: Path = resolver.download(component.artifact(*classifier))
        except RuntimeError as error:  # how jgo says that no repository has it
            raise OSError(str(error)) from error
        return path


def _jgo() -> tuple[Any, Any]:
    try:
        from jgo import maven, parse
    except ImportError:
        raise EngineMissing(
            "Cassandra's jars are fetched with the package jgo, which is not installed: pip install 'rookery[local]', "
            "or set CASSANDRA_HOME to an installed Cassandra 5.0."
        ) from None
    logging.getLogger("jgo").setLevel(logging.ERROR)  # it warns about checksums; ours are the ones that count
    return maven, parse


_FOREIGN = re.compile(r"-(osx|windows|linux-aarch|linux-riscv)")  # native parts for other platforms


def resolve_lock(folder: Path) -> str:
    """The text of a new list: resolve Cassandra's dependencies, fetch them all, write down what came."""
    maven, parse = _jgo()
    context = maven.MavenContext(repo_cache=folder, local_repos=[], timeout=_HTTP_TIMEOUT_SECONDS)
    root = context.create_dependency(parse.Coordinate.parse(f"{CASSANDRA}:compile"))
    inputs, transitive = context.resolver.resolve([root])
    lines = []
    for dependency in (*inputs, *transitive):
        if dependency.scope not in ("compile", "runtime"):
            continue
        artifact = dependency.artifact
        if _FOREIGN.search(artifact.filename):
            continue
        path = artifact.resolve()
        parts = (artifact.groupId, artifact.artifactId, artifact.version, artifact.classifier)
        lines.append(f"{':'.join(filter(None, parts))} {path.stat().st_size} {_sha256(path)}\n")
    return _LOCK_HEAD + "".join(sorted(lines))


_LOCK_HEAD = f"""\
# The class path of Apache Cassandra on Linux x86_64: coordinate, bytes, sha256.
# Made by resolving {CASSANDRA} (scopes compile and runtime) and leaving out
# the native jars of other platforms. `python -m rookery_server.dev.artifacts` prints it anew.
"""

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        sys.stdout.write(resolve_lock(Path(scratch)))
