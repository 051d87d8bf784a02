"""`rookery admin drill`: breaks a local stack on purpose while people post and read, and tells how it fares."""

from __future__ import annotations

import asyncio
import json
import random
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated

import typer
from rich.console import Console

from rookery import Client, Credentials, errors
from rookery_server.cli.session import EXIT_REFUSED, EXIT_USAGE, session
from rookery_server.dev.attached import AttachedStack, attach
from rookery_server.dev.drills import READERS, READERS_MOST, Drill
from rookery_server.dev.errors import LocalClusterError
from rookery_server.dev.faults import AWAY_S, Faults
from rookery_server.dev.installation import Service
from rookery_server.dev.openings import HITS_WANTED, WINDOW_S
from rookery_server.dev.rounds import Round, spread

FAULTS = (
    "cassandra killed",
    "cassandra stopped",
    "primary killed",
    "primary stopped",
    "primary emptied",
    "worker killed",
)
DEFAULT_TARGET = "127.0.0.1:7070"


@dataclass(frozen=True, slots=True)
class _Wish:
    """What is asked for on the command line."""

    only: str
    rounds: int
    readers: int
    away_s: float
    seed: int


def drill(
    context: typer.Context,
    name: Annotated[str, typer.Option("--name", "-n", help="Which stack of this machine.")] = "default",
    only: Annotated[str, typer.Option(help=f"Faults with this in their name, of: {', '.join(FAULTS)}.")] = "",
    rounds: Annotated[int, typer.Option(min=1, help="How often each; then least, median and most are told.")] = 1,
    readers: Annotated[int, typer.Option(min=1, max=READERS_MOST, help="Whose homes are read.")] = READERS,
    away: Annotated[float, typer.Option(min=0, help="Seconds that what nobody takes the place of is away.")] = AWAY_S,
    seed: Annotated[int | None, typer.Option(help="The same seed breaks the same in the same order.")] = None,
) -> None:
    """Break a running local stack on purpose, one thing after another, and show how it recovers.

    Nothing but a stack that `rookery up` runs on this machine is ever touched.  Exit code 1 when a page was wrong, or
    the claims or the hit ratio did not come back."""
    on = session(context)
    try:
        stack = attach(name)
    except LocalClusterError as error:
        on.err.print(str(error), style="red", highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(EXIT_USAGE) from None
    ours = {server.target for server in stack.servers}
    if on.target not in (DEFAULT_TARGET, *ours):
        raise typer.BadParameter(f"drills break the local stack '{name}' ({', '.join(ours)}) and nothing else")
    wish = _Wish(only, rounds, readers, away, random.SystemRandom().randrange(10**6) if seed is None else seed)
    try:
        done = asyncio.run(_run(stack, on.token, wish, on.err if on.as_json else on.out))
    except LocalClusterError as error:
        on.err.print(str(error), style="red", highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(EXIT_REFUSED) from None
    except errors.RookeryError as error:
        on.fail(error)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    if on.as_json:
        print(json.dumps(document(name, wish.seed, readers, done)))
    if not all(one.passed for one in done):
        raise typer.Exit(EXIT_REFUSED)


async def _run(stack: AttachedStack, token: str | None, wish: _Wish, out: Console) -> list[Round]:
    target = "ipv4:" + ",".join(server.target for server in stack.servers)
    rng = random.Random(wish.seed)
    async with (
        Client(target, Credentials(token=token), connections=3) as client,
        Client(target, Credentials(token=token), connections=8) as opening,
    ):
        prefix = f"d{uuid.uuid4().hex[:8]}"
        town = Drill(client, opening, random.Random(f"traffic {wish.seed}"), prefix, readers=wish.readers)
        out.print(f"[bold]drill[/] on the stack {stack.name}, seed {wish.seed}: people sign up …", highlight=False)
        await town.settle()
        faults = Faults(stack, list(stack.workers), _restarted, rng, client, town.star, town.burst, wish.away_s)
        names = [kind for kind in faults.kinds if wish.only in kind]
        if not names:
            raise LocalClusterError(f"No fault of this stack has '{wish.only}' in its name: {', '.join(faults.kinds)}.")
        done: list[Round] = []
        async with town.moving():
            if not await town.calm():
                raise LocalClusterError("Claims and hits are not as they should be before anything was broken.")
            for kind in [kind for _ in range(wish.rounds) for kind in rng.sample(names, len(names))]:
                done.append(await _suffer(town, faults, kind, out))
        for line in _spreads(done) if wish.rounds > 1 else ():
            out.print(line, highlight=False, soft_wrap=True)
        return done


async def _suffer(town: Drill, faults: Faults, kind: str, out: Console) -> Round:
    out.print(f"\n[bold]{kind}[/]", highlight=False)
    telling = asyncio.create_task(_tell(town, out))
    try:
        one = await town.suffer(kind, faults.kinds[kind])
    finally:
        telling.cancel()
    out.print(f"  [bold]{summary(one)}[/]", highlight=False, soft_wrap=True)
    return one


def _restarted(killed: Service) -> Service:
    killed.node.start()
    killed.node.wait_ready(time.monotonic() + 60.0)
    return killed


async def _tell(town: Drill, out: Console) -> None:
    """One line a second: what its readers meet."""
    while True:
        await asyncio.sleep(1.0)
        now = town.now()
        claim = "no claim" if now.claim_age_s is None else f"claim {now.claim_age_s:4.1f} s old"
        hits = "few reads" if now.hit_ratio is None else f"hits {now.hit_ratio:4.0%}"
        out.print(
            f"  {now.since_s:5.1f} s   reads {now.read_share:6.1%} of {now.reads}   {claim}   {hits}   "
            f"wrong {now.wrong}",
            highlight=False,
        )


def summary(of: Round) -> str:
    """One fault in words."""
    back = f"claims within 10 s again after {of.back_s:.1f} s" if of.recovered else "the claims did NOT come back"
    least = "unknown for a moment" if of.hits_least is None else f"{of.hits_least:.0%} at least"
    hits = (
        f"hits {HITS_WANTED:.0%} again after {of.hits_back_s:.1f} s ({_share(of.hits_before)} before, {least})"
        if of.hits_recovered
        else f"the hit ratio did NOT come back to {HITS_WANTED:.0%} ({_share(of.hits_before)} before, {least})"
    )
    return (
        f"{of.detail}: put back after {of.healed_s:.1f} s, {back}, {hits}; {of.read_share:.2%} of {of.reads} reads "
        f"answered, {of.degraded} of them degraded; {of.pages} pages judged, {of.wrong} wrong"
    )


def _share(ratio: float | None) -> str:
    return "unknown" if ratio is None else f"{ratio:.0%}"


def _spreads(done: Sequence[Round]) -> list[str]:
    lines = ["\n[bold]least / median / most[/]"]
    for kind, figures in spread(done).items():
        told = (f"{what} {' / '.join(f'{value:g}' for value in three)}" for what, three in figures.items())
        lines.append(f"  {kind}: {', '.join(told)}")
    return lines


def document(stack: str, seed: int, readers: int, done: Sequence[Round]) -> dict[str, object]:
    """What `--json` prints."""
    return {
        "stack": stack,
        "seed": seed,
        "readers": readers,
        "hits_wanted": HITS_WANTED,
        "hits_window_s": WINDOW_S,
        "passed": all(one.passed for one in done),
        "faults": [asdict(one) | {"passed": one.passed} for one in done],
        "least_median_most": spread(done),
    }
