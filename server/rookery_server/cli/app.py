"""The `rookery` command: every sub-command in one place."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from rookery_server.cli import admin, follows, load, processes, timelines, tweets, up, users
from rookery_server.cli.session import Session
from rookery_server.dev.commands import dev_app

app = typer.Typer(
    name="rookery",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,  # locals may hold tokens
    help="Rookery: the data plane of a microblog.  `make up` starts everything; `rookery timeline home` shows a page.",
    epilog="Exit codes: 0 done, 1 refused, 2 usage, 3 unavailable or outcome unknown, 4 not found, 5 denied.",
)


@app.callback()
def root(
    context: typer.Context,
    target: Annotated[str, typer.Option(help="Server to call, host:port.", envvar="ROOKERY_TARGET")] = "127.0.0.1:7070",
    acting: Annotated[str | None, typer.Option("--as", help="Acting user, id or @name.", envvar="ROOKERY_AS")] = None,
    token: Annotated[str | None, typer.Option(help="Bearer token.", envvar="ROOKERY_TOKEN")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document instead of text.")] = False,
) -> None:
    context.obj = Session(target, token, acting, as_json, Console(), Console(stderr=True))


for _name, _sub in (
    ("user", users.app),
    ("tweet", tweets.app),
    ("follow", follows.app),
    ("timeline", timelines.app),
    ("load", load.app),
    ("admin", admin.app),
    ("dev", dev_app),
):
    app.add_typer(_sub, name=_name)

for _process in (up.up, processes.serve, processes.work, processes.migrate):
    app.command()(_process)
