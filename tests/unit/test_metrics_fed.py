"""Every metric of the catalogue is fed by somebody: a series that never moves would mislead whoever looks at it."""

from __future__ import annotations

import re
from pathlib import Path

SERVER = Path(__file__).resolve().parents[2] / "server" / "rookery_server"


def test_every_metric_is_used_outside_the_catalogue() -> None:
    bound = re.findall(r"self\.(\w+) = self\._(?:counter|gauge|histogram)\(", (SERVER / "metrics.py").read_text())
    product = "\n".join(
        path.read_text()
        for path in SERVER.rglob("*.py")
        if not path.name.startswith("metrics") and "dev" not in path.parts
    )
    grpc = {"grpc_started", "grpc_handled", "grpc_received", "grpc_sent", "grpc_handling", "rpc_in_flight"}
    through_rpc = grpc | {"rpc_without_deadline"}
    unfed = [name for name in bound if name not in through_rpc and not re.search(rf"metrics\.{name}\b", product)]
    assert len(bound) > 30
    assert unfed == []
