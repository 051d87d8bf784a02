"""The history of everything that was asked and answered, and what it says about every page."""

from __future__ import annotations

import bisect
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from math import inf
from typing import TypeAlias

from rookery_server.domain import ids as snowflake
from rookery_server.domain.limits import REREAD_MS
from rookery_server.domain.merge import BEYOND
from rookery_server.domain.tokens import NewerCursor, PageCursor
from rookery_server.services.pages import TimelinePage
from tests.support.faults import START_MS
from tests.support.registers import ALWAYS, Change, Operation, Register

Follows: TypeAlias = Register[bool]
Blocks: TypeAlias = Register[bool]
Mutes: TypeAlias = Register[int]
NOT_MUTED = -1
"""In a register of mutes; 0 = for ever, otherwise the Unix ms it ends at."""
UNSETTLED_S = 20.0
"""A claim covers an event that was applied; a server may go by its own copy of an account for a second more.  Events
of accounts are applied five seconds old, or later; so long after an unsettled change that is over."""


class Wrong(AssertionError):
    """A promise was broken."""


@dataclass(eq=False)
class Post:
    """One text, however often it was tried.  `answered`, `quoted`: whose tweets it speaks of."""

    author: int
    text: str
    tries: list[Operation] = field(default_factory=list)
    tweet_id: int | None = None
    deletes: list[Operation] = field(default_factory=list)
    answered: int = 0
    quoted: int = 0

    def acked_ms(self) -> int | None:
        return min([one.acked_ms for one in self.tries if one.outcome == "ok"], default=None)

    def acked_at(self) -> float:
        return min([one.ended for one in self.tries if one.outcome == "ok"], default=inf)

    def may_be_deleted(self) -> bool:
        return bool(self.deletes) and any(one.may_have_happened() for one in self.deletes)

    def speakers(self) -> tuple[int, ...]:
        if not self.answered and not self.quoted:
            return (self.author,)
        return tuple(dict.fromkeys(id_ for id_ in (self.author, self.answered, self.quoted) if id_))


