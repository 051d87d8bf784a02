"""Where the local cluster keeps things: stacks (data, ports, logs) and the cache (jars, class archives)."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from rookery_server.dev.errors import LocalClusterError

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")  # a folder name that needs no quoting anywhere


def _home_relative(environ: Mapping[str, str], variable: str, fallback: str) -> Path:
    """An XDG folder. The specification says that a relative path there must be ignored."""
    value = environ.get(variable, "")
    return Path(value) if value.startswith("/") else Path.home() / fallback


def stacks_folder(environ: Mapping[str, str] | None = None) -> Path:
    """`$ROOKERY_DEV_DIR`, or the user's state folder: what a stack keeps is not a cache, it must not be swept away."""
    env = os.environ if environ is None else environ
    if chosen := env.get("ROOKERY_DEV_DIR"):
        return Path(chosen).absolute()
    return _home_relative(env, "XDG_STATE_HOME", ".local/state") / "rookery" / "dev"


def cache_folder(environ: Mapping[str, str] | None = None) -> Path:
    """The user's cache folder: everything in it can be fetched or built again."""
    env = os.environ if environ is None else environ
    return _home_relative(env, "XDG_CACHE_HOME", ".cache") / "rookery"


def stack_folder(name: str, environ: Mapping[str, str] | None = None) -> Path:
    if not _NAME.fullmatch(name):
        raise LocalClusterError(
            f"'{name}' is no name for a stack: use up to 32 lower-case letters, digits, '-' and '_'."
        )
    return stacks_folder(environ) / name
