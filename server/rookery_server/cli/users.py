"""`rookery user …`"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

import typer

from rookery import Client
from rookery.v1 import users_pb2
from rookery_server.cli import render
from rookery_server.cli.session import Session, session, user_id

app = typer.Typer(no_args_is_help=True, help="Accounts: create, show, edit, protect, rename, leave and come back.")

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


@app.command()
def protect(context: typer.Context) -> None:
    """Only followers see what the acting user posts; whoever wants to follow asks first."""
    _change(session(context), lambda client: client.set_protected(True))


@app.command()
def unprotect(context: typer.Context) -> None:
    """Everybody sees what the acting user posts.  Open requests stay open."""
    _change(session(context), lambda client: client.set_protected(False))


@app.command()
def rename(context: typer.Context, username: str) -> None:
    """Another name for the acting user.  The old one stays reserved for it."""
    _change(session(context), lambda client: client.rename(username.removeprefix("@")))


@app.command()
def deactivate(context: typer.Context) -> None:
    """Hide the acting user's account and its tweets until it comes back.  Nothing is deleted."""
    _change(session(context), lambda client: client.deactivate())


@app.command()
def reactivate(context: typer.Context) -> None:
    """Bring the acting user's account back, as it was."""
    _change(session(context), lambda client: client.reactivate())


Changed = (
    users_pb2.SetProtectedResponse
    | users_pb2.RenameResponse
    | users_pb2.DeactivateResponse
    | users_pb2.ReactivateResponse
)


def _change(on: Session, change: Callable[[Client], Awaitable[Changed]]) -> None:
    reply = on.run(change)

    def human() -> None:
        render.user(on.out, reply.user)
        on.out.print(f"  [dim]{render.settled(reply)}[/]", highlight=False)

    on.show(reply, human)
