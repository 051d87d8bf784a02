"""`rookery timeline …`"""

from __future__ import annotations

from contextlib import aclosing
from typing import Annotated

import typer

from rookery import Client
from rookery.v1 import timelines_pb2
from rookery_server.cli import render
from rookery_server.cli.session import Session, session, user_id

app = typer.Typer(no_args_is_help=True, help="Pages: somebody's own tweets, a home, a live home.")

Size = Annotated[int, typer.Option(help="Tweets a page; at most 100.")]
Token = Annotated[str, typer.Option(help="`next_page_token` of the page before.")]

Newer = Annotated[str, typer.Option(help="Of an earlier page: what arrived since.")]
Known = Annotated[bool, typer.Option("--only-known-replies", help="No replies to accounts that one does not follow.")]


@app.command()
def home(
    context: typer.Context,
    page_size: Size = 20,
    page_token: Token = "",
    newer_token: Newer = "",
    only_known_replies: Known = False,
) -> None:
    """The acting user's home page."""
    on = session(context)
    page = on.run(
        lambda client: client.home_page(
            page_size=page_size,
            page_token=page_token,
            newer_token=newer_token,
            include_users=True,
            only_known_replies=only_known_replies,
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
def stream(
    context: typer.Context,
    resume_token: Annotated[str, typer.Option(help="Of the last message dealt with.")] = "",
    newer_token: Newer = "",
    only_known_replies: Known = False,
    most: Annotated[int, typer.Option("--most", help="Messages to show, heartbeats included; 0 = without end.")] = 0,
) -> None:
    """The acting user's home as it arrives, until Ctrl-C; what breaks is resumed.  With --json one document a line."""
    on = session(context)

    async def work(client: Client) -> None:
        count = 0
        messages = client.stream_home(
            resume_token=resume_token,
            newer_token=newer_token,
            only_known_replies=only_known_replies,
            include_users=True,
        )
        async with aclosing(messages):
            async for message in messages:
                _show_live(on, message)
                count += 1
                if count == most:
                    return

    on.run(work)


def _show_live(on: Session, message: timelines_pb2.StreamHomeTimelineResponse) -> None:
    def human() -> None:
        render.tweets(on.out, message.tweets, render.names_of(message.users))
        if not message.tweets:
            on.out.print(f"[dim]… complete through {render.age(message.info.complete_through)}[/]", highlight=False)

    on.show(message, human)


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
