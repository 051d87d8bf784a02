"""`rookery admin …`: how the log of consequences is doing, and what operators do about accounts and homes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from rookery import Client
from rookery.v1 import admin_pb2
from rookery_server.cli import admin_timelines, render
from rookery_server.cli.drill import drill
from rookery_server.cli.session import session, user_id

app = typer.Typer(no_args_is_help=True, help="For operators: outbox, leases, watermarks, homes, tiers, accounts.")
app.add_typer(admin_timelines.app, name="timeline")
app.command()(drill)


@app.command()
def outbox(context: typer.Context) -> None:
    """How far each shard of the outbox is applied, and what could not be decoded."""
    on = session(context)
    status = on.run(lambda client: client.outbox_status())
    shards = on.run(lambda client: client.list_shards()) if not on.as_json else None

    def human() -> None:
        if shards is not None:
            rows = [
                (s.shard, s.lease.owner or "nobody", render.age(s.checkpoint), render.age(s.watermark))
                for s in shards.shards
            ]
            render.table(
                on.out,
                f"{status.held} of {status.shards} shards held, all applied through {render.age(status.checkpoint)}",
                ("shard", "worker", "checkpoint", "watermark"),
                rows,
            )
        if status.dead_letters:
            dead = [(d.shard, d.event_id, d.error, "released" if d.released else "waits") for d in status.dead_letters]
            render.table(on.out, "could not be decoded", ("shard", "event", "error", "claims"), dead)

    on.show(status, human)


@app.command()
def release(context: typer.Context, events: list[int]) -> None:
    """Let claims pass events that could not be decoded.  Mend what they concern first (docs/runbooks)."""
    on = session(context)

    reply = on.run(lambda client: client.release_dead_letters(events))
    said = f"released {len(events)}; claims move within some seconds"
    on.show(reply, lambda: on.out.print(said, highlight=False))


@app.command()
def leases(context: typer.Context) -> None:
    """Who holds which worker id and shard."""
    on = session(context)
    found = on.run(lambda client: client.list_leases())
    rows = [(x.name, x.owner or "free", x.fence, x.renewals, render.moment(x.ceiling)) for x in found.leases]
    columns = ("lease", "owner", "fence", "renewals", "ceiling")
    on.show(found, lambda: render.table(on.out, f"{len(rows)} leases", columns, rows))


@app.command()
def watermarks(context: typer.Context) -> None:
    """Up to when each cache primary is complete; a page claims the minimum."""
    on = session(context)
    found = on.run(lambda client: client.list_watermarks())

    def human() -> None:
        rows = []
        for node in found.nodes:
            state = "out of reach" if not node.reachable else "complete" if node.known else "empty or new"
            seconds = [mark.watermark.seconds for mark in node.watermarks]
            lag = f"{datetime.now(UTC).timestamp() - min(seconds):.0f} s" if seconds else "–"
            rows.append((node.node, state, len(seconds), lag, render.moment(node.flush_time)))
        render.table(
            on.out,
            f"pages are complete through {render.age(found.claim)}",
            ("primary", "state", "shards", "furthest behind", "last emptied"),
            rows,
        )

    on.show(found, human)


@app.command()
def tiers(
    context: typer.Context,
    users: Annotated[list[str] | None, typer.Argument(help="Whose; default: whoever is merged by readers.")] = None,
) -> None:
    """How authors' tweets reach their followers."""
    on = session(context)

    async def work(client: Client) -> tuple[admin_pb2.ListAuthorTiersResponse, dict[int, str]]:
        found = await client.list_author_tiers([await user_id(client, user) for user in users or ()])
        ids = [tier.author_id for tier in found.tiers]
        names: dict[int, str] = {}
        for start in range(0, len(ids), 100):
            accounts = (await client.batch_get_users(ids[start : start + 100])).values()
            names |= render.names_of(account for account in accounts if account is not None)
        return found, names

    found, names = on.run(work)
    rows = [
        (
            tier.author_id,
            f"@{names[tier.author_id]}" if tier.author_id in names else "–",
            admin_timelines.name_of(admin_pb2.DeliveryTier.Name(tier.tier)),
            tier.followers if tier.HasField("followers") else "–",
            " and ".join(word for word in ("delivered", "merged") if getattr(tier, word)),
            render.moment(tier.switch_time),
        )
        for tier in found.tiers
    ]
    columns = ("id", "name", "tier", "followers", "now", "switch")
    on.show(found, lambda: render.table(on.out, f"{len(rows)} authors", columns, rows))


@app.command()
def suspend(context: typer.Context, user: str) -> None:
    """Hide an account and its tweets from everybody, and stop it from writing."""
    on = session(context)
    reply = on.about(user, Client.suspend_user)
    said = f"suspended {user} ({render.settled(reply)})"
    on.show(reply, lambda: on.out.print(said, highlight=False, markup=False))


@app.command()
def unsuspend(context: typer.Context, user: str) -> None:
    """Lift a suspension: the account is what its owner left it."""
    on = session(context)
    reply = on.about(user, Client.unsuspend_user)

    def human() -> None:
        render.user(on.out, reply.user)
        on.out.print(f"  [dim]{render.settled(reply)}[/]", highlight=False)

    on.show(reply, human)


@app.command()
def recount(context: typer.Context, user: str) -> None:
    """Count an account's followers, following and tweets from its rows, now."""
    on = session(context)
    of = on.about(user, Client.recount_user)
    said = f"{of.followers} followers, following {of.following}, {of.tweets} tweets"
    on.show(of, lambda: on.out.print(said, highlight=False))
