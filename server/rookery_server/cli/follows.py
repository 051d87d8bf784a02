"""`rookery follow …`"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, MutableSequence, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Protocol, TypeAlias, TypeVar

import typer
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from rookery import Client
from rookery.v1 import graph_pb2, users_pb2
from rookery_server.cli import render
from rookery_server.cli.session import Session, session, user_id

app = typer.Typer(no_args_is_help=True, help="Who follows, blocks and mutes whom; requests to follow.")


class _OfSomebody(Protocol):
    """A row about an account."""

    @property
    def user_id(self) -> int: ...


Item = TypeVar("Item")
Row = TypeVar("Row", bound=_OfSomebody)
Times: TypeAlias = Mapping[str, Callable[[Row], Timestamp]]
"""Column → the time that stands in it."""
Walk = Callable[[Client, int], AsyncIterator[int]]
Listing: TypeAlias = graph_pb2.ListBlocksResponse | graph_pb2.ListMutesResponse | graph_pb2.ListFollowRequestsResponse
RELATIONS = ("following", "followed_by", "blocking", "blocked_by", "muting", "requested", "requested_by")
Most = Annotated[int, typer.Option("--most", help="How many to list.")]


@app.command()
def add(context: typer.Context, user: str) -> None:
    """Follow somebody."""
    on = session(context)
    reply = on.about(user, Client.follow)
    what = f"asked to follow {user}" if reply.requested else f"following {user}"
    on.show(reply, lambda: on.out.print(what, highlight=False, markup=False))


@app.command()
def remove(context: typer.Context, user: str) -> None:
    """Unfollow somebody, or take the request back."""
    on = session(context)
    reply = on.about(user, Client.unfollow)
    _tell(on, f"unfollowed {user}", reply)


@app.command()
def between(context: typer.Context, user: str) -> None:
    """What the acting user and another are to each other."""
    on = session(context)
    found = on.about(user, Client.get_relationship)
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
    _tell(on, f"blocked {user}", on.about(user, Client.block))


@app.command()
def unblock(context: typer.Context, user: str) -> None:
    """Block somebody no longer.  The edges do not come back."""
    on = session(context)
    _tell(on, f"unblocked {user}", on.about(user, Client.unblock))


@app.command()
def mute(
    context: typer.Context,
    user: str,
    hours: Annotated[float | None, typer.Option(min=0.001, help="It ends by itself then; default: never.")] = None,
) -> None:
    """Leave somebody out of the acting user's home."""
    on = session(context)
    until = None if hours is None else datetime.now(UTC) + timedelta(hours=hours)

    reply = on.about(user, lambda client, of: client.mute(of, until=until))
    _tell(on, f"muted {user}", reply)


@app.command()
def unmute(context: typer.Context, user: str) -> None:
    """Mute somebody no longer.  The history comes back as well."""
    on = session(context)
    _tell(on, f"unmuted {user}", on.about(user, Client.unmute))


@app.command()
def approve(context: typer.Context, user: str) -> None:
    """Make somebody who asked a follower of the acting user."""
    on = session(context)
    reply = on.about(user, Client.approve_follow)
    on.show(reply, lambda: on.out.print(f"{user} follows", highlight=False, markup=False))


@app.command()
def deny(context: typer.Context, user: str) -> None:
    """End somebody's request.  Nobody is told."""
    on = session(context)
    reply = on.about(user, Client.deny_follow)
    on.show(reply, lambda: on.out.print(f"{user} does not follow", highlight=False, markup=False))


@app.command()
def requests(context: typer.Context, most: Most = 50) -> None:
    """Who asks to follow the acting user, by account age."""
    reply = graph_pb2.ListFollowRequestsResponse()
    times: Times[graph_pb2.FollowRequester] = {"asked": lambda one: one.request_time}
    _people(session(context), most, reply, reply.requests, Client.follow_requests, times)


@app.command()
def blocks(context: typer.Context, most: Most = 50) -> None:
    """Whom the acting user blocks, the newest first."""
    reply = graph_pb2.ListBlocksResponse()
    times: Times[graph_pb2.BlockedAccount] = {"since": lambda one: one.block_time}
    _people(session(context), most, reply, reply.blocks, Client.blocks, times)


@app.command()
def mutes(context: typer.Context, most: Most = 50) -> None:
    """Whom the acting user mutes now, the newest first."""
    reply = graph_pb2.ListMutesResponse()
    times: Times[graph_pb2.MutedAccount] = {"since": lambda one: one.mute_time, "until": lambda one: one.expire_time}
    _people(session(context), most, reply, reply.mutes, Client.mutes, times)


class _Settled(render.Settled, Protocol):
    """A message that says whether it settled."""

    @property
    def consistency_token(self) -> str: ...


def _tell(on: Session, what: str, reply: _Settled) -> None:
    assert isinstance(reply, Message), "answers are messages"  # noqa: S101  (a bug here, not an input)
    on.show(reply, lambda: on.out.print(f"{what} ({render.settled(reply)})", highlight=False, markup=False))


def _people(
    on: Session,
    most: int,
    reply: Listing,
    rows: MutableSequence[Row],
    walk: Callable[[Client], AsyncIterator[Row]],
    times: Times[Row],
) -> None:
    """Fills `reply`, of which `rows` are a part, and shows it."""

    async def work(client: Client) -> None:
        async for one in _first(walk(client), most):
            rows.append(one)
        found = await _accounts(client, [one.user_id for one in rows])
        reply.users.extend(account for account in found.values() if account is not None)

    on.run(work)
    names = render.names_of(reply.users)
    shown = [(one.user_id, _at(names, one.user_id), *(render.moment(of(one)) for of in times.values())) for one in rows]
    on.show(reply, lambda: render.table(on.out, f"{len(shown)} shown", ("id", "name", *times), shown))


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


async def _accounts(client: Client, ids: Sequence[int]) -> dict[int, users_pb2.User | None]:
    found: dict[int, users_pb2.User | None] = {}
    for start in range(0, len(ids), 100):
        found |= await client.batch_get_users(ids[start : start + 100])
    return found


async def _followees(client: Client, of: int) -> AsyncIterator[int]:
    async for edge in client.following(of):
        yield edge.user_id


def _list(on: Session, user: str, most: int, walk: Walk) -> None:
    async def work(client: Client) -> users_pb2.BatchGetUsersResponse:
        ids = [found async for found in _first(walk(client, await user_id(client, user)), most)]
        shown = users_pb2.BatchGetUsersResponse()
        for id_, account in (await _accounts(client, ids)).items():
            shown.results.add(id=id_, user=account)
        return shown

    reply = on.run(work)
    rows = [(r.user.id or r.id, f"@{r.user.username}", r.user.profile.display_name) for r in reply.results]
    on.show(reply, lambda: render.table(on.out, f"{len(rows)} shown", ("id", "name", ""), rows))
