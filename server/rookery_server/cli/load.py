"""`rookery load …`"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from rookery import Client
from rookery.channel import CALLS_PER_CONNECTION
from rookery_server.cli import sources
from rookery_server.cli.journal import Journal
from rookery_server.cli.loading import Posted, load_network, load_posts
from rookery_server.cli.session import Session, session
from rookery_server.dev.places import cache_folder

app = typer.Typer(no_args_is_help=True, help="Fill an installation: a graph from a file, posts, a made-up network.")

Concurrency = Annotated[int, typer.Option(min=1, max=512, help="Calls under way at once.")]
File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True)]
Seed = Annotated[int, typer.Option(help="The same seed does the same.")]
Result = TypeVar("Result")
PLAIN_EVERY_S = 5.0
"""Off a terminal: one line so often."""


@app.command()
def graph(context: typer.Context, file: File, concurrency: Concurrency = 48) -> None:
    """Load FILE: two columns, follower and followee, tab between them.  Run it again to go on where it stopped."""
    on = session(context)
    source = sources.from_file(file)
    seconds = _network(on, source, concurrency)
    _report(on, {"accounts": len(source.accounts), "follows": len(source.edges), "seconds": round(seconds, 1)})


@app.command()
def posts(
    context: typer.Context,
    file: File,
    count: Annotated[int, typer.Option(min=1)] = 2000,
    seed: Seed = 1,
    exponent: Annotated[float, typer.Option(help="Of the Zipf law over followers.")] = 1.0,
    concurrency: Concurrency = 16,
) -> None:
    """Post as the accounts of FILE (loaded before by `load graph`), the most followed most often."""
    on = session(context)
    source = sources.from_file(file)
    posted, seconds = _posts(on, source, count, seed, exponent, concurrency)
    rate = len(posted.ids) / seconds
    _report(on, {"posts": len(posted.ids), "seconds": round(seconds, 1), "per_second": round(rate, 1)})


@app.command()
def sample(
    context: typer.Context,
    accounts: Annotated[int, typer.Option(min=2)] = 120,
    follows: Annotated[int, typer.Option(min=1, help="How many each follows, about.")] = 15,
    count: Annotated[int, typer.Option("--posts", min=1)] = 400,
    seed: Seed = 1,
    concurrency: Concurrency = 24,
) -> None:
    """Load a made-up network with posts: something to look at."""
    on = session(context)
    source = sources.made_up(accounts, follows, seed)
    seconds = _network(on, source, concurrency)
    posted, more = _posts(on, source, count, seed, 0.8, concurrency)
    _report(
        on,
        {
            "accounts": len(source.accounts),
            "follows": len(source.edges),
            "posts": len(posted.ids),
            "seconds": round(seconds + more, 1),
            "look_at": source.accounts[source.edges[0][0]].username,
        },
    )


def journal_for(target: str, source: sources.Source) -> Path:
    where = hashlib.sha256(target.encode()).hexdigest()[:8]
    return cache_folder() / "load" / f"{source.digest}-{where}.jsonl"


def _network(on: Session, source: sources.Source, concurrency: int) -> float:
    journal = Journal(journal_for(on.target, source))
    total = len(source.accounts) + len(source.edges)
    started = time.monotonic()
    try:
        with _progress(on, "accounts and follows", total) as tick:
            _run(on, concurrency, lambda client: load_network(client, source, journal, concurrency, tick))
    finally:
        journal.close()
    return time.monotonic() - started


def _posts(
    on: Session, source: sources.Source, count: int, seed: int, exponent: float, concurrency: int
) -> tuple[Posted, float]:
    journal = Journal(journal_for(on.target, source))
    try:
        if len(journal.users) < len(source.accounts):
            raise typer.BadParameter("these accounts are not loaded here yet: run `rookery load graph` first")
        started = time.monotonic()
        with _progress(on, "posts", count) as tick:

            async def work(client: Client) -> Posted:
                return await load_posts(
                    client,
                    source,
                    journal,
                    count=count,
                    seed=seed,
                    exponent=exponent,
                    concurrency=concurrency,
                    tick=tick,
                )

            return _run(on, concurrency, work), time.monotonic() - started
    finally:
        journal.close()


def _run(on: Session, concurrency: int, work: Callable[[Client], Awaitable[Result]]) -> Result:
    return on.run(work, connections=-(-concurrency // CALLS_PER_CONNECTION))


@contextmanager
def _progress(on: Session, title: str, total: int) -> Iterator[Callable[[], None]]:
    """A bar on a terminal, a line every few seconds elsewhere; always on standard error."""
    if on.err.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=on.err) as bar:
            task = bar.add_task(title, total=total)
            yield lambda: bar.advance(task)
        return
    done, said = 0, time.monotonic()

    def tick() -> None:
        nonlocal done, said
        done += 1
        if time.monotonic() - said > PLAIN_EVERY_S:
            said = time.monotonic()
            on.err.print(f"{title}: {done} of {total}", highlight=False)

    yield tick


def _report(on: Session, figures: dict[str, object]) -> None:
    if on.as_json:
        print(json.dumps(figures))
    else:
        on.out.print(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in figures.items()), highlight=False)
