"""The history of everything that was asked and answered, and what it says about every page.

An operation is *ok* (acked), *fail* (proof that nothing happened) or *info* (nobody knows: it stays concurrent with
everything after it).  True time is the simulation's; "acked by" is on the clock of the server that acked, since that
is what a claim speaks of.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from math import inf

from rookery_server.domain import ids as snowflake
from rookery_server.domain.limits import REREAD_MS
from rookery_server.domain.merge import BEYOND
from rookery_server.domain.tokens import NewerCursor, PageCursor
from rookery_server.services.pages import TimelinePage

ALWAYS = -1
"""Acked before the history began."""


class Wrong(AssertionError):
    """A promise was broken."""


@dataclass
class Operation:
    """`began`, `ended`: true seconds; `ended` is infinite unless ok or fail.  `acked_ms`: on the server's clock."""

    began: float
    ended: float = inf
    outcome: str = "info"
    acked_ms: int = 0
    settled: bool = False
    event_ms: int = 0
    """Of the consistency token in the answer."""

    def may_have_happened(self) -> bool:
        return self.outcome != "fail"


@dataclass
class Post:
    """One text, however often it was tried."""

    author: int
    text: str
    tries: list[Operation] = field(default_factory=list)
    tweet_id: int | None = None
    deletes: list[Operation] = field(default_factory=list)
    stands: bool = False
    """Found in the store after quiet."""

    def acked_ms(self) -> int | None:
        return min((one.acked_ms for one in self.tries if one.outcome == "ok"), default=None)

    def acked_at(self) -> float:
        return min((one.ended for one in self.tries if one.outcome == "ok"), default=inf)


@dataclass
class Change(Operation):
    on: bool = True


@dataclass
class Pair:
    """Whether one follows another, as far as anybody can know."""

    on_from_start: bool
    changes: list[Change] = field(default_factory=list)

    def certain(self, on: bool, until: float) -> Change | None:
        """The acked change to `on` that stands for certain at `until`: nothing to the contrary overlaps or follows."""
        sure = [one for one in self._all() if one.on == on and one.outcome == "ok" and one.ended <= until]
        against = [one for one in self._all() if one.on != on and one.may_have_happened() and one.began < until]
        standing = [one for one in sure if all(other.ended < one.began for other in against)]
        return min(standing, key=lambda one: one.ended, default=None)

    def possible(self, until: float) -> bool:
        """Whether the edge may ever have been on before `until`."""
        return any(one.on and one.may_have_happened() and one.began < until for one in self._all())

    def _all(self) -> list[Change]:
        return [Change(-2.0, -1.0, "ok", ALWAYS, True, ALWAYS, on=self.on_from_start), *self.changes]


@dataclass(frozen=True)
class Read:
    """One page as it was asked for and answered.  `token_posts`, `token_edges`: what the token it carried names."""

    user: int
    began: float
    ended: float
    position: PageCursor | NewerCursor | None
    page: TimelinePage
    token_post: Post | None = None
    token_change: tuple[int, Change] | None = None

    def stretch(self) -> tuple[int, int]:
        """Ids of [bottom, top) that this page speaks of."""
        bottom = self.page.next_cursor.last_id if self.page.next_cursor else 0
        match self.position:
            case PageCursor(last_id, floor_id, _):
                return max(bottom, floor_id), last_id
            case NewerCursor(_, complete_through_ms):
                return max(bottom, snowflake.first_at(complete_through_ms - REREAD_MS)), BEYOND
        return bottom, BEYOND


