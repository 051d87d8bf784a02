"""The sections of the configuration: what can be set, its default and the reason for it.

`config` puts them together and reads them; a value that is wrong by itself is refused here.  `docs/configuration.md` is
made of the texts below settings and sections.
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
    """Who may vouch for the other side.  For `serve`: callers must then show a certificate of it."""
    certificate_file: Path | None = None
    """What this side shows."""
    key_file: Path | None = None
    """Of the certificate; one is nothing without the other."""

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
    """Empty = no login."""
    password: SecretStr = SecretStr("")
    """Never shown, never logged."""
    password_file: Path | None = None
    """In place of the password, for installations that mount secrets: its content without the last newline."""
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
    """The truth.  Read by `serve`, `work` and `migrate`."""

    contact_points: Words = ("127.0.0.1",)
    """Any nodes of the data centre; the others are found through them."""
    port: Port = 9042
    """Of all nodes."""
    data_centre: str = "datacenter1"
    """Its quorum decides reads and writes; only compare-and-set asks a quorum of all data centres."""
    keyspace: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,47}$")] = "rookery"
    """Created by `migrate` where it is missing."""
    replication_factor: Annotated[int, Field(ge=1, le=9)] = 3
    """Only when the keyspace is created; one node can hold only one copy."""
    read_s: Seconds = 2.0
    """Twice the default deadline of a read: what takes longer has no caller any more."""
    write_s: Seconds = 2.0
    """With the wait for a slot below the 3 s a write attempt may live."""
    lwt_s: Seconds = 2.0
    """Compare-and-set: as long as a write, since changes of accounts are bound to the same 3 s."""
    admin_s: Seconds = 30.0
    """Schema steps, and looks at the schema."""
    connect_s: Seconds = 10.0
    """A connection with its login.  A start waits so long for nodes that hang, and not at all for those that refuse."""
    in_flight: Annotated[int, Field(ge=1, le=4096)] = 256
    """Requests one process keeps under way: nothing waits without bound."""


class Redis(_Login):
    """The copies: a Redis or Valkey cluster that is Rookery's own.  Read by `serve` and `work`."""

    nodes: Words = ("127.0.0.1:7000",)
    """Any of the cluster, host:port; the others are found through them."""
    timeout_s: Seconds = 0.25
    """A calm node answers in 1 ms; a quarter of a second is a stall."""
    connect_timeout_s: Seconds = 1.0
    """Connection and handshake together; a loop that is late must still get through."""
    window: Annotated[int, Field(ge=100, le=100_000)] = 1_000
    """Commands one connection may have unanswered."""


class Serve(_Section):
    """Where a server listens.  Read by `serve`."""

    host: str = "127.0.0.1"
    """Where calls arrive; loopback until a token issuer is configured."""
    port: Port = 7070
    """Of calls; 0 here and below = any free one, said in the log."""
    side_host: str = "127.0.0.1"
    """Of health and metrics: plaintext, for kubelets and scrapers, never for callers."""
    health_port: Port = 7071
    """gRPC health alone: it answers while calls are refused."""
    metrics_port: Port = 7072
    """`GET /metrics`."""
    reflection: bool = True
    """Lets grpcurl and its like read the contract from the server; nothing in it is secret."""
    drain_s: Seconds = 20.0
    """How long calls under way may go on after SIGTERM: longer than any shielded write."""
    tls: Tls = Tls()


class Work(_Section):
    """How a worker goes about the log.  Read by `work`."""

    side_host: str = "127.0.0.1"
    """Of health and metrics, as for servers."""
    health_port: Port = 7073
    """Others than a server's, so that both run on one machine."""
    metrics_port: Port = 7074
    """`GET /metrics`."""
    poll_s: Seconds = 1.0
    """The bell brings latency; polling is the safety net."""
    follower_page: Annotated[int, Field(ge=1, le=50_000)] = limits.FOLLOWER_PAGE
    """Followers read at a time: more keep the store longer from others, fewer cost more requests."""
    pages_at_once: Annotated[int, Field(ge=1, le=64)] = 8
    """Enough to keep every node's window full, few enough for turns to be short."""
    open_events: Annotated[int, Field(ge=1)] = 5_000
    """A shard with more is not polled: memory is bounded."""
    lease_renew_s: Seconds = limits.SHARD_LEASE_RENEW_S
    """Three renewals fit into the time after which a lease is free."""
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
    """The log of consequences.  Read by `serve`, `work` and `migrate`."""

    shards: Annotated[int, Field(ge=1, le=1024)] = 16
    """Fixed when the keyspace is created, another number is refused from then on; 256 for large installations."""
    audit_ages_s: Ages = (30, 300, 4 * 3600, 24 * 3600)
    """After the end of a window; tests shrink them."""


