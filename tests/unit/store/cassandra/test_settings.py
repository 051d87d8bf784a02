from __future__ import annotations

from rookery_server.domain import limits
from rookery_server.store.cassandra.settings import CassandraSettings


def test_a_write_attempt_ends_within_its_life() -> None:
    settings = CassandraSettings(("127.0.0.1",))
    assert (settings.slot_wait_s + settings.write_s) * 1000 < limits.ATTEMPT_LIFE_MS


def test_the_password_is_not_printed() -> None:
    assert "secret" not in repr(CassandraSettings(("127.0.0.1",), username="a", password="secret"))
