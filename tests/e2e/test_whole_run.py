"""A network is loaded, posts flow, readers scroll all the while: every page is what it claims to be."""

from __future__ import annotations

from pathlib import Path

from rookery import Client
from rookery_server.cli.sources import Source, made_up
from rookery_server.dev.sample import Account
from tests.support.readers import Oracle
from tests.support.real_run import LANES, load, post_and_read


def renamed(source: Source, prefix: str) -> Source:
    accounts = tuple(Account(a.key, f"{prefix}_{a.key}", a.display_name) for a in source.accounts)
    return Source(source.digest + prefix, accounts, source.edges)


async def test_every_page_is_what_it_claims_while_posts_flow(client: Client, tmp_path: Path, unique: str) -> None:
    source = renamed(made_up(60, 10, 5), unique)
    ids, _ = await load(client, source, tmp_path / "journal.jsonl", 24)
    run, whom = await post_and_read(client, client, source, ids, count=1200, readers=20, page_size=50)
    verdict = Oracle(whom, run.posts, {}).judge(run.scrolls)
    assert verdict.wrong == []
    assert len(run.posts) == 1200
    assert run.refused <= LANES, "a machine that stands still ends what is under way once"
    # The last scrolls alone had to show every post to each of its twenty readers' pages.
    assert verdict.required >= sum(post.author in whom[done.reader] for done in run.scrolls[-20:] for post in run.posts)
    assert any(len(done.pages) > 2 for done in run.scrolls)
