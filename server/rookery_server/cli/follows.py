"""`rookery follow …`"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Protocol, TypeVar

import typer
from google.protobuf.message import Message

from rookery import Client
from rookery.v1 import graph_pb2, users_pb2
from rookery_server.cli import render
from rookery_server.cli.session import Session, session, user_id

app = typer.Typer(no_args_is_help=True, help="Who follows, blocks and mutes whom; requests to follow.")

Item = TypeVar("Item")
Walk = Callable[[Client, int], AsyncIterator[int]]
RELATIONS = ("following", "followed_by", "blocking", "blocked_by", "muting", "requested", "requested_by")
Most = Annotated[int, typer.Option("--most", help="How many to list.")]


@app.command()
def add(context: typer.Context, user: str) -> None:
    """Follow somebody."""
    on = session(context)

    async def work(client: Client) -> graph_pb2.FollowResponse:
        return await client.follow(await user_id(client, user))

    reply = on.run(work)
    what = f"asked to follow {user}" if reply.requested else f"following {user}"
    on.show(reply, lambda: on.out.print(what, highlight=False, markup=False))


@app.command()
def remove(context: typer.Context, user: str) -> None:
    """Unfollow somebody, or take the request back."""
    on = session(context)

    async def work(client: Client) -> graph_pb2.UnfollowResponse:
        return await client.unfollow(await user_id(client, user))

    reply = on.run(work)
    _tell(on, f"unfollowed {user}", reply)


@app.command()
def between(context: typer.Context, user: str) -> None:
    """What the acting user and another are to each other."""
    on = session(context)

    async def work(client: Client) -> graph_pb2.Relationship:
        return await client.get_relationship(await user_id(client, user))

    found = on.run(work)
    true = [name for name in RELATIONS if getattr(found, name)]
    on.show(found, lambda: on.out.print(", ".join(true) or "nothing", highlight=False))


@app.command()
def following(context: typer.Context, user: str, most: Most = 50) -> None:
    """Whom somebody follows, the newest first."""
    _list(session(context), user, most, _followees)


@app.command()
def followers(context: typer.Context, user: str, most: Most = 50) -> None:
    """Who follows somebody, by account age."""
    _list(session(context), user, most, lambda client, of: client.followers(of))


@app.command()
def block(context: typer.Context, user: str) -> None:
    """Block somebody: edges of both directions end, and each is hidden from the other."""
    on = session(context)

    async def work(client: Client) -> graph_pb2.BlockResponse:
        return await client.block(await user_id(client, user))

    _tell(on, f"blocked {user}", on.run(work))


@app.command()
def unblock(context: typer.Context, user: str) -> None:
    """Block somebody no longer.  The edges do not come back."""
    on = session(context)

    async def work(client: Client) -> graph_pb2.UnblockResponse:
        return await client.unblock(await user_id(client, user))

    _tell(on, f"unblocked {user}", on.run(work))


@app.command()
def mute(
    context: typer.Context,
    user: str,
    hours: Annotated[float | None, typer.Option(min=0.001, help="It ends by itself then; default: never.")] = None,
) -> None:
    """Leave somebody out of the acting user's home."""
    on = session(context)
    until = None if hours is None else datetime.now(UTC) + timedelta(hours=hours)

    async def work(client: Client) -> graph_pb2.MuteResponse:
        return await client.mute(await user_id(client, user), until=until)

    _tell(on, f"muted {user}", on.run(work))


@app.command()
def unmute(context: typer.Context, user: str) -> None:
    """Mute somebody no longer.  The history comes back as well."""
    on = session(context)

    async def work(client: Client) -> graph_pb2.UnmuteResponse:
        return await client.unmute(await user_id(client, user))

    _tell(on, f"unmuted {user}", on.run(work))


@app.command()
def approve(context: typer.Context, user: str) -> None:
    """Make somebody who asked a follower of the acting user."""
    on = session(context)

    async def work(client: Client) -> graph_pb2.ApproveFollowResponse:
        return await client.approve_follow(await user_id(client, user))

    reply = on.run(work)
    on.show(reply, lambda: on.out.print(f"{user} follows", highlight=False, markup=False))


@app.command()
def deny(context: typer.Context, user: str) -> None:
    """End somebody's request.  Nobody is told."""
    on = session(context)

    async def work(client: Client) -> graph_pb2.DenyFollowResponse:
        return await client.deny_follow(await user_id(client, user))

    reply = on.run(work)
    on.show(reply, lambda: on.out.print(f"{user} does not follow", highlight=False, markup=False))


