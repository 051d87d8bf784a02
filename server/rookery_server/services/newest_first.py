"""Pages of rows that are few enough to be read at once, the newest first."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from rookery_server.domain.limits import LIST_PAGE_DEFAULT, LIST_PAGE_MAX
from rookery_server.domain.models import Block, Edge, Mute
from rookery_server.domain.tokens import PageCursor
from rookery_server.services.batches import checked_page_size

Row = TypeVar("Row", Edge, Block, Mute)


def newest_first(
    rows: Iterable[Row], other: Callable[[Row], int], page_size: int, cursor: PageCursor | None
) -> tuple[tuple[Row, ...], PageCursor | None]:
    """One page of `rows`, and where the next begins; `other` names the account a row is about.

    Cursor: `last_id` = the last of these accounts, `floor_id` = its row's version.  Raises InvalidArgument.
    """
    size = checked_page_size(page_size, LIST_PAGE_DEFAULT, LIST_PAGE_MAX)

    def place(row: Row) -> tuple[int, int]:
        return (-row.version_us, -other(row))

    ordered = sorted(rows, key=place)
    if cursor is not None:
        last = (-cursor.floor_id, -cursor.last_id)
        ordered = [row for row in ordered if place(row) > last]
    page = tuple(ordered[:size])
    more = len(ordered) > size
    return page, PageCursor(other(page[-1]), page[-1].version_us) if more else None
