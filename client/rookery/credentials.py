"""Who a call acts as.  Credentials add metadata to every call and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

ACTING_USER: Final = "rookery-acting-user"


@dataclass(frozen=True, slots=True)
class Credentials:
    """A bearer token, an acting user, or both (a service credential with scope `act_as`).

    In the server's development mode (loopback only) `Credentials(acting_user=42)` alone is enough.
    """

    token: str | None = None
    acting_user: int | None = None

    def act_as(self, user_id: int) -> Credentials:
        """The same credentials on behalf of `user_id`."""
        return replace(self, acting_user=user_id)

    def metadata(self) -> tuple[tuple[str, str], ...]:
        pairs: list[tuple[str, str]] = []
        if self.token is not None:
            pairs.append(("authorization", f"Bearer {self.token}"))
        if self.acting_user is not None:
            pairs.append((ACTING_USER, str(self.acting_user)))
        return tuple(pairs)

    def __repr__(self) -> str:  # a token must not end in a log
        return f"Credentials(token={'…' if self.token else None}, acting_user={self.acting_user})"
