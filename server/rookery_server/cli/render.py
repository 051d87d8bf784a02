"""How things look on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Protocol

from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rookery.v1 import timelines_pb2, tweets_pb2, users_pb2


class Settled(Protocol):
    """An answer that says whether everybody goes by the change already."""

    @property
    def settled(self) -> bool: ...


def moment(stamp: Timestamp) -> str:
    """Local date and time; a dash for a time that is not known."""
    if not stamp.seconds:
        return "–"
    return stamp.ToDatetime(tzinfo=UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def age(stamp: Timestamp) -> str:
    if not stamp.seconds:
        return "no claim"
    seconds = (datetime.now(UTC) - stamp.ToDatetime(tzinfo=UTC)).total_seconds()
    return f"{seconds:.0f} s ago" if seconds < 120 else f"{seconds / 60:.0f} min ago"


def user(out: Console, found: users_pb2.User) -> None:
    out.print(f"[bold]{escape(found.profile.display_name or found.username)}[/] @{found.username}  [dim]{found.id}[/]")
    for line in (found.profile.bio, found.profile.location, found.profile.url):
        if line:
            out.print(f"  {escape(line)}", highlight=False)
    if found.HasField("counts"):
        of = found.counts
        out.print(f"  {of.followers} followers, following {of.following}, {of.tweets} tweets", highlight=False)
    state = users_pb2.UserState.Name(found.state).removeprefix("USER_STATE_").lower()
    marks = [*(["protected"] if found.protected else []), *([state] if state not in ("unspecified", "active") else [])]
    if marks:
        out.print(f"  [bold yellow]{', '.join(marks)}[/]", highlight=False)
    out.print(f"  [dim]since {moment(found.create_time)}, etag {escape(found.etag)}[/]", highlight=False)


def settled(reply: Settled) -> str:
    """What a removal or change answered, in words."""
    return "everywhere from now on" if reply.settled else "durable; cached copies follow"


def tweets(out: Console, shown: Iterable[tweets_pb2.Tweet], names: Mapping[int, str]) -> None:
    for tweet in shown:
        name = names.get(tweet.author_id)
        who = "@" + escape(name) if name else str(tweet.author_id)
        out.print(f"[bold]{who}[/]  [dim]{moment(tweet.create_time)}  {tweet.id}[/]", highlight=False)
        if tweet.HasField("reply"):
            out.print(f"  [dim]in reply to {tweet.reply.to_id}[/]", highlight=False)
        out.print(f"  {escape(tweet.text)}", highlight=False)


def names_of(users: Iterable[users_pb2.User]) -> dict[int, str]:
    return {found.id: found.username for found in users}


def page_info(out: Console, info: timelines_pb2.PageInfo) -> None:
    """One line: what the page claims, and what it admits."""
    source = timelines_pb2.PageSource.Name(info.source).removeprefix("PAGE_SOURCE_").lower()
    flags = [name for name in ("degraded", "stale") if getattr(info, name)]
    end = ", end of history" if info.end_of_history else ""
    loud = f"  [bold yellow]{' '.join(flags)}[/]" if flags else ""
    out.print(f"[dim]from {source}, complete through {age(info.complete_through)}{end}[/]{loud}", highlight=False)


def table(out: Console, title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    drawn = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        drawn.add_column(column)
    for row in rows:
        drawn.add_row(*(escape(str(cell)) for cell in row))
    out.print(drawn)
