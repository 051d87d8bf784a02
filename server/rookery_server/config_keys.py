"""The secrets that sign page tokens: read from their file, or made once for development."""

from __future__ import annotations

import base64
import json
import os
import secrets
from pathlib import Path

from rookery_server.config import Settings, state_folder

_SECRET_BYTES = 32


def token_keys(settings: Settings) -> str:
    """The content of the key file, as JSON.  Raises OSError.

    Development without a file makes one in the user's state folder, so tokens outlive a restart; `verify` has seen to
    it that any other installation names its own.
    """
    if settings.tokens.keys_file is not None:
        return settings.tokens.keys_file.read_text(encoding="utf-8")
    file = state_folder() / "token-keys.json"
    if not file.exists():
        _make(file)
    return file.read_text(encoding="utf-8")


def _make(file: Path) -> None:
    """Whole or not at all, readable by its owner only; of several processes that start at once the first one wins."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    secret = base64.urlsafe_b64encode(secrets.token_bytes(_SECRET_BYTES)).decode("ascii")
    own = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
    own.touch(mode=0o600)
    own.write_text(json.dumps({"signing": 1, "keys": {"1": secret}}), encoding="utf-8")
    try:
        os.link(own, file)
    except FileExistsError:
        pass  # another process was first, and its key is as good
    finally:
        own.unlink()
