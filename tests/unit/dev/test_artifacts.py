import gc
import hashlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from rookery_server.dev import artifacts
from rookery_server.dev.artifacts import Jar, JgoFetch
from rookery_server.dev.errors import DamagedJar, DownloadRefused
from rookery_server.dev.narration import Silent

CONTENT = b"what a jar is made of " * 1000
JAR = Jar("org.example:thing:1.0:linux", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
NO_PAUSES = (0.0, 0.0, 0.0)

# jgo leaves the connection of a refused request to the garbage collector, which then warns.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.fixture(autouse=True)
def collected_here() -> Iterator[None]:
    yield
    gc.collect()  # while this module's filter holds, not during another test


class Repository:
    """A Maven repository with one jar. `answers` says what the next requests for it get; the last goes on for ever."""

    def __init__(self) -> None:
        self.answers: list[bytes | int] = [CONTENT]
        self.asked = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path != "/org/example/thing/1.0/thing-1.0-linux.jar":
                    self.send_error(404)
                    return
                answer = outer.answers[min(outer.asked, len(outer.answers) - 1)]
                outer.asked += 1
                if isinstance(answer, int):
                    self.send_error(answer)
                    return
                self.send_response(200)
                self.send_header("content-length", str(len(CONTENT)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def repository() -> Iterator[Repository]:
    made = Repository()
    yield made
    made.close()


@pytest.fixture
def ensure(repository: Repository, tmp_path: Path) -> Callable[[], tuple[Path, ...]]:
    """Make the cache folder complete, over jgo, from the repository."""
    fetch = JgoFetch({"here": repository.url})
    return lambda: artifacts.ensure_jars([JAR], tmp_path, Silent(), fetch, NO_PAUSES)


def test_the_committed_list_is_a_whole_class_path() -> None:
    jars = artifacts.committed_jars()
    names = [jar.file_name for jar in jars]

    assert f"{artifacts.CASSANDRA}" in {jar.coordinate for jar in jars}
    assert len(names) == len(set(names)) == 90
    assert all(len(jar.sha256) == 64 and jar.size > 0 for jar in jars)
    assert not [name for name in names if "-osx-" in name or "-windows-" in name or "aarch" in name]


def test_a_missing_jar_is_fetched_and_found_again(
    repository: Repository, ensure: Callable[[], tuple[Path, ...]], tmp_path: Path
) -> None:
    (path,) = ensure()

    assert path == tmp_path / "thing-1.0-linux.jar"
    assert path.read_bytes() == CONTENT
    assert ensure() == (path,)
    assert repository.asked == 1
    assert sorted(found.name for found in tmp_path.iterdir()) == ["thing-1.0-linux.jar", "verified.json"]


@pytest.mark.parametrize("damage", [b"", CONTENT[:1000], CONTENT[:-1] + b"X"])
def test_a_damaged_jar_in_the_cache_is_fetched_again(
    damage: bytes, repository: Repository, ensure: Callable[[], tuple[Path, ...]]
) -> None:
    (path,) = ensure()
    path.write_bytes(damage)

    assert ensure()[0].read_bytes() == CONTENT
    assert repository.asked == 2


def test_an_unchanged_jar_is_not_hashed_again(
    ensure: Callable[[], tuple[Path, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure()
    monkeypatch.setattr(artifacts, "_sha256", lambda path: pytest.fail("hashed"))
    ensure()


def test_a_touched_jar_is_hashed_not_fetched(repository: Repository, ensure: Callable[[], tuple[Path, ...]]) -> None:
    (path,) = ensure()
    path.touch()
    ensure()

    assert repository.asked == 1


@pytest.mark.parametrize("first", [CONTENT[:1000], b"X" * len(CONTENT), 503])
def test_what_goes_wrong_once_is_tried_again(
    first: bytes | int, repository: Repository, ensure: Callable[[], tuple[Path, ...]]
) -> None:
    repository.answers = [first, CONTENT]

    assert ensure()[0].read_bytes() == CONTENT
    assert repository.asked == 2


def test_a_refusal_is_told_with_what_to_do(
    repository: Repository, ensure: Callable[[], tuple[Path, ...]], tmp_path: Path
) -> None:
    repository.answers = [403]

    with pytest.raises(DownloadRefused, match=r"org.example:thing:1.0:linux could not be fetched"):
        ensure()
    assert repository.asked == 4
    assert list(tmp_path.iterdir()) == []


def test_nobody_listening_is_a_refusal(tmp_path: Path) -> None:
    fetch = JgoFetch({"here": "http://127.0.0.1:1"})

    with pytest.raises(DownloadRefused, match="Is the network up"):
        artifacts.ensure_jars([JAR], tmp_path, Silent(), fetch, NO_PAUSES)


def test_a_jar_that_stays_damaged_is_never_used(
    repository: Repository, ensure: Callable[[], tuple[Path, ...]], tmp_path: Path
) -> None:
    repository.answers = [b"Y" * len(CONTENT)]

    with pytest.raises(DamagedJar, match=f"the list says {JAR.sha256}"):
        ensure()
    assert list(tmp_path.iterdir()) == []
