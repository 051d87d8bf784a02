"""Requests nobody would send, to a real server on real engines: nothing breaks, nothing is told."""

from __future__ import annotations

import asyncio
from collections import Counter

import grpc
import pytest

from rookery import Client
from rookery_server.rpc.methods import SERVICES, method_of
from tests.e2e.conftest import Running
from tests.support.fuzz import OWN_CONNECTION, answers_well

SENDERS, EACH = 8, 400


@pytest.mark.timeout(600)  # a busy machine answers a hundred a second
async def test_odd_requests_are_answered_well(running: Running, client: Client, unique: str) -> None:
    users = [(await client.create_user(f"{unique}_{n}")).user.id for n in range(3)]
    tweets = [(await client.acting_as(user).create_tweet("here to be found")).tweet.id for user in users]
    methods = [method_of(method) for service in SERVICES for method in service.methods]

    async def send(seed: int) -> Counter[str]:
        # A connection each: streams that were given up count against its sixteen until the server hears of it.
        async with grpc.aio.insecure_channel(running.server.target, OWN_CONNECTION) as channel:
            return await answers_well(channel, methods, EACH, seed, [*users, *tweets])

    codes = await asyncio.gather(*(send(seed) for seed in range(SENDERS)))
    total = sum(codes, Counter[str]())
    assert total.total() == SENDERS * EACH
    assert {"OK", "INVALID_ARGUMENT", "NOT_FOUND"} <= set(total)
    assert running.server.node.is_running
    log = running.server.node.log.read_text(errors="replace")
    assert "Traceback" not in log
    assert "internal error" not in log
    assert "unexpected error" not in log