class Oracle:
    """`texts`: the posts by their text, which is unique."""

    def __init__(self) -> None:
        self.texts: dict[str, Post] = {}
        self.by_id: dict[int, Post] = {}
        self.pairs: dict[tuple[int, int], Pair] = defaultdict(lambda: Pair(False))
        self.pages = 0
        self.shown = 0

    # --- what is known ------------------------------------------------------------------------------------------

    def learn(self, post: Post, tweet_id: int) -> None:
        if post.tweet_id not in (None, tweet_id):
            raise Wrong(f"{post.text} has two ids: {post.tweet_id} and {tweet_id}")
        post.tweet_id = tweet_id
        self.by_id[tweet_id] = post

    def found(self, post: Post, tweet_id: int) -> None:
        self.learn(post, tweet_id)
        post.stands = True

    def seeded(self, author: int, text: str, tweet_id: int) -> None:
        """A tweet from before the history."""
        post = Post(author, text, [Operation(-2.0, -1.0, "ok", ALWAYS)])
        self.texts[text] = post
        self.learn(post, tweet_id)

    # --- pages --------------------------------------------------------------------------------------------------

    def check(self, read: Read) -> None:
        """Raises Wrong."""
        self.pages += 1
        self.shown += len(read.page.tweet_ids)
        shown = read.page.tweet_ids
        if list(shown) != sorted(set(shown), reverse=True):
            raise Wrong(f"not strictly descending: {shown}")
        bottom, top = read.stretch()
        if any(not bottom <= id_ < top for id_ in shown):
            raise Wrong(f"outside its stretch [{bottom}, {top}): {shown}")
        if read.page.info.end_of_history and read.page.next_cursor is not None:
            raise Wrong("the end of history, and a cursor")
        for id_ in shown:
            self._may_be_shown(read, id_)
        missing = [id_ for id_ in self.required(read) if id_ not in set(shown)]
        if missing:
            raise Wrong(f"user {read.user} lacks {[self._name(id_) for id_ in missing]} on a page of {read.page.info}")

    def required(self, read: Read) -> list[int]:
        """Everything the page must hold for what it claims."""
        bottom, top = read.stretch()
        claimed = read.page.info.complete_through_ms
        return [id_ for id_, post in self.by_id.items() if bottom <= id_ < top and self._claimed(read, post, claimed)]

    def _claimed(self, read: Read, post: Post, claimed_ms: int) -> bool:
        acked_ms = post.acked_ms()
        if acked_ms is None or any(one.may_have_happened() and one.began < read.ended for one in post.deletes):
            return False
        if post is read.token_post and post.acked_at() <= read.began:
            return True
        return acked_ms <= claimed_ms and post.acked_at() <= read.began and self._eligible(read, post, claimed_ms)

    def _eligible(self, read: Read, post: Post, claimed_ms: int) -> bool:
        if post.author == read.user:
            return True
        followed = self.pairs[read.user, post.author].certain(True, read.ended)
        if followed is None or followed.ended > read.began:
            return False
        named = read.token_change == (post.author, followed)
        return named or followed.acked_ms <= claimed_ms

    def _may_be_shown(self, read: Read, id_: int) -> None:
        post = self.by_id.get(id_)
        if post is None:
            raise Wrong(f"{id_} was never posted")
        if not any(one.may_have_happened() and one.began < read.ended for one in post.tries):
            raise Wrong(f"{post.text} failed, and is shown")
        if read.page.info.stale:
            return
        if any(self._removed(read, one, one is self._token_delete(read, post)) for one in post.deletes):
            raise Wrong(f"user {read.user} is shown {post.text}, deleted and settled before")
        if post.author == read.user:
            return
        pair = self.pairs[read.user, post.author]
        if not pair.possible(read.ended):
            raise Wrong(f"user {read.user} never followed {post.author}, and is shown {post.text}")
        gone = pair.certain(False, read.ended)
        if gone is not None and self._removed(read, gone, read.token_change == (post.author, gone)):
            raise Wrong(f"user {read.user} is shown {post.text} by {post.author}, unfollowed and settled before")

    def _token_delete(self, read: Read, post: Post) -> Operation | None:
        return post.deletes[-1] if post is read.token_post and post.deletes else None

    def _removed(self, read: Read, removal: Operation, named: bool) -> bool:
        return removal.outcome == "ok" and removal.ended <= read.began and (removal.settled or named)

    def _name(self, id_: int) -> str:
        post = self.by_id[id_]
        return f"{post.text} (acked {post.acked_ms()})"

    # --- in the end ---------------------------------------------------------------------------------------------

    def check_scroll(self, user: int, shown: list[int], at: float) -> None:
        """After quiet: everything that is certain is there, once, and nothing that is certainly gone."""
        if len(set(shown)) != len(shown):
            raise Wrong(f"user {user} was shown something twice")
        have = set(shown)
        for id_, post in self.by_id.items():
            acked = post.acked_ms() is not None or post.stands
            deleted = [one for one in post.deletes if one.may_have_happened()]
            own = post.author == user
            pair = self.pairs[user, post.author]
            if acked and not deleted and (own or pair.certain(True, at)) and id_ not in have:
                raise Wrong(f"lost: user {user} lacks {self._name(id_)} after quiet")
            gone = any(one.outcome == "ok" for one in deleted) or (not own and pair.certain(False, at) is not None)
            if gone and id_ in have:
                raise Wrong(f"removed, and shown to user {user} after quiet: {self._name(id_)}")
