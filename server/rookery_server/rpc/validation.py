"""Rules that hold for every request, found by its descriptor.  What a field means is checked by the use case."""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from rookery_server.domain import ids, limits
from rookery_server.domain.errors import InvalidArgument, Violation


@dataclass(frozen=True, slots=True)
class IdField:
    name: str
    many: bool


def id_fields(request: type[Message]) -> tuple[IdField, ...]:
    """Fields that hold ids: int64 named `id`, `ids`, `…_id` or `…_ids`."""
    return tuple(
        IdField(field.name, field.is_repeated)
        for field in request.DESCRIPTOR.fields
        if field.type == FieldDescriptor.TYPE_INT64 and field.name.rpartition("_")[2] in ("id", "ids")
    )


def check_ids(request: Message, fields: tuple[IdField, ...], now_ms: int) -> None:
    """An id below 0, or of a time to come, was never minted.  (0 is "none"; where it is not allowed, the use case says
    so.)  Raises InvalidArgument."""
    first_unminted = ids.first_at(now_ms + limits.ID_AHEAD_MS)
    for field in fields:
        value = getattr(request, field.name)
        if field.many:
            if len(value) > limits.BATCH_IDS:
                raise InvalidArgument(Violation(field.name, "batch_size", f"must hold at most {limits.BATCH_IDS} ids"))
            wrong = any(not 0 <= one < first_unminted for one in value)
        else:
            wrong = not 0 <= value < first_unminted
        if wrong:
            raise InvalidArgument(Violation(field.name, "never_minted", "is no id that was ever minted"))