@dataclass(frozen=True)
class Read:
    """One page as it was asked for and answered.  `token_post`, `named`: what the token it carried names."""

    user: int
    began: float
    position: PageCursor | NewerCursor | None
    page: TimelinePage
    token_post: Post | None = None
    named: Collection[Change[bool]] = ()
    only_known_replies: bool = False

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
    """`texts`: the posts by their text, which is unique.  Registers are of (follower, followee), (blocker, blocked),
    (muter, muted), account."""

    def __init__(self) -> None:
        self.texts: dict[str, Post] = {}
        self.by_id: dict[int, Post] = {}
        self._ids: list[int] = []
        self.follows: dict[tuple[int, int], Follows] = defaultdict(lambda: Register(False))
        self.requests: dict[tuple[int, int], Register[bool]] = defaultdict(lambda: Register(False))
        """By (requester, target)."""
        self.blocks: dict[tuple[int, int], Blocks] = defaultdict(lambda: Register(False))
        self.mutes: dict[tuple[int, int], Mutes] = defaultdict(lambda: Register(NOT_MUTED))
        self.protected: dict[int, Register[bool]] = defaultdict(lambda: Register(False))
        self.suspended: dict[int, Register[bool]] = defaultdict(lambda: Register(False))
        self.deactivated: dict[int, Register[bool]] = defaultdict(lambda: Register(False))
        self.pages = 0
        self.shown = 0
        self.unsure_ms: float = 2_000
        """Around its end a mute may or may not stand: two clocks may differ by so much, and by more once one was
        stepped."""

    # --- what is known ------------------------------------------------------------------------------------------

    def learn(self, post: Post, tweet_id: int) -> None:
        if post.tweet_id not in (None, tweet_id):
            raise Wrong(f"{post.text} has two ids: {post.tweet_id} and {tweet_id}")
        if post.tweet_id is None:
            post.tweet_id = tweet_id
            self.by_id[tweet_id] = post
            bisect.insort(self._ids, tweet_id)

    def seeded(self, author: int, text: str, tweet_id: int) -> None:
        """A tweet from before the history."""
        post = Post(author, text, [Operation(-2.0, -1.0, "ok", ALWAYS)])
        self.texts[text] = post
        self.learn(post, tweet_id)

    def between(self, bottom: int, top: int) -> Iterator[tuple[int, Post]]:
        ids = self._ids
        for at in range(bisect.bisect_left(ids, bottom), bisect.bisect_left(ids, top)):
            yield ids[at], self.by_id[ids[at]]

    # --- pages --------------------------------------------------------------------------------------------------

    def newest(self, most: int) -> list[Post]:
        return [self.by_id[id_] for id_ in self._ids[-most:]]

    def check(self, read: Read, now_ms: int) -> None:
        """Judges a page at the moment it was answered, true time `now_ms`.  Raises Wrong."""
        self.pages += 1
        shown = read.page.tweet_ids
        self.shown += len(shown)
        check_form(read)
        judge = Judge(self, read.user, read.began, read.page.info.complete_through_ms, now_ms, read.named)
        if not read.page.info.stale:
            for id_ in shown:
                judge.may_show(id_, read.token_post)
                if read.only_known_replies:
                    judge.may_answer(self.by_id[id_])
        have, (bottom, top) = set(shown), read.stretch()
        missing = [
            post
            for id_, post in self.between(bottom, top)
            if id_ not in have and judge.must_show(post, read.token_post, read.only_known_replies)
        ]
        if missing:
            raise Wrong(f"user {read.user} lacks {name(missing)} on a page of {read.page.info}")

    def check_sum(self, judge: Judge, stretch: tuple[int, int], have: Collection[int], late_ms: float = inf) -> None:
        """Of several pages together, as `judge` saw the first of them.  `late_ms`: not of posts acked so long after
        their id: those are found by scrolling (build, B15)."""
        missing = [
            post
            for id_, post in self.between(*stretch)
            if id_ not in have and judge.must_show(post) and (post.acked_ms() or 0) - snowflake.time_ms(id_) < late_ms
        ]
        if missing:
            raise Wrong(f"user {judge.user} lacks {name(missing)} in the sum of pages: {judge}")