@app.command()
def requests(context: typer.Context, most: Most = 50) -> None:
    """Who asks to follow the acting user, by account age."""
    on = session(context)

    async def work(client: Client) -> graph_pb2.ListFollowRequestsResponse:
        found = graph_pb2.ListFollowRequestsResponse()
        async for one in _first(client.follow_requests(), most):
            found.requests.append(one)
        found.users.extend(await _accounts(client, [one.user_id for one in found.requests]))
        return found

    reply = on.run(work)
    names = render.names_of(reply.users)
    rows = [(r.user_id, _at(names, r.user_id), render.moment(r.request_time)) for r in reply.requests]
    on.show(reply, lambda: render.table(on.out, f"{len(rows)} shown", ("id", "name", "asked"), rows))


@app.command()
def blocks(context: typer.Context, most: Most = 50) -> None:
    """Whom the acting user blocks, the newest first."""
    on = session(context)

    async def work(client: Client) -> graph_pb2.ListBlocksResponse:
        found = graph_pb2.ListBlocksResponse()
        async for one in _first(client.blocks(), most):
            found.blocks.append(one)
        found.users.extend(await _accounts(client, [one.user_id for one in found.blocks]))
        return found

    reply = on.run(work)
    names = render.names_of(reply.users)
    rows = [(b.user_id, _at(names, b.user_id), render.moment(b.block_time)) for b in reply.blocks]
    on.show(reply, lambda: render.table(on.out, f"{len(rows)} shown", ("id", "name", "since"), rows))


@app.command()
def mutes(context: typer.Context, most: Most = 50) -> None:
    """Whom the acting user mutes now, the newest first."""
    on = session(context)

    async def work(client: Client) -> graph_pb2.ListMutesResponse:
        found = graph_pb2.ListMutesResponse()
        async for one in _first(client.mutes(), most):
            found.mutes.append(one)
        found.users.extend(await _accounts(client, [one.user_id for one in found.mutes]))
        return found

    reply = on.run(work)
    names = render.names_of(reply.users)
    rows = [
        (m.user_id, _at(names, m.user_id), render.moment(m.mute_time), render.moment(m.expire_time))
        for m in reply.mutes
    ]
    on.show(reply, lambda: render.table(on.out, f"{len(rows)} shown", ("id", "name", "since", "until"), rows))


class _Settled(render.Settled, Protocol):
    """A message that says whether it settled."""

    @property
    def consistency_token(self) -> str: ...


def _tell(on: Session, what: str, reply: _Settled) -> None:
    assert isinstance(reply, Message), "answers are messages"  # noqa: S101  (a bug here, not an input)
    on.show(reply, lambda: on.out.print(f"{what} ({render.settled(reply)})", highlight=False, markup=False))


def _at(names: Mapping[int, str], user_id: int) -> str:
    """A dash for one that cannot be shown."""
    return f"@{names[user_id]}" if user_id in names else "–"


async def _first(items: AsyncIterator[Item], most: int) -> AsyncIterator[Item]:
    count = 0
    async for item in items:
        yield item
        count += 1
        if count >= most:
            return


async def _accounts(client: Client, ids: Sequence[int]) -> list[users_pb2.User]:
    found: list[users_pb2.User] = []
    for start in range(0, len(ids), 100):
        accounts = (await client.batch_get_users(ids[start : start + 100])).values()
        found += [account for account in accounts if account is not None]
    return found


async def _followees(client: Client, of: int) -> AsyncIterator[int]:
    async for edge in client.following(of):
        yield edge.user_id


def _list(on: Session, user: str, most: int, walk: Walk) -> None:
    async def work(client: Client) -> users_pb2.BatchGetUsersResponse:
        ids = [found async for found in _first(walk(client, await user_id(client, user)), most)]
        shown = users_pb2.BatchGetUsersResponse()
        for start in range(0, len(ids), 100):
            for id_, account in (await client.batch_get_users(ids[start : start + 100])).items():
                shown.results.add(id=id_, user=account)
        return shown

    reply = on.run(work)
    rows = [(r.user.id or r.id, f"@{r.user.username}", r.user.profile.display_name) for r in reply.results]
    on.show(reply, lambda: render.table(on.out, f"{len(rows)} shown", ("id", "name", ""), rows))
