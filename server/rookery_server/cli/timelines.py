"""`rookery timeline …`"""

from __future__ import annotations

from typing import Annotated

import typer

from rookery import Client
from rookery.v1 import timelines_pb2
from rookery_server.cli import render
from rookery_server.cli.session import session, user_id

app = typer.Typer(no_args_is_help=True, help="Pages: somebody's own tweets, or a home.")

Size = Annotated[int, typer.Option(help="Tweets a page; at most 100.")]
Token = Annotated[str, typer.Option(help="`next_page_token` of the page before.")]


@app.command()
def home(
    context: typer.Context,
    page_size: Size = 20,
    page_token: Token = "",
    newer_token: Annotated[str, typer.Option(help="Of an earlier page: what arrived since.")] = "",
) -> None:
    """The acting user's home page."""
    on = session(context)
    page = on.run(
        lambda client: client.home_page(
            page_size=page_size, page_token=page_token, newer_token=newer_token, include_users=True
        )
    )

    def human() -> None:
        render.tweets(on.out, page.tweets, render.names_of(page.users))
        render.page_info(on.out, page.info)
        for name in ("next_page_token", "newer_token"):
            if getattr(page, name):
                on.out.print(
                    f"[dim]--{name.removeprefix('next_').replace('_', '-')} {getattr(page, name)}[/]", soft_wrap=True
                )

    on.show(page, human)


@app.command()
def user(
    context: typer.Context,
    user: str,
    page_size: Size = 20,
    page_token: Token = "",
    exclude_replies: bool = False,
) -> None:
    """Somebody's tweets, newest first."""
    on = session(context)

    async def work(client: Client) -> timelines_pb2.GetUserTimelineResponse:
        return await client.user_page(
            await user_id(client, user),
            page_size=page_size,
            page_token=page_token,
            exclude_replies=exclude_replies,
            include_users=True,
        )

    page = on.run(work)

    def human() -> None:
        render.tweets(on.out, page.tweets, render.names_of(page.users))
        render.page_info(on.out, page.info)
        if page.next_page_token:
            on.out.print(f"[dim]--page-token {page.next_page_token}[/]", soft_wrap=True)

    on.show(page, human)
