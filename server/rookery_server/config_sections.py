"""The sections of the configuration: what can be set, its default and the reason for it.

`config` puts them together and reads them; a value that is wrong by itself is refused here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr
from pydantic_settings import NoDecode

from rookery_server.domain import fanout, limits


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0)]
Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
_CROSSING = fanout.Crossing()
Ages = Annotated[tuple[Seconds, Seconds, Seconds, Seconds], NoDecode, BeforeValidator(_split)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Tls(_Section):
    """Files in PEM.  An authority alone verifies the other side; certificate and key show who we are."""

    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None

    @property
    def on(self) -> bool:
        return any(self._files())

    def _files(self) -> tuple[Path | None, ...]:
        return self.ca_file, self.certificate_file, self.key_file

    def problems(self, name: str) -> Iterator[str]:
        if (self.certificate_file is None) != (self.key_file is None):
            yield f"{name}: a certificate needs its key and a key its certificate"
        yield from (problem for file in self._files() if file for problem in unreadable(name, file))


class _Login(_Section):
    username: str = ""
    password: SecretStr = SecretStr("")
    password_file: Path | None = None
    """For installations that mount secrets: its content without the last newline."""
    tls: Tls = Tls()

    def read_password(self) -> str:
        """Raises OSError."""
        if self.password_file is None:
            return self.password.get_secret_value()
        return self.password_file.read_text(encoding="utf-8").removesuffix("\n")

    def problems(self, name: str) -> Iterator[str]:
        if self.password_file and self.password.get_secret_value():
            yield f"{name}: give the password or its file, not both"
        if self.password_file:
            yield from unreadable(name, self.password_file)
        yield from self.tls.problems(f"{name}__TLS")


class Cassandra(_Login):
    contact_points: Words = ("127.0.0.1",)
    port: Port = 9042
    data_centre: str = "datacenter1"
    keyspace: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,47}$")] = "rookery"
    replication_factor: Annotated[int, Field(ge=1, le=9)] = 3
    """Only when the keyspace is created; one node can hold only one copy."""
    read_s: Seconds = 2.0
    write_s: Seconds = 2.0
    """With the wait for a slot below the 3 s a write attempt may live."""
    lwt_s: Seconds = 2.0
    admin_s: Seconds = 30.0
    connect_s: Seconds = 10.0
    in_flight: Annotated[int, Field(ge=1, le=4096)] = 256
    """Requests one process keeps under way: nothing waits without bound."""


class Redis(_Login):
    nodes: Words = ("127.0.0.1:7000",)
    """Any of the cluster, host:port; the others are found through them."""
    timeout_s: Seconds = 0.25
    """A calm node answers in 1 ms; a quarter of a second is a stall."""
    connect_timeout_s: Seconds = 1.0
    """Connection and handshake together; a loop that is late must still get through."""
    window: Annotated[int, Field(ge=100, le=100_000)] = 1_000
    """Commands one connection may have unanswered."""


class Serve(_Section):
    host: str = "127.0.0.1"
    port: Port = 7070
    side_host: str = "127.0.0.1"
    """Of health and metrics: plaintext, for kubelets and scrapers, never for callers."""
    health_port: Port = 7071
    metrics_port: Port = 7072
    reflection: bool = True
    drain_s: Seconds = 20.0
    """How long calls under way may go on after SIGTERM: longer than any shielded write."""
    tls: Tls = Tls()


class Work(_Section):
    side_host: str = "127.0.0.1"
    health_port: Port = 7073
    metrics_port: Port = 7074
    poll_s: Seconds = 1.0
    """The bell brings latency; polling is the safety net."""
    follower_page: Annotated[int, Field(ge=1, le=50_000)] = limits.FOLLOWER_PAGE
    pages_at_once: Annotated[int, Field(ge=1, le=64)] = 8
    """Enough to keep every node's window full, few enough for turns to be short."""
    open_events: Annotated[int, Field(ge=1)] = 5_000
    """A shard with more is not polled: memory is bounded."""
    lease_renew_s: Seconds = limits.SHARD_LEASE_RENEW_S
    lease_free_after_s: Seconds = limits.SHARD_LEASE_FREE_AFTER_S
    """A dead worker's shards are taken over after this; the same in every worker of an installation."""
    late_print_after_s: Seconds = 60.0
    """Longer than a replica of the cache that can still be promoted lags behind."""
    recounts_at_once: Annotated[int, Field(ge=1, le=64)] = 4
    """Enough for hundreds of small counts a second, few enough that a large one does not starve the log."""
    count_after_s: Seconds = 5.0
    """What changes again within this is counted once."""
    count_within_s: Seconds = limits.COUNT_PAUSE_MOST_S
    """The longest pause of the largest count; exact within a minute of quiet with what counting takes."""
    drain_s: Seconds = 20.0
    """How long the pages in hand may take after SIGTERM; then the shards are left to time out, and nothing is lost."""

    def problems(self, name: str) -> Iterator[str]:
        if self.lease_free_after_s < 2 * self.lease_renew_s:
            yield f"{name}__LEASE_FREE_AFTER_S: at least twice LEASE_RENEW_S, or a single late renewal loses a shard"
        if self.count_within_s < self.count_after_s:
            yield f"{name}__COUNT_WITHIN_S: at least COUNT_AFTER_S"