class Judge:
    """Whether one read may, and whether it must, show a post.  Everything is judged as of now: the read just ended."""

    def __init__(
        self, oracle: Oracle, user: int, began: float, claimed_ms: int, now_ms: int,
        named: Collection[Change[bool]] = (),
    ) -> None:  # fmt: skip
        self._oracle, self.user, self._began, self._claimed_ms = oracle, user, began, claimed_ms
        self._now_ms, self._named = now_ms, named
        self._posts_began, self._posts_claimed_ms = began, claimed_ms
        self._follows: dict[int, bool] = {}
        self._clear: dict[int, bool] = {}
        self._hidden: dict[int, str] = {}
        self._of_follows: dict[int, str] = {}

    def __repr__(self) -> str:
        return f"began {self._began}, claims {self._claimed_ms}, posts {self._posts_began}, {self._posts_claimed_ms}"

    def going_on(self, began: float, claimed_ms: int) -> Judge:
        """The same viewer's, for posts that were acked before a later read began, with that one's claim."""
        self._posts_began, self._posts_claimed_ms = began, claimed_ms
        for known in (self._follows, self._clear, self._hidden, self._of_follows):
            known.clear()
        return self

    # --- what it must show --------------------------------------------------------------------------------------

    def must_show(self, post: Post, token_post: Post | None = None, only_known_replies: bool = False) -> bool:
        if post is not token_post and not self._surely_follows(post.author):
            return False
        acked_ms = post.acked_ms()
        if acked_ms is None or post.acked_at() > self._posts_began or post.may_be_deleted():
            return False
        if only_known_replies and post.answered not in (0, self.user) and not self._surely_follows(post.answered):
            return False
        if not self._surely_follows(post.author) and not (post is token_post and self._did_follow(post.author)):
            return False
        if acked_ms > self._posts_claimed_ms and post is not token_post:
            return False
        # One's own are shown whoever they speak of, but for what hides everywhere.
        clear = self.surely_open if post.author == self.user else self._surely_clear
        return all(clear(speaker) for speaker in post.speakers())

    def must_show_of(self, author: int, post: Post) -> bool:
        """On the author's own timeline: whatever was acked before, whoever follows whom; nothing is muted there."""
        if post.author != author or post.acked_at() > self._began or post.may_be_deleted():
            return False
        return all(self.surely_open(speaker) for speaker in post.speakers())

    def _did_follow(self, author: int) -> bool:
        """A token that names a tweet has the edge read anew, so the claim does not matter."""
        return any(one.ended <= self._began for one in self._oracle.follows[self.user, author].certain(True))

    def _surely_follows(self, author: int) -> bool:
        if author not in self._follows:
            self._follows[author] = author == self.user or any(
                self._counts(one) for one in self._oracle.follows[self.user, author].certain(True)
            )
        return self._follows[author]

    def _counts(self, change: Change[bool]) -> bool:
        return change.known_by(self._began, self._claimed_ms) or change in self._named

    def _surely_clear(self, speaker: int) -> bool:
        """Nothing hides `speaker` from the viewer, and the claim reaches as far."""
        if speaker == self.user:
            return True
        if speaker not in self._clear:
            self._clear[speaker] = self.surely_open(speaker) and self._surely_not_muted(speaker)
        return self._clear[speaker]

    def surely_open(self, speaker: int) -> bool:
        """Neither blocks nor the account's state hide `speaker` from the viewer."""
        oracle, user = self._oracle, self.user
        if speaker == user:
            return True
        blocks = (oracle.blocks.get((user, speaker)), oracle.blocks.get((speaker, user)))
        accounts = (oracle.suspended.get(speaker), oracle.deactivated.get(speaker))
        if not all(self._is_off(register) for register in blocks if register is not None):
            return False
        if not all(self._is_back(register) for register in accounts if register is not None):
            return False
        protected = oracle.protected.get(speaker)
        return protected is None or self._is_back(protected) or self._surely_follows(speaker)

    def _is_off(self, register: Register[bool]) -> bool:
        return any(one.known_by(self._began, self._claimed_ms) for one in register.certain(False))

    def _is_back(self, register: Register[bool]) -> bool:
        """Of accounts: at once where it was settled; otherwise when its event was applied and no server's own copy
        is from before."""
        return any(
            one.known_by(self._began if one.settled else self._began - UNSETTLED_S, self._claimed_ms)
            for one in register.certain(False)
        )

    def _surely_not_muted(self, speaker: int) -> bool:
        register = self._oracle.mutes.get((self.user, speaker))
        if register is None:
            return True
        known = [one for one in register.standing() if one.known_by(self._began, self._claimed_ms)]
        value = known[0].value if known else 0
        began_ms = START_MS + self._began * 1000
        return value == NOT_MUTED or (value is not None and 0 < value < began_ms - self._oracle.unsure_ms)

    # --- what it may show ---------------------------------------------------------------------------------------

    def may_show(self, id_: int, token_post: Post | None = None) -> None:
        """Raises Wrong.  What was removed and settled before the read began must not be shown."""
        post, user = self._oracle.by_id.get(id_), self.user
        if post is None:
            raise Wrong(f"{id_} was never posted")
        if not any(one.may_have_happened() for one in post.tries):
            raise Wrong(f"{post.text} failed, and is shown")
        self._may_show_any(post, token_post)
        if post.author != user and (reason := self._never_followed(post.author)):
            raise Wrong(f"user {user} is shown {post.text} by {post.author}: {reason}")
        for speaker in post.speakers():
            if post.author != user and self._is_muted(speaker):
                raise Wrong(f"user {user} is shown {post.text} of {speaker}, muted and settled before")

    def _never_followed(self, author: int) -> str:
        """Why the viewer certainly does not follow; empty = nothing certain and settled is against it."""
        if author not in self._of_follows:
            follows = self._oracle.follows[self.user, author]
            unfollowed = "unfollowed and settled before" if self._strict(follows.certain(False)) else ""
            self._of_follows[author] = unfollowed if follows.ever(True) else "never followed"
        return self._of_follows[author]

    def may_answer(self, post: Post) -> None:
        """Where replies to strangers are left out.  Raises Wrong."""
        if post.author == self.user or post.answered in (0, self.user):
            return
        if self._strict(self._oracle.follows[self.user, post.answered].certain(False)):
            raise Wrong(f"user {self.user} is shown {post.text}, which answers {post.answered}, a stranger")

    def may_show_of(self, author: int | None, id_: int) -> None:
        """On the author's own timeline, or by its id.  Raises Wrong."""
        post = self._oracle.by_id[id_]
        if author not in (None, post.author):
            raise Wrong(f"{post.text} in the timeline of {author}")
        self._may_show_any(post, None)

    def _may_show_any(self, post: Post, token_post: Post | None) -> None:
        for one in post.deletes:
            named = post is token_post and one is post.deletes[-1]
            if one.outcome == "ok" and one.ended <= self._began and (one.settled or named):
                raise Wrong(f"user {self.user} is shown {post.text}, deleted and settled before")
        for speaker in post.speakers():
            if reason := self.hides(speaker):
                raise Wrong(f"user {self.user} is shown {post.text} of {speaker}: {reason}, settled before")

    def hides(self, speaker: int) -> str:
        """Why nothing of `speaker` may be shown; empty = nothing certain and settled is against it."""
        if speaker not in self._hidden:
            self._hidden[speaker] = "" if speaker == self.user else self._hides(speaker)
        return self._hidden[speaker]

    def _hides(self, speaker: int) -> str:
        oracle, user = self._oracle, self.user
        registers: Iterable[tuple[Register[bool] | None, str]] = (
            (oracle.blocks.get((user, speaker)), "blocked"),
            (oracle.blocks.get((speaker, user)), "blocks the viewer"),
            (oracle.suspended.get(speaker), "suspended"),
            (oracle.deactivated.get(speaker), "deactivated"),
        )
        for register, reason in registers:
            if register is not None and self._strict(register.certain(True)):
                return reason
        protected = oracle.protected.get(speaker)
        if protected is not None and self._strict(protected.certain(True)):
            follows = oracle.follows[user, speaker]
            if not follows.ever(True) or self._strict(follows.certain(False)):
                return "protected"
        return ""

    def _strict(self, changes: Iterable[Change[bool]]) -> bool:
        return any(one.strict_for(self._began) or (one in self._named and one.ended <= self._began) for one in changes)

    def _is_muted(self, speaker: int) -> bool:
        register = self._oracle.mutes.get((self.user, speaker))
        if register is None:
            return False
        return any(
            one.strict_for(self._began) and (one.value == 0 or (one.value or 0) > self._now_ms + self._oracle.unsure_ms)
            for one in register.standing()
            if one.value != NOT_MUTED
        )


def check_form(read: Read) -> None:
    """What is true of every page, whoever follows whom."""
    shown = read.page.tweet_ids
    if list(shown) != sorted(set(shown), reverse=True):
        raise Wrong(f"not strictly descending: {shown}")
    bottom, top = read.stretch()
    if any(not bottom <= id_ < top for id_ in shown):
        raise Wrong(f"outside its stretch [{bottom}, {top}): {shown}")
    if read.page.info.end_of_history and read.page.next_cursor is not None:
        raise Wrong("the end of history, and a cursor")


def name(posts: Iterable[Post]) -> list[str]:
    return [f"{post.text} (acked {post.acked_ms()})" for post in posts]