class Tiers(_Section):
    """Who is delivered to lists and who is merged by readers (`docs/protocols/tier.md`).  Read by `serve`, `work`
    and `migrate`.  All processes agree upon five of these times (T11): none starts with ANNOUNCE_S or MERGE_S
    shorter, or with REBUILD_AFTER_S, RELATIONS_LIFE_S or DIRECTORY_MAX_AGE_S longer, than the keyspace holds.  To
    lengthen one of these three: restart all with longer ANNOUNCE_S and MERGE_S, `rookery migrate --agree` with
    them, again with the third longer, restart all.  To shorten ANNOUNCE_S or MERGE_S: restart all with the three
    shorter, `rookery migrate --agree`, again with these shorter too (it says how long to wait), restart all."""

    broad_from: Annotated[int, Field(ge=1)] = limits.BROAD_FROM
    """Delivered like everybody; with metrics of their own."""
    pull_from: Annotated[int, Field(ge=0)] = limits.PULL_FROM
    """Merged by readers from so many followers on: delivering to a million lists takes ten seconds.  0 = nobody."""
    announce_s: Seconds = _CROSSING.announce_s
    """From the announcement to the last delivery: longer than any cached relations live, plus `directory_max_age_s`."""
    merge_s: Seconds = _CROSSING.merge_s
    """How long readers go on merging after the announcement of the way back: longer than `rebuild_after_s`."""
    rebuild_after_s: Seconds = _CROSSING.rebuild_after_s
    """A home list built longer ago is built anew by its next read, however often it was used."""
    relations_life_s: Seconds = limits.RELATIONS_LIFE_S
    """Of a viewer's relations in the cache, which name the authors to merge."""
    directory_s: Seconds = _CROSSING.directory_s
    """How often a process reads the tiers of all authors: one small partition."""
    directory_max_age_s: Seconds = _CROSSING.directory_max_age_s
    """What was read longer ago is not believed: a worker then leaves posts open, and pages claim nothing."""

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
    """Home timelines that stay open.  Read by `serve`."""

    per_user: Annotated[int, Field(ge=1, le=100)] = 4
    """On one server: a phone, a tablet, a desk and one that has not noticed yet that it is gone."""
    heartbeat_s: Seconds = 15.0
    """Below the half minute after which proxies drop what is silent."""
    poll_s: Seconds = 1.0
    """One look at the heads of all streams of a server."""
    slow_s: Seconds = limits.STREAM_SLOW_S
    """Whoever does not take a message for so long is told to come back with its token."""
    max_age_s: Seconds = limits.STREAM_MAX_AGE_S
    """At this age at the latest, a fifth of it earlier at the earliest, a stream ends and the client resumes, perhaps
    on another server: so load spreads again after a restart."""

    def problems(self, name: str) -> Iterator[str]:
        if self.max_age_s <= self.heartbeat_s:
            yield f"{name}__MAX_AGE_S: longer than HEARTBEAT_S"


class Verifier(_Section):
    """The background verifier of home lists.  Read by `serve`."""

    every_s: Annotated[float, Field(ge=0)] = 10.0
    """One list of those lately read is recomputed from the truth as often; 0 = off."""


class Identity(_Section):
    """Who a caller is.  Read by `serve`."""

    mode: Literal["development", "jwt"] = "development"
    """Development believes whoever a caller says to act as, and therefore listens on loopback only."""
    issuer: str = ""
    """Mode jwt: the `iss` a token must carry."""
    audience: str = ""
    """Mode jwt: the `aud` a token must carry, so that tokens for other services are refused."""
    jwks_file: Path | None = None
    """Public keys as a JWK set; each key serves its own algorithm only."""


class Tokens(_Section):
    """What signs page tokens, cursors and consistency tokens.  Read by `serve`; the same on every server."""

    keys_file: Path | None = None
    """`{"signing": 2, "keys": {"1": "<base64url>", "2": "<base64url>"}}`; development makes its own."""


class Quotas(_Section):
    """Of one acting user, counted by each server for itself; credentials with scope `bulk` have none.  Read by
    `serve`."""

    tweets_per_3h: Annotated[int, Field(ge=1)] = limits.TWEETS_PER_3H
    """A live commentary fits in; a machine that floods homes does not."""
    follows_per_day: Annotated[int, Field(ge=1)] = limits.FOLLOWS_PER_DAY
    """Requests to follow included: each may cost a build of a list."""
    blocks_per_day: Annotated[int, Field(ge=1)] = limits.BLOCKS_PER_DAY
    """Blocks and mutes together: whoever is attacked by a crowd imports a list of hundreds."""
    account_changes_per_day: Annotated[int, Field(ge=1)] = limits.ACCOUNT_CHANGES_PER_DAY
    """Edits, protecting, leaving and coming back: far more than anybody means to do by hand."""
    renames_per_week: Annotated[int, Field(ge=1)] = limits.RENAMES_PER_WEEK
    """Every name an account ever took stays reserved for it, so this bounds how many it can hoard."""


def unreadable(name: str, file: Path) -> Iterator[str]:
    """The problem of a file that cannot be opened, or nothing."""
    try:
        with file.open("rb"):
            pass
    except OSError as error:
        yield f"{name}: cannot read {file}: {error.strerror}"
