from __future__ import annotations

import pytest

from rookery_server.cache.redis.settings import Address, RedisSettings


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("127.0.0.1:7000", "127.0.0.1", 7000), ("cache.local:6379", "cache.local", 6379), ("[::1]:7000", "::1", 7000)],
)
def test_addresses(text: str, host: str, port: int) -> None:
    assert Address.parse(text) == Address(host, port)


@pytest.mark.parametrize("text", ["", "localhost", ":7000", "host:", "host:port"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError):
        Address.parse(text)


def test_the_password_is_not_shown() -> None:
    assert "hunter2" not in repr(RedisSettings((), password="hunter2"))
