"""The bytes under `p:`."""

from __future__ import annotations

import pytest

from rookery_server.cache.interface import Link, ProfileRead
from rookery_server.cache.redis.profiles import read_profile

LINK = Link("node", 3)


@pytest.mark.parametrize("raw", [b"", b"\x01", b"\x01\x00" + bytes(16), b"\x02\x01who", b"who"])
def test_what_is_no_profile_counts_as_a_stub(raw: bytes) -> None:
    assert read_profile(LINK, raw) == ProfileRead(LINK, raw, None)


def test_profile_and_absence() -> None:
    assert read_profile(LINK, None) == ProfileRead(LINK, None, None)
    assert read_profile(LINK, b"\x01\x01who") == ProfileRead(LINK, b"\x01\x01who", b"who")
    assert read_profile(LINK, b"\x01\x01").value == b""
