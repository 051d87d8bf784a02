"""Limits made small for one history, so that a minute of a few people meets what otherwise takes thousands or a day."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

from rookery_server.domain import limits


@contextmanager
def shrunk(sizes: Mapping[str, int]) -> Iterator[None]:
    """`sizes`: by their names in `domain/limits.py`; put in wherever a module has taken one of them by name."""
    modules = [module for name, module in sys.modules.items() if name.startswith("rookery_server.")]
    with ExitStack() as stack:
        for name, value in sizes.items():
            before = getattr(limits, name)
            for module in modules:
                if vars(module).get(name) is before or vars(module).get(name) == before:
                    stack.enter_context(patch.object(module, name, value))
        yield


KINDS: Mapping[str, Mapping[str, int]] = {
    "shallow": {"HOME_KEPT": 30, "HOME_TRIM_AT": 36, "AUTHOR_KEPT": 12, "AUTHOR_TRIM_AT": 15, "AUTHORS_A_WAVE": 2},
    "crowded": {"BLOCKERS_CARRIED": 1},
    "tiers": {},
}
"""Lists that end soon, so that most of a scroll is history, and are loaded by twos; two blockers are more than
relations carry; with tiers the times of a crossing are made small as well."""