class Outbox(_Section):
    shards: Annotated[int, Field(ge=1, le=1024)] = 16
    """Fixed when the keyspace is created; 256 for large installations."""
    audit_ages_s: Ages = (30, 300, 4 * 3600, 24 * 3600)
    """After the end of a window; tests shrink them."""


class Tiers(_Section):
    """Who is delivered to lists and who is merged by readers; the same in every process of an installation."""

    broad_from: Annotated[int, Field(ge=1)] = limits.BROAD_FROM
    """Delivered like everybody; with metrics of their own."""
    pull_from: Annotated[int, Field(ge=0)] = limits.PULL_FROM
    """Merged by readers from so many followers on: delivering to a million lists takes ten seconds.  0 = nobody."""
    announce_s: Seconds = _CROSSING.announce_s
    merge_s: Seconds = _CROSSING.merge_s
    rebuild_after_s: Seconds = _CROSSING.rebuild_after_s
    relations_life_s: Seconds = limits.RELATIONS_LIFE_S
    """Of a viewer's relations in the cache, which name the authors to merge."""
    directory_s: Seconds = _CROSSING.directory_s
    directory_max_age_s: Seconds = _CROSSING.directory_max_age_s

    @property
    def thresholds(self) -> fanout.Thresholds:
        return fanout.Thresholds(self.broad_from, self.pull_from or None)

    @property
    def crossing(self) -> fanout.Crossing:
        return fanout.Crossing(
            announce_s=self.announce_s,
            merge_s=self.merge_s,
            rebuild_after_s=self.rebuild_after_s,
            relations_life_s=self.relations_life_s,
            directory_s=self.directory_s,
            directory_max_age_s=self.directory_max_age_s,
        )

    def problems(self, name: str) -> Iterator[str]:
        if 0 < self.pull_from < self.broad_from:
            yield f"{name}__PULL_FROM: not below BROAD_FROM"
        yield from (f"{name}: {problem}" for problem in self.crossing.problems())


class Streams(_Section):
    """Home timelines that stay open."""

    per_user: Annotated[int, Field(ge=1, le=100)] = 4
    """On one server: a phone, a tablet, a desk and one that has not noticed yet that it is gone."""
    heartbeat_s: Seconds = 15.0
    """Below the half minute after which proxies drop what is silent."""
    poll_s: Seconds = 1.0
    """One look at the heads of all streams of a server."""
    slow_s: Seconds = limits.STREAM_SLOW_S
    max_age_s: Seconds = limits.STREAM_MAX_AGE_S

    def problems(self, name: str) -> Iterator[str]:
        if self.max_age_s <= self.heartbeat_s:
            yield f"{name}__MAX_AGE_S: longer than HEARTBEAT_S"


class Verifier(_Section):
    """The background verifier of home lists."""

    every_s: Annotated[float, Field(ge=0)] = 10.0
    """One list of those lately read is recomputed from the truth as often; 0 = off."""


class Identity(_Section):
    mode: Literal["development", "jwt"] = "development"
    """Development believes whoever a caller says to act as, and therefore listens on loopback only."""
    issuer: str = ""
    audience: str = ""
    jwks_file: Path | None = None
    """Public keys as a JWK set; each key serves its own algorithm only."""


class Tokens(_Section):
    keys_file: Path | None = None
    """`{"signing": 2, "keys": {"1": "<base64url>", "2": "<base64url>"}}`; development makes its own."""


class Quotas(_Section):
    """For credentials without scope `bulk`."""

    tweets_per_3h: Annotated[int, Field(ge=1)] = limits.TWEETS_PER_3H
    follows_per_day: Annotated[int, Field(ge=1)] = limits.FOLLOWS_PER_DAY
    blocks_per_day: Annotated[int, Field(ge=1)] = limits.BLOCKS_PER_DAY
    """And mutes."""
    account_changes_per_day: Annotated[int, Field(ge=1)] = limits.ACCOUNT_CHANGES_PER_DAY
    renames_per_week: Annotated[int, Field(ge=1)] = limits.RENAMES_PER_WEEK


def unreadable(name: str, file: Path) -> Iterator[str]:
    """The problem of a file that cannot be opened, or nothing."""
    try:
        with file.open("rb"):
            pass
    except OSError as error:
        yield f"{name}: cannot read {file}: {error.strerror}"
