"""`rookery user …`"""

from __future__ import annotations

from typing import Annotated

import typer

from rookery import Client
from rookery.v1 import users_pb2
from rookery_server.cli import render
from rookery_server.cli.session import session, user_id

app = typer.Typer(no_args_is_help=True, help="Accounts: create, show, edit.")

Text = Annotated[str | None, typer.Option()]


@app.command()
def create(
    context: typer.Context,
    username: str,
    display_name: str = "",
    bio: str = "",
    location: str = "",
    url: str = "",
) -> None:
    """Make an account.  The name is taken for ever."""
    on = session(context)
    reply = on.run(
        lambda client: client.create_user(
            username.removeprefix("@"), display_name=display_name, bio=bio, location=location, url=url
        )
    )
    on.show(reply, lambda: render.user(on.out, reply.user))


@app.command()
def show(context: typer.Context, user: str) -> None:
    """One account, by id or name."""
    on = session(context)
    found = on.run(lambda client: client.get_user(int(user) if user.isdigit() else user))
    on.show(found, lambda: render.user(on.out, found))


@app.command()
def edit(
    context: typer.Context,
    display_name: Text = None,
    bio: Text = None,
    location: Text = None,
    url: Text = None,
    etag: Annotated[str | None, typer.Option(help="Of the account as you read it; default: as it is now.")] = None,
) -> None:
    """Change the acting user's profile."""
    on = session(context)
    if on.acting is None:
        raise typer.BadParameter("say who acts: rookery --as NAME user edit …")
    acting = on.acting

    async def work(client: Client) -> users_pb2.UpdateProfileResponse:
        current = etag or (await client.get_user(await user_id(client, acting))).etag
        return await client.update_profile(current, display_name=display_name, bio=bio, location=location, url=url)

    reply = on.run(work)
    on.show(reply, lambda: render.user(on.out, reply.user))
