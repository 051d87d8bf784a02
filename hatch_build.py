"""Build hook: generates the typed protobuf and gRPC stubs from ``proto/`` into ``client/rookery/v1``.

Run by every build (wheel, editable) and by ``make gen``.  The proto package path equals the Python import path
(``rookery/v1``), so nothing that protoc writes has to be rewritten.
"""

from __future__ import annotations

import importlib.resources
import os
import shutil
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent
OUT = ROOT / "client"


def _plugin(name: str) -> str:
    """protoc's flag for one plugin: on PATH (an isolated build) or beside this Python (an environment not active)."""
    beside = Path(sys.executable).parent
    found = shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", os.defpath), str(beside))))
    if found is None:
        raise RuntimeError(f"{name} is not installed: it comes with mypy-protobuf")
    return f"--plugin={name}={found}"


def generate() -> list[Path]:
    """Generates all stubs; returns the files written.  Raises RuntimeError when protoc refuses the sources."""
    from grpc_tools import protoc

    sources = sorted((ROOT / "proto").rglob("*.proto"))
    well_known = importlib.resources.files("grpc_tools") / "_proto"
    googleapis = Path(next(iter(__import__("google.api", fromlist=["api"]).__path__))).parent.parent
    for stale in (OUT / "rookery" / "v1").glob("*_pb2*"):
        stale.unlink()
    code = protoc.main(
        [
            "protoc",
            _plugin("protoc-gen-mypy"),
            _plugin("protoc-gen-mypy_grpc"),
            f"-I{ROOT / 'proto'}",
            f"-I{well_known}",
            f"-I{googleapis}",
            f"--python_out={OUT}",
            f"--grpc_python_out={OUT}",
            f"--mypy_out=quiet:{OUT}",
            f"--mypy_grpc_out=quiet:{OUT}",
            *(str(source) for source in sources),
        ]
    )
    if code != 0:
        raise RuntimeError(f"protoc ended with code {code}: see its message above")
    return sorted((OUT / "rookery" / "v1").glob("*_pb2*"))


try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # `make gen` runs this file without hatchling
    BuildHookInterface = object  # type: ignore[assignment,misc]


class StubHook(BuildHookInterface):  # type: ignore[type-arg]
    """Hatchling entry point."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        generate()


if __name__ == "__main__":
    print(f"generated {len(generate())} files", file=sys.stderr)
