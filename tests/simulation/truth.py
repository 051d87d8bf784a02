"""What a home timeline must be once everything is quiet: recomputed from the stored rows, by the letter of the rules.

Shares nothing with the product but its rows; and the rows themselves are held against what people were told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rookery_server.domain.models import User, UserState
from rookery_server.services.user_counts import Counts, shown_counts
from rookery_server.store.memory import MemoryStore
from tests.simulation.processes import parsed
from tests.support.oracle import NOT_MUTED, Oracle, Post, Wrong, name
from tests.support.registers import Register

ALL = 10_000


class Truth:
    def __init__(self, store: MemoryStore, oracle: Oracle, people: list[int], now_ms: int) -> None:
        self._now_ms = now_ms
        self._store, self._oracle, self._people = store, oracle, people
        self._following: dict[int, set[int]] = {}
        self._posts: dict[int, list[Post]] = {}
        self._blocked: set[tuple[int, int]] = set()
        self._muted: dict[tuple[int, int], int] = {}
        self._asked: set[tuple[int, int]] = set()
        self._users: dict[int, User] = {}

    async def learn(self) -> None:
        """Reads it all, also posts whose outcome nobody heard.  Raises Wrong where rows and acks disagree."""
        for one in self._people:
            self._following[one] = {edge.followee_id for edge in await self._store.following(one) if edge.on}
            self._posts[one] = await self._posts_of(one)
        for one in self._people:
            self._blocked |= {(one, row.blocked_id) for row in await self._store.blocks(one) if row.on}
            self._muted |= {(one, row.muted_id): row.until_ms for row in await self._store.mutes(one) if row.on}
            requests = (await self._store.follow_requests(one, None, ALL)).requests
            self._asked |= {(row.requester_id, one) for row in requests if row.on}
        self._users = await self._store.get_users(self._people)
        await self._check_mirrors()
        self._check_registers()
        self._check_posts()

    async def _posts_of(self, author: int) -> list[Post]:
        rows = [row for row in (await self._store.user_tweets(author, None, ALL)).rows if row.body]
        for row in rows:
            self._oracle.learn(self._oracle.texts[parsed(row.body).text], row.tweet_id)
        return [self._oracle.by_id[row.tweet_id] for row in rows]

    async def _check_mirrors(self) -> None:
        for one in self._people:
            mirrored = set((await self._store.followers(one, None, ALL)).follower_ids)
            followed_by = {who for who in self._people if one in self._following[who]}
            if followed_by != mirrored:
                raise Wrong(f"{one} is followed by {followed_by} in one table, by {mirrored} in the other")

        for one, other in self._blocked:
            if other in self._following[one] or one in self._following[other]:
                raise Wrong(f"{one} blocks {other}, and an edge stands between them")
        blocks = {
            (row.blocker_id, one) for one in self._people for row in await self._store.blocked_by(one, ALL) if row.on
        }
        if blocks != self._blocked:
            raise Wrong(f"blocks in one table: {self._blocked}, in the other: {blocks}")

    def _check_registers(self) -> None:
        oracle = self._oracle
        followed = {(one, other) for one, others in self._following.items() for other in others}
        for registers, rows, what in (
            (oracle.follows, followed, "follows"), (oracle.blocks, self._blocked, "blocks"),
            (oracle.requests, self._asked, "asks"),
        ):  # fmt: skip
            for pair, register in registers.items():
                _agree(register, pair in rows, what, pair)
        for pair, muted in oracle.mutes.items():
            _agree(muted, self._muted.get(pair, NOT_MUTED), "mutes", pair)
        for id_, user in self._users.items():
            suspended = user.state in (UserState.SUSPENDED, UserState.DEACTIVATED_AND_SUSPENDED)
            deactivated = user.state in (UserState.DEACTIVATED, UserState.DEACTIVATED_AND_SUSPENDED)
            for states, value, what in (
                (oracle.suspended, suspended, "is suspended"), (oracle.deactivated, deactivated, "is deactivated"),
                (oracle.protected, user.protected, "is protected"),
            ):  # fmt: skip
                if id_ in states:
                    _agree(states[id_], value, what, id_)

    def _check_posts(self) -> None:
        stored = {id(post) for posts in self._posts.values() for post in posts}
        for post in self._oracle.by_id.values():
            if post.acked_ms() is not None and not post.may_be_deleted() and id(post) not in stored:
                raise Wrong(f"{name([post])} was acked and is not stored")
            if any(one.outcome == "ok" for one in post.deletes) and id(post) in stored:
                raise Wrong(f"{name([post])} was deleted and is stored")

    def check(self, user: int, shown: list[int]) -> None:
        """`shown`: a whole scroll after quiet."""
        expected = sorted(
            (
                post.tweet_id or 0
                for author in self._following[user] | {user}
                for post in self._posts[author]
                if self._is_seen(user, post)
            ),
            reverse=True,
        )
        if shown == expected:
            return
        lost = [self._oracle.by_id[id_] for id_ in set(expected) - set(shown)]
        forbidden = [self._oracle.by_id[id_] for id_ in set(shown) - set(expected)]
        raise Wrong(f"after quiet user {user} lacks {name(lost)}, and is shown {name(forbidden)} against the rules")

    def _is_seen(self, user: int, post: Post) -> bool:
        speakers = [speaker for speaker in post.speakers() if speaker != user]
        # One's own are shown whoever they speak of, but for what hides everywhere.
        muted = post.author != user and any(self._is_muted(user, speaker) for speaker in speakers)
        return not muted and all(self._is_open(user, speaker) for speaker in speakers)

    def _is_open(self, user: int, speaker: int) -> bool:
        of = self._users[speaker]
        if of.state is not UserState.ACTIVE or (user, speaker) in self._blocked or (speaker, user) in self._blocked:
            return False
        return not of.protected or speaker in self._following[user]

    def _is_muted(self, user: int, speaker: int) -> bool:
        until = self._muted.get((user, speaker))
        return until is not None and (until == 0 or until > self._now_ms)

    # --- counts -------------------------------------------------------------------------------------------------

    async def check_counts(self) -> None:
        """Exact, all of them: everything was counted before the history began."""
        stored = await shown_counts(self._store, self._people)
        for one in self._people:
            followers = sum(one in others for others in self._following.values())
            expected = Counts(followers, len(self._following[one]), len(self._posts[one]))
            found = stored.get(one, Counts())
            if replace(found, tweets=found.tweets or 0) != expected:
                raise Wrong(f"counts of {one} are {found}, and ought to be {expected}")


def _agree(register: Register[Any], row: object, what: str, of: object) -> None:
    standing = register.standing()
    if standing and standing[0].value != row:
        raise Wrong(f"{of} {what}: {standing[0].value} was acked, and the row says {row}")
