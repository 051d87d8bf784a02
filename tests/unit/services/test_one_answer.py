"""R18 of docs/protocols/removal.md: whatever was done, every path judges as the pure rules do, on the memory adapters
with a worker."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from rookery_server.domain.errors import NotFound
from rookery_server.domain.frames import unframe
from rookery_server.domain.models import Relations, Tweet, UserState
from rookery_server.domain.rules import Facts, Viewer, hidden_account, hidden_anywhere, hidden_from_home
from rookery_server.services.pages import PageSource, TimelinePage
from rookery_server.services.tweets import Draft
from tests.unit.services.test_on_memory import Server, Stage
from tests.unit.services.world import TextCodec

PEOPLE = 4
MUTED_S = 30


@dataclass(frozen=True)
class Deed:
    """`what` is done by one to the other; of a post `other` is whom it answers (`how` 1), quotes (2) or nobody (0)."""

    what: str
    one: int
    other: int
    how: int


DEEDS = st.builds(
    Deed,
    st.sampled_from(
        ["post"] * 5
        + ["follow"] * 3
        + ["unfollow", "block", "block", "unblock", "mute", "mute awhile", "unmute", "approve", "look"]
        + ["protect", "open", "suspend", "leave", "return", "wait"]
    ),
    st.integers(0, PEOPLE - 1),
    st.integers(0, PEOPLE - 2),
    st.integers(0, 2),
)


@dataclass
class Town:
    stage: Stage = field(default_factory=Stage)
    people: list[int] = field(default_factory=list)
    tweets: dict[int, Tweet] = field(default_factory=dict)
    deeds: int = 0

    async def found(self) -> None:
        await self.stage.start()
        for at in range(PEOPLE):
            self.people.append(await self.stage.user(f"u{at}"))
        for one in self.people:
            for other in self.people:
                if one != other:
                    await self.stage.follow(one, other)

    async def do(self, deed: Deed) -> None:
        one = self.people[deed.one]
        other = [person for person in self.people if person != one][deed.other]
        self.deeds += 1
        server = self.stage.one if self.deeds % 2 else self.stage.two
        states = {"suspend": UserState.SUSPENDED, "leave": UserState.DEACTIVATED, "return": UserState.ACTIVE}
        if deed.what == "post":
            await self.post(server, one, other, deed.how)
        elif deed.what == "look":
            await server.page(one)
        elif deed.what == "wait":
            await self.stage.pass_time(MUTED_S)
        elif deed.what in states:
            await self.become(one, state=states[deed.what])
        elif deed.what in ("protect", "open"):
            await self.become(one, protected=deed.what == "protect")
        else:
            await self.relate(server, deed.what, one, other)

    async def relate(self, server: Server, what: str, one: int, other: int) -> None:
        """Whoever is not active, or asks for what is refused, changes nothing."""
        if self.stage.stores.users[one].state is not UserState.ACTIVE:
            return
        call, graph = server.call(one), server.graph
        try:
            if what == "mute awhile":
                await graph.mute(call, other, self.stage.time.now_ms() + MUTED_S * 1000)
            else:
                changed = await getattr(graph, what)(call, other)
                assert changed.settled
        except NotFound:
            assert what in ("follow", "approve")

    async def post(self, server: Server, author: int, other: int, how: int) -> None:
        last = max((id_ for id_, tweet in self.tweets.items() if tweet.author_id == other), default=0)
        if self.stage.stores.users[author].state is not UserState.ACTIVE:
            return
        draft = Draft("x", in_reply_to_id=last if how == 1 else 0, quoted_id=last if how == 2 else 0)
        try:
            posted = await server.tweets.create(server.call(author), draft)
        except NotFound:
            assert how
            assert hidden_anywhere(await self.viewer(author), self.tweets[last], await self.facts(author)) is not None
            return
        self.tweets[posted.tweet_id] = TextCodec().decode(posted.body)

    async def become(self, user: int, **changes: object) -> None:
        """As settled as a change of an account can be."""
        self.stage.stores.users[user] = replace(self.stage.stores.users[user], **changes)  # type: ignore[arg-type]
        await self.stage.caches.client().stub_profile(user, self.stage.one.mint())
        await self.stage.pass_time(1.1)

    # --- the rules over the rows, looked up by nobody's leave -----------------------------------------------------

    async def viewer(self, user: int) -> Viewer:
        store, now_ms = self.stage.stores.client(), self.stage.time.now_ms()
        following = frozenset(edge.followee_id for edge in await store.following(user) if edge.on)
        blocked = frozenset(block.blocked_id for block in await store.blocks(user) if block.on)
        mutes = [mute for mute in await store.mutes(user) if mute.on]
        standing = {mute.muted_id: mute.until_ms for mute in mutes if not mute.until_ms or now_ms < mute.until_ms}
        return Viewer(user, Relations(0, blocked=blocked, muted=standing), following)

    async def facts(self, user: int) -> Facts:
        users = self.stage.stores.users
        return Facts(
            inactive=frozenset(id_ for id_ in self.people if users[id_].state is not UserState.ACTIVE),
            protected=frozenset(id_ for id_ in self.people if users[id_].protected),
            blocking=await self.stage.stores.client().blockers_among(user, self.people),
        )

    # --- the paths ------------------------------------------------------------------------------------------------

    async def check_at_once(self, user: int) -> None:
        """Before any event is applied: not everything need be delivered yet, but nothing hidden may show."""
        viewer, facts, now_ms = await self.viewer(user), await self.facts(user), self.stage.time.now_ms()
        for server in (self.stage.one, self.stage.two):
            for id_ in (await server.page(user, 100)).tweet_ids:
                assert hidden_from_home(viewer, self.tweets[id_], facts, now_ms) is None

    async def check(self, user: int) -> None:
        viewer, facts = await self.viewer(user), await self.facts(user)
        now_ms = self.stage.time.now_ms()
        by_newest = [self.tweets[id_] for id_ in sorted(self.tweets, reverse=True)]
        home = [tweet.id for tweet in by_newest if hidden_from_home(viewer, tweet, facts, now_ms) is None]
        shown = [tweet for tweet in by_newest if hidden_anywhere(viewer, tweet, facts) is None]
        for server in (self.stage.one, self.stage.two):
            assert await server.scroll(user, 3) == home
            if self.tweets:
                found = await server.tweets.batch_get(server.call(user), list(self.tweets))
                assert {id_ for id_, body in found.items() if body} == {tweet.id for tweet in shown}
            for author in self.people:
                said = [tweet.id for tweet in shown if tweet.author_id == author]
                hidden = hidden_account(viewer, author, facts) is not None
                assert await profile(server, user, author) == (None if hidden else said)


async def profile(server: Server, user: int, author: int) -> list[int] | None:
    try:
        page: TimelinePage = await server.profiles.page(server.call(user), author, 100)
    except NotFound:
        return None
    decoded = [TextCodec().decode(unframe(body)).id for body in page.bodies]
    assert tuple(decoded) == page.tweet_ids
    return decoded


async def _live(deeds: list[Deed]) -> None:
    town = Town()
    try:
        await town.found()
        for deed in deeds:
            await town.do(deed)
        for user in town.people:
            await town.check_at_once(user)
        await town.stage.pass_time(8)
        for user in town.people:
            await town.check(user)
            assert (await town.stage.two.page(user)).info.source is PageSource.LIST
            await town.check(user)
        for node in town.stage.caches.nodes.values():
            node.kill()
        await town.stage.pass_time(1)
        for user in town.people:
            assert (await town.stage.two.page(user)).info.source is PageSource.MERGE
            await town.check(user)
    finally:
        await town.stage.close()


# Not shrunk: a town takes half a second, and its deeds are few enough to be read.
@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@example([Deed("post", 1, 0, 0), Deed("mute awhile", 0, 0, 0), Deed("look", 0, 0, 0), Deed("wait", 0, 0, 0)])
@example([Deed("post", 1, 0, 0), Deed("post", 2, 1, 2), Deed("look", 0, 0, 0), Deed("block", 1, 0, 0)])
@example([Deed("post", 1, 0, 0), Deed("protect", 1, 0, 0), Deed("look", 0, 0, 0), Deed("unfollow", 0, 0, 0)])
@given(st.lists(DEEDS, min_size=5, max_size=40))
def test_removal_R18_every_path_gives_the_answer_of_the_rules(deeds: list[Deed]) -> None:
    asyncio.run(_live(deeds))
