"""A made-up network to try things on: who exists, who follows whom, who says what.  Pure and seeded.

Follows grow by preferential attachment, so a few accounts end up with most of the followers and most have a handful, as
in real networks; posts are drawn by a Zipf law over the accounts ordered by followers.
"""

from __future__ import annotations

import bisect
import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_FIRST = (
    "ada",
    "bo",
    "cleo",
    "dara",
    "edda",
    "finn",
    "gus",
    "hana",
    "ivo",
    "june",
    "kai",
    "lena",
    "milo",
    "nora",
    "otis",
)
_LAST = ("finch", "heron", "jay", "kite", "lark", "martin", "owl", "plover", "rook", "swift", "tern", "wren")
_OPENERS = (
    "Good morning from the north shore",
    "Today's count at the reserve",
    "Nobody told me about this",
    "Reading again about migration",
    "A small thing that made my day",
    "Field notes",
    "Unpopular opinion",
    "Question for the crowd",
)
_MIDDLES = (
    "the fog lifted at six and the whole flock rose",
    "forty pairs, two more than last year",
    "the old tower is noisy with young ones",
    "rain until noon, then clear to the islands",
    "they remember faces for years",
    "the ferry was late and worth the wait",
    "no sleep, no regrets, good coffee",
    "maps are arguments, not pictures",
)
_TAGS = ("#birding", "#rookery", "#fieldnotes", "#coast", "#slowweb", "")


@dataclass(frozen=True, slots=True)
class Account:
    key: str
    username: str
    display_name: str


@dataclass(frozen=True, slots=True)
class Network:
    """`follows` holds index pairs (follower, followee) into `accounts`, each once, nobody with themselves."""

    accounts: tuple[Account, ...]
    follows: tuple[tuple[int, int], ...]


def make_network(accounts: int, follows_each: int, seed: int) -> Network:
    """`accounts` ≥ 2 people who follow about `follows_each` others each."""
    rng = random.Random(seed)
    names = [f"{first}_{last}" for first in _FIRST for last in _LAST if len(first) + len(last) < 12]
    rng.shuffle(names)
    people = []
    for index in range(accounts):
        name = names[index] if index < len(names) else f"{names[index % len(names)][:8]}_{index}"
        people.append(Account(str(index), name, name.replace("_", " ").title()))
    edges: list[tuple[int, int]] = []
    urn = list(range(min(accounts, follows_each + 1)))  # followee once for being there, once more for each follower
    for follower in range(accounts):
        chosen: set[int] = set()
        wanted = min(accounts - 1, max(1, round(rng.gauss(follows_each, follows_each / 3))))
        while len(chosen) < wanted:
            candidate = rng.choice(urn) if rng.random() < 0.8 else rng.randrange(accounts)
            if candidate != follower:
                chosen.add(candidate)
        edges.extend((follower, followee) for followee in sorted(chosen))
        urn.extend(chosen)
        urn.append(follower)
    return Network(tuple(people), tuple(edges))


def text(rng: random.Random, number: int, mention: str | None = None) -> str:
    """One post.  `number` makes it unlike its neighbours."""
    tag = rng.choice(_TAGS)
    to = f" cc @{mention}" if mention and rng.random() < 0.15 else ""
    return f"{rng.choice(_OPENERS)}: {rng.choice(_MIDDLES)} ({number}){to} {tag}".strip()


def zipf_order(followers: Sequence[int], exponent: float, seed: int) -> Iterator[int]:
    """An endless stream of author indices: the r-th most followed account is drawn with weight 1 / r^exponent."""
    rng = random.Random(seed)
    ranked = sorted(range(len(followers)), key=lambda index: (-followers[index], index))
    cumulative = list(itertools.accumulate(1 / (rank + 1) ** exponent for rank in range(len(ranked))))
    while True:
        yield ranked[bisect.bisect_left(cumulative, rng.random() * cumulative[-1])]
