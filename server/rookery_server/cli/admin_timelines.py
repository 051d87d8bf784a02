"""`rookery admin timeline …`: is a home right, why is a tweet in it or not, build it anew."""

from __future__ import annotations

import typer
from rich.console import Console

from rookery import Client
from rookery.v1 import admin_pb2
from rookery_server.cli import render
from rookery_server.cli.session import EXIT_REFUSED, session

app = typer.Typer(no_args_is_help=True, help="Homes: verify, explain, rebuild.")

VERDICTS = {
    admin_pb2.HOME_VERDICT_LISTED: "in: the cached list holds it",
    admin_pb2.HOME_VERDICT_MERGED: "in: readers merge its author",
    admin_pb2.HOME_VERDICT_BELOW_FLOOR: "in: below the cached list, from the authors' rows",
    admin_pb2.HOME_VERDICT_BUILT_ON_READ: "in: no list is cached, the next read builds one with it",
    admin_pb2.HOME_VERDICT_NO_SUCH_TWEET: "not in: there is no such tweet",
    admin_pb2.HOME_VERDICT_NOT_FOLLOWED: "not in: its author is not followed",
    admin_pb2.HOME_VERDICT_HIDDEN: "not in: a rule leaves it out",
    admin_pb2.HOME_VERDICT_ON_ITS_WAY: "not in yet: newer than what the home claims",
    admin_pb2.HOME_VERDICT_LOST: "NOT IN, though the home claims to be complete beyond it: a bug",
}


@app.command()
def verify(context: typer.Context, user: str) -> None:
    """Compare a cached home with the truth.  Exit code 1 when it said something false."""
    on = session(context)
    found = on.about(user, Client.verify_home)
    on.show(found, lambda: _verified(on.out, found))
    if any(difference.claimed for difference in found.differences):
        raise typer.Exit(EXIT_REFUSED)


def _verified(out: Console, found: admin_pb2.VerifyHomeTimelineResponse) -> None:
    if not found.cached:
        out.print("no list is cached: the next read builds one", highlight=False)
        return
    claimed = sum(difference.claimed for difference in found.differences)
    floor = render.moment(found.floor) if found.HasField("floor") else "the end of history"
    out.print(
        f"{found.compared} tweets compared down to {floor}, "
        f"claimed through {render.age(found.complete_through)}: "
        f"{claimed} wrong, {len(found.differences) - claimed} on their way{' and more' * found.more_differences}",
        highlight=False,
    )
    if found.differences:
        rows = [
            (
                one.tweet_id,
                one.author_id or "–",
                name_of(admin_pb2.DifferenceKind.Name(one.kind)),
                name_of(admin_pb2.HidingRule.Name(one.rule)),
                "WRONG" if one.claimed else "on its way",
            )
            for one in found.differences
        ]
        render.table(out, "differences", ("tweet", "author", "kind", "rule", ""), rows)


@app.command()
def explain(context: typer.Context, user: str, tweet_id: int) -> None:
    """Why a tweet is, or is not, in a home."""
    on = session(context)
    found = on.about(user, lambda client, of: client.explain_home(of, tweet_id))

    def human() -> None:
        on.out.print(f"[bold]{VERDICTS.get(found.verdict, name_of(str(found.verdict)))}[/]", highlight=False)
        for name, value in _facts(found):
            on.out.print(f"  {name:18} {value}", highlight=False, markup=False)

    on.show(found, human)


def _facts(found: admin_pb2.ExplainHomeTimelineResponse) -> list[tuple[str, str]]:
    tier = name_of(admin_pb2.DeliveryTier.Name(found.tier.tier))
    return [
        ("rule", name_of(admin_pb2.HidingRule.Name(found.rule))),
        ("author", str(found.author_id or "–")),
        ("posted", render.moment(found.create_time)),
        ("followed", f"{_yes(found.following)}, since {render.moment(found.edge_time)}"),
        ("author's tier", tier),
        ("list cached", f"{_yes(found.cached)}, built {render.moment(found.build_time)}"),
        ("list's floor", render.moment(found.floor)),
        ("in the list", _yes(found.listed)),
        ("in author's list", _yes(found.in_author_list)),
        ("home complete", render.age(found.complete_through)),
        ("shard delivered", render.age(found.watermark)),
    ]


@app.command()
def rebuild(context: typer.Context, user: str) -> None:
    """Throw a home's cached copies away and build them anew."""
    on = session(context)
    found = on.about(user, Client.rebuild_home)
    stored = "stored" if found.stored else "not stored: the next read builds"
    said = f"{found.size} tweets, {stored}; complete through {render.age(found.complete_through)}"
    on.show(found, lambda: on.out.print(said, highlight=False))


def name_of(enum: str) -> str:
    """The last word or words of an enum value's name, as people read it."""
    for prefix in ("DIFFERENCE_KIND_", "HIDING_RULE_", "DELIVERY_TIER_"):
        enum = enum.removeprefix(prefix)
    return "–" if enum == "UNSPECIFIED" else enum.lower().replace("_", " ")


def _yes(fact: bool) -> str:
    return "yes" if fact else "no"
