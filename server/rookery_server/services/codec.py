"""How a tweet becomes the bytes that are stored and sent."""

from __future__ import annotations

from typing import Protocol

from rookery_server.domain.models import Tweet


class TweetCodec(Protocol):
    """Deterministic: one tweet has one encoding, since two attempts at one post must write the same cell."""

    def encode(self, tweet: Tweet) -> bytes:
        """The bare serialised bytes, never empty (empty means deleted)."""
        ...

    def decode(self, body: bytes) -> Tweet:
        """At least the header: id, author, time, reply, quoted, retweeted.  `body` is bare and not empty."""
        ...
