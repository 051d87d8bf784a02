"""`rookery follow …`"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Annotated

import typer

from rookery import Client
from rookery.v1 import graph_pb2, users_pb2
from rookery_server.cli import render
from rookery_server.cli.session import Session, session, user_id

app = typer.Typer(no_args_is_help=True, help="Who follows whom.")

Walk = Callable[[Client, int], AsyncIterator[int]]
Most = Annotated[int, typer.Option("--most", help="How many to list.")]


@app.command()
def add(context: typer.Context, user: str) -> None:
    """Follow somebody."""
    on = session(context)

    async def work(client: Client) -> graph_pb2.FollowResponse:
        return await client.follow(await user_id(client, user))

    reply = on.run(work)
    on.show(reply, lambda: on.out.print(f"following {user}", highlight=False, markup=False))


@app.command()
def remove(context: typer.Context, user: str) -> None:
    """Unfollow somebody."""
    on = session(context)

    async def work(client: Client) -> graph_pb2.UnfollowResponse:
        return await client.unfollow(await user_id(client, user))

    reply = on.run(work)
    how = "gone from every page" if reply.settled else "durable; cached pages follow"
    on.show(reply, lambda: on.out.print(f"unfollowed {user} ({how})", highlight=False, markup=False))


@app.command()
def between(context: typer.Context, user: str) -> None:
    """What the acting user and another are to each other."""
    on = session(context)

    async def work(client: Client) -> graph_pb2.Relationship:
        return await client.get_relationship(await user_id(client, user))

    found = on.run(work)
    true = [name for name in ("following", "followed_by", "blocking", "blocked_by", "muting") if getattr(found, name)]
    on.show(found, lambda: on.out.print(", ".join(true) or "nothing", highlight=False))


@app.command()
def following(context: typer.Context, user: str, most: Most = 50) -> None:
    """Whom somebody follows, the newest first."""
    _list(session(context), user, most, _followees)


@app.command()
def followers(context: typer.Context, user: str, most: Most = 50) -> None:
    """Who follows somebody, by account age."""
    _list(session(context), user, most, lambda client, of: client.followers(of))


async def _followees(client: Client, of: int) -> AsyncIterator[int]:
    async for edge in client.following(of):
        yield edge.user_id


def _list(on: Session, user: str, most: int, walk: Walk) -> None:
    async def work(client: Client) -> users_pb2.BatchGetUsersResponse:
        ids: list[int] = []
        async for found in walk(client, await user_id(client, user)):
            ids.append(found)
            if len(ids) >= most:
                break
        shown = users_pb2.BatchGetUsersResponse()
        for start in range(0, len(ids), 100):
            for id_, account in (await client.batch_get_users(ids[start : start + 100])).items():
                shown.results.add(id=id_, user=account)
        return shown

    reply = on.run(work)
    rows = [(r.user.id or r.id, f"@{r.user.username}", r.user.profile.display_name) for r in reply.results]
    on.show(reply, lambda: render.table(on.out, f"{len(rows)} shown", ("id", "name", ""), rows))
