"""`rookery admin drill`: breaks a local stack on purpose while people post and read, and tells how it fares."""

from __future__ import annotations

import asyncio
import json
import random
import time
import uuid
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console

from rookery import Client, Credentials, errors
from rookery_server.cli.session import EXIT_REFUSED, EXIT_USAGE, session
from rookery_server.dev.attached import AttachedStack, attach
from rookery_server.dev.drills import Drill, Round
from rookery_server.dev.errors import LocalClusterError
from rookery_server.dev.faults import Faults
from rookery_server.dev.installation import Service

FAULTS = ("cassandra killed", "primary killed", "primary stopped", "primary emptied", "worker killed")
DEFAULT_TARGET = "127.0.0.1:7070"


def drill(
    context: typer.Context,
    name: Annotated[str, typer.Option("--name", "-n", help="Which stack of this machine.")] = "default",
    only: Annotated[str, typer.Option(help=f"Faults with this in their name, of: {', '.join(FAULTS)}.")] = "",
    seed: Annotated[int | None, typer.Option(help="The same seed breaks the same in the same order.")] = None,
) -> None:
    """Break a running local stack on purpose, one thing after another, and show how it recovers.

    Nothing but a stack that `rookery up` runs on this machine is ever touched.  Exit code 1 when a page was wrong or
    the claims did not come back."""
    on = session(context)
    try:
        stack = attach(name)
    except LocalClusterError as error:
        on.err.print(str(error), style="red", highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(EXIT_USAGE) from None
    ours = {server.target for server in stack.servers}
    if on.target not in (DEFAULT_TARGET, *ours):
        raise typer.BadParameter(f"drills break the local stack '{name}' ({', '.join(ours)}) and nothing else")
    chosen = seed if seed is not None else random.SystemRandom().randrange(10**6)
    try:
        rounds = asyncio.run(_run(stack, on.token, only, chosen, on.err if on.as_json else on.out))
    except LocalClusterError as error:
        on.err.print(str(error), style="red", highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(EXIT_REFUSED) from None
    except errors.RookeryError as error:
        on.fail(error)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    if on.as_json:
        print(json.dumps({"stack": name, "seed": chosen, "faults": [asdict(one) for one in rounds]}))
    if any(one.wrong or not one.recovered for one in rounds):
        raise typer.Exit(EXIT_REFUSED)


async def _run(stack: AttachedStack, token: str | None, only: str, seed: int, out: Console) -> list[Round]:
    target = "ipv4:" + ",".join(server.target for server in stack.servers)
    rng = random.Random(seed)
    async with (
        Client(target, Credentials(token=token), connections=3) as client,
        Client(target, Credentials(token=token)) as watching,
    ):
        town = Drill(client, watching, stack.servers, random.Random(f"traffic {seed}"), f"d{uuid.uuid4().hex[:8]}")
        out.print(f"[bold]drill[/] on the stack {stack.name}, seed {seed}: people sign up …", highlight=False)
        await town.settle()
        faults = Faults(stack, list(stack.workers), _restarted, rng, client, town.star, town.burst)
        names = [kind for kind in faults.kinds if only in kind]
        if not names:
            raise LocalClusterError(f"No fault of this stack has '{only}' in its name: {', '.join(faults.kinds)}.")
        rounds = []
        async with town.moving():
            await town.calm()
            for kind in rng.sample(names, len(names)):
                out.print(f"\n[bold]{kind}[/]", highlight=False)
                telling = asyncio.create_task(_tell(town, out))
                try:
                    rounds.append(await town.suffer(kind, faults.kinds[kind]))
                finally:
                    telling.cancel()
                out.print(f"  [bold]{_summary(rounds[-1])}[/]", highlight=False, soft_wrap=True)
        return rounds


def _restarted(killed: Service) -> Service:
    killed.node.start()
    killed.node.wait_ready(time.monotonic() + 60.0)
    return killed


async def _tell(town: Drill, out: Console) -> None:
    """One line a second: what its readers meet."""
    while True:
        await asyncio.sleep(1.0)
        now = await town.now()
        claim = "no claim" if now.claim_age_s is None else f"claim {now.claim_age_s:4.1f} s old"
        hits = "no reads" if now.hit_ratio is None else f"hits {now.hit_ratio:4.0%}"
        out.print(
            f"  {now.since_s:5.1f} s   reads {now.read_share:6.1%} of {now.reads}   {claim}   {hits}   "
            f"wrong {now.wrong}",
            highlight=False,
        )


def _summary(of: Round) -> str:
    back = f"claims within 10 s again after {of.back_s:.1f} s" if of.recovered else "the claims did NOT come back"
    return (
        f"{of.detail}: put back after {of.healed_s:.1f} s, {back}; {of.read_share:.2%} of {of.reads} reads answered, "
        f"{of.pages} pages judged, {of.wrong} wrong"
    )
