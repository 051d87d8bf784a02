"""Tokens in requests and replies: opaque strings outside, values inside.

A page token belongs to one method, one subject and one filter; given to any other call it is INVALID_ARGUMENT.
"""

from __future__ import annotations

from rookery_server.domain.live_cursors import LiveCursor
from rookery_server.domain.tokens import ANY_READ, ConsistencyToken, NewerCursor, PageCursor, Scope, TokenSigner

__all__ = ["Scope", "Tokens"]


class Tokens:
    def __init__(self, signer: TokenSigner):
        self._signer = signer

    def page_cursor(self, token: str, scope: Scope) -> PageCursor | None:
        """None = from the start.  Raises InvalidToken."""
        return self._signer.page_cursor(token, scope) if token else None

    def newer_cursor(self, token: str, scope: Scope) -> NewerCursor | None:
        """Raises InvalidToken."""
        return self._signer.newer_cursor(token, scope) if token else None

    def live_cursor(self, token: str, scope: Scope) -> LiveCursor | None:
        """Raises InvalidToken."""
        return self._signer.live_cursor(token, scope) if token else None

    def sign(self, cursor: PageCursor | NewerCursor | LiveCursor | None, scope: Scope) -> str:
        """Empty for None: there is nothing more."""
        return self._signer.sign(cursor, scope) if cursor is not None else ""

    def consistency(self, token: str) -> ConsistencyToken | None:
        """Raises InvalidToken, also where a read needs no token because it is the truth anyway."""
        return self._signer.consistency(token) if token else None

    def of_write(self, token: ConsistencyToken) -> str:
        return self._signer.sign(token, ANY_READ)
