"""One round of every fault on three nodes with replicas, while posts flow and readers scroll: docs/faults.md."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rookery_server.cli.drill import FAULTS
from tests.support.engines import SpecialStacks
from tests.support.fault_run import SPEC, fault_run


@pytest.mark.timeout(600)
async def test_nothing_acked_is_lost_doubled_or_wrong(special_stacks: SpecialStacks, tmp_path: Path) -> None:
    with special_stacks(SPEC) as stack:
        outcome = await fault_run(stack, tmp_path, seconds=0, seed=1, say=print)
    print(json.dumps(outcome.told))  # noqa: T201
    assert {fault.name for fault in outcome.breaks} == {*FAULTS}
    assert len({fault.name for fault in outcome.breaks if fault.worst_lag_s > 10.0}) > 0, "nothing was felt"
    assert outcome.told["posts_acked"] > 500
