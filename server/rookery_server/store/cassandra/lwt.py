"""Compare-and-set whose outcome is settled: an unknown one is read at SERIAL, which ends whatever was under way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rookery_server.domain.errors import Outcome, StoreUnavailable
from rookery_server.store.cassandra.session import CassandraSession, Values
from rookery_server.store.cassandra.statements import Statement

Row = Mapping[str, Any]


async def insert_once(
    session: CassandraSession, insert: Statement, values: Values, at_serial: Statement, key: Values
) -> tuple[bool | None, Row | None]:
    """Inserts unless a row is there: (True, None) when ours was stored, (False, the row that stands) when not, and
    (None, the row that stands) when only the row can tell whose it is.

    Raises StoreUnavailable; with an unknown outcome when even the second insert's fate could not be read."""
    for attempt in (1, 2):
        try:
            answer = await session.compare_and_set(insert, values)
        except StoreUnavailable as lost:
            if lost.outcome is Outcome.NONE:
                raise
            standing = await settle(session, lost, at_serial, key)
            if standing is not None:
                return None, standing
            if attempt == 2:
                raise
            continue  # read at SERIAL and absent: it was not stored and never will be
        return (True, None) if answer["[applied]"] else (False, answer)
    raise AssertionError("unreachable: the second attempt returns or raises")


async def settle(session: CassandraSession, lost: StoreUnavailable, at_serial: Statement, key: Values) -> Row | None:
    """The row at SERIAL after a compare-and-set of unknown outcome.  Raises `lost` when that cannot be read."""
    try:
        return await read_row(session, at_serial, key)
    except StoreUnavailable:
        raise lost from None


async def read_row(session: CassandraSession, at_serial: Statement, key: Values) -> Row | None:
    rows: Any = await session.execute(at_serial, key)
    return rows[0] if rows else None
