"""`rookery admin …`: how the log of consequences is doing."""

from __future__ import annotations

from datetime import UTC, datetime

import typer

from rookery_server.cli import render
from rookery_server.cli.session import session

app = typer.Typer(no_args_is_help=True, help="For operators: outbox, leases, watermarks.")


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
            dead = [(d.shard, d.event_id, d.error) for d in status.dead_letters]
            render.table(on.out, "could not be decoded", ("shard", "event", "error"), dead)

    on.show(status, human)


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
