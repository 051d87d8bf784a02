"""Calls packed by hand are those hiredis would pack."""

from __future__ import annotations

from rookery_server.cache.redis.scripts import Script


def test_calls_alike_are_the_calls_one_by_one() -> None:
    script, keys = Script.load("place"), [b"h:{1}", b"h:{22}", "h:{ü}".encode()]
    alike = script.calls_alike(iter(keys), 123_456_789, b"\r\n", "words")
    assert alike == [script.call([key], 123_456_789, b"\r\n", "words") for key in keys]
    assert script.calls_alike([], 1) == []
