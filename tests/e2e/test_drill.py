"""`rookery admin drill` on a stack without replicas: the primary that is lost has nobody to take its place."""

from __future__ import annotations

import asyncio
import json
import os
import sys

import pytest

from rookery_server.dev.installation import Installation
from rookery_server.dev.openings import HITS_WANTED
from rookery_server.dev.state import StackSpec
from tests.support.engines import SpecialStacks

DRILL = ("--json", "admin", "drill", "--only", "primary killed", "--seed", "1", "--away", "6")


@pytest.mark.timeout(300)
async def test_a_primary_without_a_replica_is_lost_and_claims_and_hits_come_back(special_stacks: SpecialStacks) -> None:
    with special_stacks(StackSpec(name="drill", durable=False)) as stack:
        installation = Installation(stack)
        await asyncio.to_thread(installation.migrate)
        await asyncio.to_thread(installation.start_server)
        await asyncio.to_thread(installation.start_worker)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "rookery_server", *DRILL, "--name", stack.folder.name),
            env={**os.environ, "ROOKERY_DEV_DIR": str(stack.folder.parent)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, told = await process.communicate()
    assert process.returncode == 0, told.decode()
    document = json.loads(out)
    (fault,) = document["faults"]
    assert document["passed"]
    assert fault["wrong"] == 0
    assert fault["hits_before"] >= HITS_WANTED
    assert fault["hits_least"] is None or fault["hits_least"] < HITS_WANTED, "its lists were felt to be gone"
    assert 0 < fault["hits_back_s"] < 120
    assert fault["hits_recovered"]
    assert fault["sources"]["merge"] > 0, "homes of the lost primary came from the store"
    assert fault["degraded"] >= fault["sources"]["merge"], "and said so"
    assert fault["read_share"] > 0.5, "how many merges fit in two seconds is the machine's; that most do is ours"
    told_hits = document["least_median_most"]["primary killed"]["hits_back_s"]
    assert told_hits == [fault["hits_back_s"]] * 3
