"""Every setting of a process, read from the environment once, here and nowhere else.

A setting's name is its path: `settings.cassandra.port` is `ROOKERY_CASSANDRA__PORT`.  Lists are separated by commas.
`load` reads, `Settings.verify` checks what only makes sense together, `Settings.shown` is safe to print.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from rookery_server.config_sections import (
    Cassandra,
    Identity,
    Outbox,
    Quotas,
    Redis,
    Serve,
    Streams,
    Tiers,
    Tokens,
    Verifier,
    Work,
    unreadable,
)

PREFIX, DELIMITER = "ROOKERY_", "__"
Role = Literal["serve", "work", "migrate"]


class Settings(BaseSettings):
    """The whole tree, frozen.  Build it with `load`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter=DELIMITER,
        env_ignore_empty=True,
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
    )

    cassandra: Cassandra = Cassandra()
    redis: Redis = Redis()
    serve: Serve = Serve()
    work: Work = Work()
    outbox: Outbox = Outbox()
    tiers: Tiers = Tiers()
    streams: Streams = Streams()
    verifier: Verifier = Verifier()
    identity: Identity = Identity()
    tokens: Tokens = Tokens()
    quotas: Quotas = Quotas()

    def verify(self, role: Role) -> list[str]:
        """What is wrong with the settings taken together, one clear line each; empty when a `role` may start."""
        found = [*self.cassandra.problems("ROOKERY_CASSANDRA")]
        if not self.cassandra.contact_points:
            found.append("ROOKERY_CASSANDRA__CONTACT_POINTS: at least one address is needed")
        if not self.cassandra.username and (self.cassandra.password_file or self.cassandra.password.get_secret_value()):
            found.append("ROOKERY_CASSANDRA: a password needs its username")
        found += self.tiers.problems("ROOKERY_TIERS")
        if role != "migrate":
            found += self._delivery_problems()
        if role == "serve":
            found += self._serving_problems()
        if role == "work":
            found += self.work.problems("ROOKERY_WORK")
        return found

    def _delivery_problems(self) -> Iterator[str]:
        yield from self.redis.problems("ROOKERY_REDIS")
        if not self.redis.nodes:
            yield "ROOKERY_REDIS__NODES: at least one host:port is needed"
        for node in self.redis.nodes:
            host, _, port = node.rpartition(":")
            if not host or not port.isdecimal() or not 0 < int(port) <= 65535:
                yield f"ROOKERY_REDIS__NODES: {node} is not host:port"
        if list(self.outbox.audit_ages_s) != sorted(self.outbox.audit_ages_s):
            yield "ROOKERY_OUTBOX__AUDIT_AGES_S: each age must be later than the one before"

    def _serving_problems(self) -> Iterator[str]:
        yield from self.serve.tls.problems("ROOKERY_SERVE__TLS")
        chosen = [port for port in (self.serve.port, self.serve.health_port, self.serve.metrics_port) if port]
        if len(set(chosen)) < len(chosen):
            yield "ROOKERY_SERVE: calls, health and metrics need a port each"
        yield from self.streams.problems("ROOKERY_STREAMS")
        if self.identity.mode == "development":
            if not _on_loopback(self.serve.host):
                yield f"ROOKERY_SERVE__HOST: development mode believes every caller, so not {self.serve.host}"
        else:
            yield from self._production_problems()
        if self.tokens.keys_file:
            yield from unreadable("ROOKERY_TOKENS__KEYS_FILE", self.tokens.keys_file)

    def _production_problems(self) -> Iterator[str]:
        for name in ("issuer", "audience", "jwks_file"):
            if not getattr(self.identity, name):
                yield f"ROOKERY_IDENTITY__{name.upper()}: needed in mode jwt"
        if self.identity.jwks_file:
            yield from unreadable("ROOKERY_IDENTITY__JWKS_FILE", self.identity.jwks_file)
        if not self.tokens.keys_file:
            yield "ROOKERY_TOKENS__KEYS_FILE: needed in mode jwt, the same on every server"

    def shown(self) -> list[str]:
        """`NAME=value` of every setting as it is in effect; a secret shows only whether it is set."""
        return [f"{name}={printable(value)}" for name, value in _leaves(self)]


class BadConfiguration(Exception):
    """The environment does not make a configuration.  `problems`: one line each, without any value."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def load() -> Settings:
    """From the environment of this process.  Raises BadConfiguration."""
    try:
        settings = Settings()
    except ValidationError as error:
        raise BadConfiguration(
            [f"{environment_name(*found['loc'])}: {found['msg']}" for found in error.errors()]
        ) from None
    # A section that does not exist is skipped silently by the reader, and a typing error would stay unnoticed.
    sections = tuple(environment_name(section) + DELIMITER for section in Settings.model_fields)
    unknown = [name for name in os.environ if name.startswith(PREFIX) and DELIMITER in name]
    unknown = [name for name in sorted(unknown) if not name.upper().startswith(sections)]
    if unknown:
        raise BadConfiguration([f"{name}: no such setting" for name in unknown])
    return settings


def environment_names() -> list[str]:
    """Every name that is read."""
    return [name for name, _ in _leaves(Settings.model_construct())]


def state_folder() -> Path:
    """Where development keeps what must survive a restart."""
    chosen = os.environ.get("XDG_STATE_HOME", "")
    # The XDG base directory specification says that a relative path must be ignored.
    return (Path(chosen) if chosen.startswith("/") else Path.home() / ".local/state") / "rookery"


def environment_name(*path: int | str) -> str:
    """Of the setting at that path below `Settings`."""
    return PREFIX + DELIMITER.join(str(part).upper() for part in path if isinstance(part, str))


def _leaves(section: BaseModel, *path: str) -> Iterator[tuple[str, Any]]:
    for field in type(section).model_fields:
        value = getattr(section, field)
        if isinstance(value, BaseModel):
            yield from _leaves(value, *path, field)
        else:
            yield environment_name(*path, field), value


def printable(value: object) -> str:
    """As it would be given in the environment; a secret shows only whether it is set."""
    match value:
        case SecretStr():
            return "********" if value.get_secret_value() else ""
        case tuple():
            return ",".join(f"{part:g}" if isinstance(part, float) else str(part) for part in value)
        case None:
            return ""
        case _:
            return str(value)


def _on_loopback(host: str) -> bool:
    """A name other than localhost may resolve to anything."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
