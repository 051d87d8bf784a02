"""A worker killed after each await of apply and claim, one by one, on real engines.

The n-th worker dies right after the n-th awaited call of the operation was answered, until one gets through; the next
one takes over.  All the while readers scroll, and in the end nothing is lost, doubled or wrong: docs/faults.md.
"""

from __future__ import annotations

import itertools
import time

import pytest

from tests.support.fail_points import SAVED, moved_and_saved
from tests.support.ground import ENOUGH, Ground, author_with_followers
from tests.support.witness import Witness

SAVING = ("save_progress counts", SAVED)
APPLY = ("user_tweet", "place_author", "followers", "deliver", "read", "advance", *SAVING)
LOADING = ("load_progress fanout", "load_progress counts")
CLAIM = ("take_lease shard", *LOADING, "read", "read_node_marks", "adopt_empty", "advance", *SAVING)

pytestmark = pytest.mark.timeout(400)


def died_of_saving(trace: list[str]) -> bool:
    """Whether it died at the very end: right after the position was saved, with W moved on all three primaries."""
    return trace[-1:] == [SAVED] and moved_and_saved(trace)


async def test_a_worker_killed_after_each_await_of_applying_a_post(ground: Ground, witness: Witness) -> None:
    """Each dying worker is succeeded by the one that will die one await later, once it has applied what is left."""
    author, took = await author_with_followers(witness, 5), []
    async with witness.watching():
        successor = await ground.forks.worker(at=1, methods=APPLY, opens="user_tweet", armed=False)
        await ground.worker.stop()
        for at in itertools.count(2):
            assert at < ENOUGH
            dying = successor
            await witness.shows(await witness.post(author))
            await dying.is_done()
            successor = await ground.forks.worker(at=at, methods=APPLY, opens="user_tweet", armed=False)
            await dying.arm()
            began = time.monotonic()
            post = await witness.post(author)
            await dying.died()
            await witness.shows(post)
            took.append(time.monotonic() - began)
            if died_of_saving(dying.trace()):
                break
        ground.worker = successor
    print(f"\napply: killed after {dying.trace()}, shown everywhere {min(took):.1f} to {max(took):.1f} s later")  # noqa: T201
    assert dying.trace().count("deliver") == 3
    await witness.judge()


async def test_a_worker_killed_after_each_await_of_a_claim(ground: Ground, witness: Witness) -> None:
    """A succession of workers, each of which dies one await further into taking over what the one before left."""
    author = await author_with_followers(witness, 3)
    async with witness.watching():
        for at in itertools.count(1):
            assert at < ENOUGH
            dying = await ground.forks.worker(at=at, methods=CLAIM, opens="take_lease shard")
            await ground.worker.kill()
            await witness.post(author)
            await dying.died()
            ground.worker = dying
            if died_of_saving(dying.trace()):
                break
        ground.worker = await ground.forks.worker()
        await witness.shows(witness.posts[-1])
    print(f"\nclaim: killed after {dying.trace()}")  # noqa: T201
    assert dying.trace()[0] == "take_lease shard"
    assert {*LOADING, "read_node_marks", "read", "advance"} <= {*dying.trace()}
    await witness.judge()
