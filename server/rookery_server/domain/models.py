"""The values every layer speaks of.  Ids are positive int64; times are Unix milliseconds unless a name says µs."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Entity:
    """A mention, hashtag, cashtag or URL in a tweet's NFC text.

    `value` is without the leading sign for mentions and tags, the text as written for URLs.  Ranges are half-open:
    `byte_*` in the UTF-8 text, `char_*` in code points.
    """

    kind: str
    value: str
    byte_start: int
    byte_end: int
    char_start: int
    char_end: int


@dataclass(frozen=True, slots=True)
class Reply:
    """What a tweet answers; `root_id` names the conversation."""

    to_id: int
    to_author_id: int
    root_id: int


@dataclass(frozen=True, slots=True)
class Reference:
    """Another tweet, quoted or retweeted, with its author."""

    id: int
    author_id: int


@dataclass(frozen=True, slots=True)
class Tweet:
    """Immutable once created; stored and sent as its own serialised bytes."""

    id: int
    author_id: int
    text: str
    create_time_ms: int
    mentions: tuple[Entity, ...] = ()
    hashtags: tuple[Entity, ...] = ()
    cashtags: tuple[Entity, ...] = ()
    urls: tuple[Entity, ...] = ()
    reply: Reply | None = None
    quoted: Reference | None = None
    retweeted: Reference | None = None
    media: tuple[str, ...] = ()
    lang: str = ""


class UserState(enum.IntEnum):
    ACTIVE = 0
    DEACTIVATED = 1
    SUSPENDED = 2
    DEACTIVATED_AND_SUSPENDED = 3
    """When the suspension is lifted it is deactivated again: its owner had gone, and only its owner comes back."""


@dataclass(frozen=True, slots=True)
class Profile:
    display_name: str = ""
    bio: str = ""
    location: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class User:
    """`etag` changes with every edit and is opaque to callers."""

    id: int
    username: str
    profile: Profile
    create_time_ms: int
    etag: str
    protected: bool = False
    state: UserState = UserState.ACTIVE


@dataclass(frozen=True, slots=True)
class Edge:
    """One follow edge, or the trace of one that was removed (`on = False`, kept 8 days).

    `version_us` **is** its write timestamp: the edge with the higher version stands, whatever any clock says.
    """

    follower_id: int
    followee_id: int
    on: bool
    version_us: int

    def cut_by(self, block: Block) -> Edge:
        """Removed under that block, right above both versions: all who cut it write the same, and what is made after
        the block was lifted goes by that (docs/protocols/edge.md, E21)."""
        return replace(self, on=False, version_us=max(self.version_us, block.version_us) + 1)


@dataclass(frozen=True, slots=True)
class Block:
    """One block, or the trace of one that was lifted (`on = False`, kept 8 days).  `version_us` as in `Edge`."""

    blocker_id: int
    blocked_id: int
    on: bool
    version_us: int


def standing_block(blocks: Iterable[Block]) -> Block | None:
    """The latest of those that are on."""
    return max((block for block in blocks if block.on), key=lambda block: block.version_us, default=None)


@dataclass(frozen=True, slots=True)
class Mute:
    """One mute, or the trace of one that was lifted.  `until_ms`: when it ends by itself; 0 = never."""

    muter_id: int
    muted_id: int
    on: bool
    version_us: int
    until_ms: int = 0

    def stands(self, now_ms: int) -> bool:
        """Whether it is on and has not ended by itself."""
        return self.on and lasts(self.until_ms, now_ms)


def lasts(until_ms: int, now_ms: int) -> bool:
    """Whether a mute with that end has not ended."""
    return until_ms == 0 or now_ms < until_ms


@dataclass(frozen=True, slots=True)
class FollowRequest:
    """Somebody asks to follow a protected account; `on = False`: answered or withdrawn (kept 8 days)."""

    target_id: int
    requester_id: int
    on: bool
    version_us: int


@dataclass(frozen=True, slots=True)
class Relations:
    """What a viewer's rules need to know of the viewer, dated by `version`.

    `version` is the highest version (µs) of any row it was made of; a home list built under another version counts as
    missing.  `unfollowed`: everyone unfollowed in the last 8 days and not followed again.  `muted`: who, and until
    when (Unix ms, 0 = for ever).  `pull`: followees whose tweets are merged by readers.  `blocked_by`: who blocks the
    viewer; None = too many to carry, the store is asked.
    """

    version: int
    unfollowed: frozenset[int] = field(default_factory=frozenset)
    blocked: frozenset[int] = field(default_factory=frozenset)
    muted: Mapping[int, int] = field(default_factory=dict)
    pull: frozenset[int] = field(default_factory=frozenset)
    blocked_by: frozenset[int] | None = field(default_factory=frozenset)
