from pathlib import Path

import pytest

from rookery_server.dev import places
from rookery_server.dev.errors import LocalClusterError


def test_the_users_folders_are_found_as_the_xdg_specification_says() -> None:
    env = {"XDG_STATE_HOME": "/s", "XDG_CACHE_HOME": "/c"}

    assert places.stack_folder("a", env) == Path("/s/rookery/dev/a")
    assert places.cache_folder(env) == Path("/c/rookery")
    assert places.cache_folder({"XDG_CACHE_HOME": "relative"}) == Path.home() / ".cache/rookery"
    assert places.stacks_folder({}) == Path.home() / ".local/state/rookery/dev"


def test_one_variable_moves_all_stacks() -> None:
    assert places.stack_folder("a", {"ROOKERY_DEV_DIR": "/d", "XDG_STATE_HOME": "/s"}) == Path("/d/a")


@pytest.mark.parametrize("name", ["", "..", "a/b", "A", "-x", "a" * 33])
def test_a_name_that_is_no_folder_name_is_refused(name: str) -> None:
    with pytest.raises(LocalClusterError, match="no name for a stack"):
        places.stack_folder(name, {"ROOKERY_DEV_DIR": "/d"})
