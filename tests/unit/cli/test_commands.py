"""Commands against a server that keeps nothing: what they print, as text and JSON, and how they end."""

from __future__ import annotations

import json
import os
import random
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from rookery_server.cli.app import app
from rookery_server.dev import ports
from rookery_server.dev.installation import is_ready


@pytest.fixture(scope="module")
def target() -> Iterator[str]:
    """A server of its own process: commands have event loops of their own, and gRPC wants one a process."""
    port, health, metrics = ports.choose(3, rng=random.Random())
    settings = {
        "ROOKERY_SERVE__PORT": str(port),
        "ROOKERY_SERVE__HEALTH_PORT": str(health),
        "ROOKERY_SERVE__METRICS_PORT": str(metrics),
    }
    with subprocess.Popen(
        [sys.executable, "-m", "rookery_server", "serve", "--store", "memory"],
        env={**os.environ, **settings},
        stderr=subprocess.DEVNULL,
    ) as process:
        deadline = time.monotonic() + 30.0
        while not is_ready(health):
            assert process.poll() is None and time.monotonic() < deadline  # noqa: PT018
        yield f"127.0.0.1:{port}"
        process.terminate()


class Person:
    def __init__(self, target: str):
        self._target, self.name = target, f"u{secrets.token_hex(6)}"
        done = CliRunner().invoke(app, ["--target", target, "--json", "user", "create", self.name])
        self.id = int(json.loads(done.output)["user"]["id"])

    def says(self, *words: str, code: int = 0, as_json: bool = False) -> str:
        flags = ["--json"] if as_json else []
        done = CliRunner().invoke(app, ["--target", self._target, "--as", str(self.id), *flags, *words])
        assert done.exit_code == code, done.output
        return done.output

    def json(self, *words: str) -> Any:
        return json.loads(self.says(*words, as_json=True))


@pytest.fixture
def ada(target: str) -> Person:
    return Person(target)


@pytest.fixture
def bob(target: str) -> Person:
    return Person(target)


def test_blocks_and_mutes(ada: Person, bob: Person) -> None:
    assert f"blocked {bob.name}" in ada.says("follow", "block", bob.name)
    assert f"@{bob.name}" in ada.says("follow", "blocks")
    assert bob.says("follow", "between", ada.name).strip() == "blocked_by"
    bob.says("follow", "add", ada.name, code=4)
    ada.says("follow", "unblock", bob.name)
    assert ada.json("follow", "blocks")["blocks"] == []
    ada.says("follow", "mute", bob.name, "--hours", "1")
    (muted,) = ada.json("follow", "mutes")["mutes"]
    assert (int(muted["user_id"]), bool(muted["expire_time"])) == (bob.id, True)
    assert f"unmuted {bob.name}" in ada.says("follow", "unmute", bob.name)


def test_requests(ada: Person, bob: Person) -> None:
    assert "protected" in bob.says("user", "protect")
    assert f"asked to follow {bob.name}" in ada.says("follow", "add", bob.name)
    assert f"@{ada.name}" in bob.says("follow", "requests")
    assert f"{ada.name} follows" in bob.says("follow", "approve", ada.name)
    assert ada.says("follow", "between", bob.name).strip() == "following"
    assert f"{ada.name} does not follow" in bob.says("follow", "deny", ada.name)
    assert "protected" not in bob.says("user", "unprotect")


def test_leaving_and_coming_back(ada: Person, bob: Person) -> None:
    new = f"n{secrets.token_hex(6)}"
    assert f"@{new}" in ada.says("user", "rename", new)
    bob.says("user", "show", ada.name, code=4)
    assert ada.json("user", "deactivate")["user"]["state"] == "USER_STATE_DEACTIVATED"
    bob.says("user", "show", new, code=4)
    ada.says("tweet", "post", "from nobody", code=5)
    ada.says("user", "reactivate")
    assert f"@{new}" in bob.says("user", "show", new)


def test_a_live_home(ada: Person) -> None:
    newer = ada.json("timeline", "home")["newer_token"]
    ada.says("tweet", "post", "hello")
    (line,) = ada.says("timeline", "stream", "--newer-token", newer, "--most", "1", as_json=True).splitlines()
    message = json.loads(line)
    assert [tweet["text"] for tweet in message["tweets"]] == ["hello"]
    again = ada.says("timeline", "stream", "--resume-token", message["resume_token"], "--most", "1")
    assert "complete through" in again


def test_tools_for_homes(ada: Person) -> None:
    tweet = ada.json("tweet", "post", "hello")["tweet"]["id"]
    ada.says("timeline", "home")
    assert "0 wrong" in ada.says("admin", "timeline", "verify", ada.name)
    assert ada.says("admin", "timeline", "explain", ada.name, tweet).startswith("in")
    assert "1 tweets, stored" in ada.says("admin", "timeline", "rebuild", ada.name)
    assert ada.says("admin", "timeline", "explain", ada.name, "7").startswith("not in: there is no such tweet")


def test_tools_for_accounts(ada: Person, bob: Person) -> None:
    assert "push" in bob.says("admin", "tiers", ada.name)
    assert "0 followers, following 0, 0 tweets" in bob.says("admin", "recount", ada.name)
    assert f"suspended {ada.name}" in bob.says("admin", "suspend", ada.name)
    ada.says("user", "reactivate", code=5)
    assert f"@{ada.name}" in bob.says("admin", "unsuspend", str(ada.id))


def test_a_drill_touches_nothing_but_a_local_stack(ada: Person) -> None:
    assert "No stack" in ada.says("admin", "drill", "--name", "there-is-none", code=2)
