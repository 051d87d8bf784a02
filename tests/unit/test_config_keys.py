"""Where the secrets of page tokens come from."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rookery_server.config import Settings
from rookery_server.config_keys import token_keys
from rookery_server.config_sections import Tokens
from rookery_server.domain.tokens import PageCursor, Scope, TokenSigner


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "rookery"


def test_development_makes_a_key_once_and_keeps_it(state: Path) -> None:
    made = token_keys(Settings())
    assert token_keys(Settings()) == made
    assert stat.S_IMODE((state / "token-keys.json").stat().st_mode) == 0o600
    assert [file.name for file in state.iterdir()] == ["token-keys.json"]
    signer, scope = TokenSigner.from_json(made), Scope("m", 1)
    assert signer.page_cursor(signer.sign(PageCursor(9), scope), scope) == PageCursor(9)


def test_two_installations_do_not_share_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = token_keys(Settings())
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other"))
    assert token_keys(Settings()) != made


def test_a_relative_state_folder_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "state")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    made = token_keys(Settings())
    assert (tmp_path / "home/.local/state/rookery/token-keys.json").read_text() == made


def test_of_many_that_start_at_once_all_get_the_same() -> None:
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: token_keys(Settings()), range(8)))) == 1


def test_a_file_that_is_named_is_read_and_none_is_made(state: Path, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text("{}")
    assert token_keys(Settings(tokens=Tokens(keys_file=file))) == "{}"
    assert not state.exists()


def test_a_file_that_is_named_and_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        token_keys(Settings(tokens=Tokens(keys_file=tmp_path / "none")))
