from pathlib import Path

import pytest

from rookery_server.dev import memory
from rookery_server.dev.errors import NoMemory

MEMINFO = "MemTotal:       16000000 kB\nMemFree:          100000 kB\nMemAvailable:    4096000 kB\n"


def test_the_tighter_of_machine_and_container_counts(tmp_path: Path) -> None:
    proc = tmp_path / "meminfo"
    proc.write_text(MEMINFO)
    assert memory.free_megabytes(proc, tmp_path) == 4000

    (tmp_path / "memory.current").write_text(f"{300 * 2**20}\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.free_megabytes(proc, tmp_path) == 4000
    (tmp_path / "memory.max").write_text(f"{1024 * 2**20}\n")
    assert memory.free_megabytes(proc, tmp_path) == 724


def test_too_little_is_told_with_both_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_megabytes", lambda: 724)

    memory.require_megabytes(724)
    with pytest.raises(NoMemory, match="up to 800 MB of memory, and 724 MB are left"):
        memory.require_megabytes(800)
