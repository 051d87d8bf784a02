"""`rookery up`: everything at once, to look at: engines, schema, a server, a worker, a sample network."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from rookery import Client
from rookery_server.cli import render, sources
from rookery_server.cli.journal import Journal
from rookery_server.cli.loading import load_network, load_posts
from rookery_server.dev import places, state
from rookery_server.dev.errors import LocalClusterError
from rookery_server.dev.installation import Installation
from rookery_server.dev.narration import OnConsole
from rookery_server.dev.stack import Stack
from rookery_server.dev.state import StackSpec

PORTS = (7070, 7071, 7072), (7073, 7074)
ACCOUNTS, FOLLOWS, POSTS, SEED = 120, 15, 400, 1
CONCURRENCY = 24


def up(
    name: Annotated[str, typer.Option("--name", "-n", help="Which stack; several can run side by side.")] = "default",
    nodes: Annotated[int | None, typer.Option(help="Cassandra nodes, 1 or 3 [default: as before, or 1].")] = None,
    replicas: Annotated[bool, typer.Option("--replicas", help="Three Valkey replicas besides the primaries.")] = False,
    sample: Annotated[bool, typer.Option(help="Load a made-up network the first time.")] = True,
    once: Annotated[bool, typer.Option("--once", help="Stop when everything has been shown.")] = False,
) -> None:
    """Start everything on this machine and serve until Ctrl-C.  What is posted is there again next time."""
    out = Console()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # shells start background jobs deaf to Ctrl-C
        signal.signal(number, _interrupt)
    try:
        folder = places.stack_folder(name)
        before = state.load(folder)
        spec = StackSpec(name=name, nodes=nodes or (before.nodes if before else 1), replicas=replicas, durable=True)
        stack = Stack(spec, narrator=OnConsole(out))
        try:
            target = _start(out, stack)
            if sample:
                asyncio.run(_show_sample(out, stack, target))
            if not once:
                out.print("\nCtrl-C stops it; what was posted stays.", highlight=False)
                _watch(out, stack)
        finally:
            stack.down()
    except LocalClusterError as error:
        Console(stderr=True).print(str(error), style="red", highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        out.print("Stopped.", highlight=False)


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _start(out: Console, stack: Stack) -> str:
    began = time.monotonic()
    stack.up()
    installation = Installation(stack)
    installation.migrate()
    server, worker = installation.start_server(wanted=PORTS[0]), installation.start_worker(wanted=PORTS[1])
    out.print(f"[bold green]ready[/] after {time.monotonic() - began:.1f} s", highlight=False)
    for what, where in (
        ("gRPC", server.target),
        ("metrics", f"{server.metrics_url} (server), {worker.metrics_url} (worker)"),
        ("logs", f"rookery dev logs --name {stack.spec.name}"),
    ):
        out.print(f"  {what:8} {where}", highlight=False, soft_wrap=True)
    return server.target


async def _show_sample(out: Console, stack: Stack, target: str) -> None:
    """Loads the made-up network unless it is there, then prints a home page and what to try."""
    source = sources.made_up(ACCOUNTS, FOLLOWS, SEED)
    journal = Journal(stack.folder / "sample.jsonl")  # it goes with the data it speaks of
    fresh = journal.edges_done < len(source.edges)
    try:
        async with Client(target, connections=2) as client:
            if fresh:
                out.print(f"Loading {ACCOUNTS} accounts, {len(source.edges)} follows, {POSTS} posts …", highlight=False)
                await load_network(client, source, journal, CONCURRENCY, lambda: None)
                await load_posts(
                    client, source, journal, count=POSTS, seed=SEED, exponent=0.8, concurrency=CONCURRENCY,
                    tick=lambda: None,
                )  # fmt: skip
            who = source.accounts[source.edges[0][0]]
            page = await client.acting_as(journal.users[who.key]).home_page(page_size=5, include_users=True)
    finally:
        journal.close()
    out.print(f"\nThe home page of [bold]@{who.username}[/]:\n", highlight=False)
    render.tweets(out, page.tweets, render.names_of(page.users))
    render.page_info(out, page.info)
    _suggest(out, who.username, target, stack.spec.name)


def _suggest(out: Console, who: str, target: str, stack: str) -> None:
    named = "" if stack == "default" else f" --name {stack}"
    at = "" if target.endswith(f":{PORTS[0][0]}") else f" --target {target}"
    rookery = f".venv/bin/rookery{at}"
    out.print("\nTry, in another terminal:", highlight=False)
    for command in (
        f'{rookery} --as @{who} tweet post "Hello, rookery"',
        f"{rookery} --as @{who} timeline home",
        f"{rookery} --as @{who} timeline stream",
        f"{rookery} follow following {who}",
        f"{rookery} admin watermarks",
        f"{rookery} admin timeline verify {who}",
        f"{rookery} admin drill{named}",
        f"{rookery} --help",
    ):
        out.print(f"  {command}", highlight=False, markup=False, soft_wrap=True)


def _watch(out: Console, stack: Stack) -> None:
    """Until Ctrl-C; tells of each process that ends by itself."""
    running = {*stack.cassandra, *stack.valkey, *stack.beside}
    while running:
        time.sleep(0.5)  # how late an end is told
        for node in [node for node in running if not node.is_running]:
            running.remove(node)
            out.print(f"{node.name} has ended; see `rookery dev logs {node.name}`", style="red", highlight=False)
