"""The made-up network is well formed, seeded, and shaped like a real one."""

from __future__ import annotations

import itertools
import random
from collections import Counter

from rookery_server.dev.sample import make_network, text, zipf_order


def test_a_network_is_the_same_for_the_same_seed_and_well_formed() -> None:
    network = make_network(300, 12, seed=7)
    assert network == make_network(300, 12, seed=7) != make_network(300, 12, seed=8)
    assert len(set(network.follows)) == len(network.follows)
    assert all(follower != followee for follower, followee in network.follows)
    names = [account.username.casefold() for account in network.accounts]
    assert len(set(names)) == 300
    assert all(1 <= len(name) <= 15 for name in names)


def test_a_few_accounts_have_most_followers() -> None:
    followers = Counter(followee for _, followee in make_network(300, 12, seed=7).follows)
    top = sum(count for _, count in followers.most_common(30))
    assert top > 0.25 * sum(followers.values())


def test_the_most_followed_post_most() -> None:
    drawn = Counter(itertools.islice(zipf_order([1, 50, 10], 1.0, seed=3), 3000))
    assert drawn[1] > drawn[2] > drawn[0] > 0


def test_posts_fit_and_differ() -> None:
    rng = random.Random(1)
    texts = [text(rng, number, "ada_finch") for number in range(200)]
    assert len(set(texts)) == 200
    assert max(map(len, texts)) <= 280
