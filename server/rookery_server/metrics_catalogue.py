"""The closed catalogue of metrics: every name, kind, label set, bucket set and meaning, as data.

Labels come from sets known when the process is built: never a user, tweet, key, text, address or exception message.
A label whose values are written here is *closed*; one whose values come from elsewhere names its source (`of`) and is
bound once, at start-up, by whoever owns that source.  The `grpc_server_*` names and labels are those of
go-grpc-prometheus (https://github.com/grpc-ecosystem/go-grpc-middleware), which people have dashboards for.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Kind(enum.Enum):
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Label:
    """`values` is the closed set, or empty when the set comes `of` another catalogue of the program."""

    name: str
    values: tuple[str, ...] = ()
    of: str = ""


@dataclass(frozen=True, slots=True)
class Spec:
    """One metric.  Base units only (seconds, bytes); `buckets` only for histograms."""

    name: str
    kind: Kind
    meaning: str
    labels: tuple[Label, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def closed(self) -> bool:
        """Whether every label set can be seeded before anything happened."""
        return all(label.values for label in self.labels)


def _closed(name: str, *values: str) -> Label:
    return Label(name, values)


# L holds both SLO edges (0.2 s home page, 0.5 s post); F has 15 s, where watermarks are about to make pages degraded.
CALL_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 5.0)
STORE_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25)
FRESHNESS_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 300.0)
ROUND_BUCKETS = tuple(float(n) for n in range(1, 11))

GRPC_CODES = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
    "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip

_METHOD = Label("grpc_method", of="methods of the services")
_RPC = (
    _closed("grpc_type", "unary", "server_stream"),
    Label("grpc_service", of="services of rookery.v1"),
    _METHOD,
)
_CODE = _closed("grpc_code", *GRPC_CODES)
_PROFILE = _closed("profile", "read", "read_many", "write", "lwt", "admin")
_REDIS_USE = _closed(
    "use",
    "timeline_read",
    "build",
    "push",
    "body",
    "relation",
    "profile",
    "overwrite",
    "watermark",
    "limiter",
    "bell",
    "topology",
)
_NODE = Label("node", of="index of the Redis primary")
_PRIMARY = Label("primary", of="index of the Redis primary")
_SHARD = Label("shard", of="outbox shards this process owns")
_TIER = _closed("tier", "push", "broad", "pull")

# --- calls ----------------------------------------------------------------------------------------------------
GRPC_STARTED = Spec("grpc_server_started_total", Kind.COUNTER, "calls begun", _RPC)
GRPC_HANDLED = Spec("grpc_server_handled_total", Kind.COUNTER, "calls ended, by the code that was sent", (*_RPC, _CODE))
GRPC_RECEIVED = Spec("grpc_server_msg_received_total", Kind.COUNTER, "request messages read", _RPC)
GRPC_SENT = Spec("grpc_server_msg_sent_total", Kind.COUNTER, "reply messages written", _RPC)
GRPC_HANDLING = Spec("grpc_server_handling_seconds", Kind.HISTOGRAM, "first byte in to status out", _RPC, CALL_BUCKETS)
RPC_IN_FLIGHT = Spec("rookery_rpc_in_flight", Kind.GAUGE, "calls inside the server now", (_METHOD,))
RPC_WITHOUT_DEADLINE = Spec(
    "rookery_rpc_without_deadline_total", Kind.COUNTER, "calls that brought no deadline: callers to educate", (_METHOD,)
)
DEADLINE_REFUSED = Spec(
    "rookery_deadline_refused_total",
    Kind.COUNTER,
    "calls refused at the door because they could not finish in the time left",
    (_closed("reason", "expired", "too_short_read", "too_short_write"),),
)
REQUESTS = Spec(
    "rookery_requests_total",
    Kind.COUNTER,
    "fate of each request id: first use, repeat of the same, reused for other content",
    (_METHOD, _closed("outcome", "new", "replay", "conflict")),
)
UNKNOWN_OUTCOMES = Spec(
    "rookery_unknown_outcomes_total",
    Kind.COUNTER,
    "writes that ended without proof either way",
    (
        _closed("operation", "create_user", "update_profile", "create_tweet", "delete_tweet", "follow", "unfollow",
                "set_protected", "rename", "deactivate", "reactivate", "block", "unblock", "mute", "unmute",
                "approve_follow", "deny_follow", "rebuild_home_timeline", "suspend_user", "unsuspend_user",
                "recount_user", "release_dead_letters", "lease", "checkpoint", "push", "watermark", "overwrite"),
        _closed("store", "cassandra", "redis"),
    ),
)  # fmt: skip
REMOVALS = Spec(
    "rookery_removals_total",
    Kind.COUNTER,
    "removals answered; settled=false leaves the cached copies to the outbox",
    (_closed("operation", "delete", "unfollow", "block", "mute", "account"), _closed("settled", "true", "false")),
)

# --- stores ---------------------------------------------------------------------------------------------------
CASSANDRA_REQUEST = Spec(
    "rookery_cassandra_request_seconds",
    Kind.HISTOGRAM,
    "one request, measured to the driver's callback",
    (Label("statement", of="prepared statements"),),
    STORE_BUCKETS,
)
CASSANDRA_ERRORS = Spec(
    "rookery_cassandra_errors_total",
    Kind.COUNTER,
    "requests that failed after the retry policy",
    (
        _PROFILE,
        _closed("kind", "unavailable", "write_timeout", "read_timeout", "failure", "overloaded", "connection",
                "cas_unknown", "other"),
    ),
)  # fmt: skip
CASSANDRA_IN_FLIGHT = Spec("rookery_cassandra_in_flight", Kind.GAUGE, "requests sent and not yet answered", (_PROFILE,))
CASSANDRA_HOPS = Spec(
    "rookery_cassandra_hops_total",
    Kind.COUNTER,
    "second attempts on another host",
    (_closed("kind", "unavailable", "bootstrapping", "connection", "read_timeout"),),
)
REDIS_REQUEST = Spec(
    "rookery_redis_request_seconds", Kind.HISTOGRAM, "one pipeline to one node", (_REDIS_USE,), STORE_BUCKETS
)
REDIS_ERRORS = Spec(
    "rookery_redis_errors_total",
    Kind.COUNTER,
    "pipelines or commands that failed",
    (_REDIS_USE, _closed("kind", "not_sent", "refused", "timeout", "connection", "redirect", "other")),
)
REDIS_REDIRECTS = Spec(
    "rookery_redis_redirects_total", Kind.COUNTER, "slots found elsewhere", (_closed("kind", "moved", "ask"),)
)
REDIS_IN_FLIGHT = Spec("rookery_redis_in_flight", Kind.GAUGE, "commands sent and not yet answered", (_NODE,))
CACHE_REQUESTS = Spec(
    "rookery_cache_requests_total",
    Kind.COUNTER,
    "look-ups in the cache; a hit needed no Cassandra read",
    (
        _closed("cache", "timeline", "tweet", "user", "relation", "author"),
        _closed("outcome", "hit", "absent", "old_version", "error"),
    ),
)
COALESCED = Spec(
    "rookery_coalesced_total",
    Kind.COUNTER,
    "reads that joined one already under way",
    (_closed("cache", "timeline", "tweet", "user", "relation", "author"),),
)

# --- home pages -----------------------------------------------------------------------------------------------
HOME_PAGES = Spec(
    "rookery_home_pages_total",
    Kind.COUNTER,
    "home pages answered: where the page came from, and what it admits",
    (_closed("source", "list", "build", "history", "merge"), _closed("flag", "none", "degraded", "stale")),
)
PAGE_ROUNDS = Spec(
    "rookery_page_rounds", Kind.HISTOGRAM, "slices read for one page: refills after filtering", (), ROUND_BUCKETS
)
COMPLETE_THROUGH_AGE = Spec(
    "rookery_complete_through_age_seconds",
    Kind.HISTOGRAM,
    "how old the claim of each home page is",
    (),
    FRESHNESS_BUCKETS,
)
LIST_BUILD = Spec(
    "rookery_list_build_seconds",
    Kind.HISTOGRAM,
    "one build of a home list",
    (_closed("reason", "absent", "relations", "age", "repair"),),
    CALL_BUCKETS,
)
LIST_BUILDS = Spec(
    "rookery_list_builds_total",
    Kind.COUNTER,
    "builds by outcome; served = token lost or too slow, so not stored",
    (_closed("outcome", "stored", "served", "capped", "failed"),),
)
LIST_BUILDS_IN_FLIGHT = Spec("rookery_list_builds_in_flight", Kind.GAUGE, "builds under way")
VERIFIED_HOMES = Spec(
    "rookery_verified_homes_total",
    Kind.COUNTER,
    "cached homes lately read that were compared with the truth, computed anew; absent = no list by then",
    (_closed("outcome", "equal", "differs", "absent", "failed"),),
)
HOME_MISMATCHES = Spec(
    "rookery_home_mismatches_total",
    Kind.COUNTER,
    "tweets a home was wrong about at or below what it claimed; anything but 0 is a bug",
    (_closed("kind", "missing", "forbidden", "doubled"),),
)

# --- delivery -------------------------------------------------------------------------------------------------
WATERMARK_LAG = Spec(
    "rookery_watermark_lag_seconds",
    Kind.GAUGE,
    "now minus the watermark, as the worker that owns the shard sees it",
    (_PRIMARY, _SHARD),
)
WATERMARK_REGRESSIONS = Spec(
    "rookery_watermark_regressions_total",
    Kind.COUNTER,
    "times a watermark was found older (failover) or missing (empty), or its primary was flushed as too far behind",
    (_PRIMARY, _closed("cause", "older", "missing", "flushed")),
)
FANOUT_COMPLETION = Spec(
    "rookery_fanout_completion_seconds",
    Kind.HISTOGRAM,
    "from the event to its last delivery",
    (_TIER,),
    FRESHNESS_BUCKETS,
)
FANOUT_DELIVERIES = Spec(
    "rookery_fanout_deliveries_total",
    Kind.COUNTER,
    "home lists met by fan-out; inserted = put in its place by the script, inactive = no list to grow",
    (_closed("outcome", "pushed", "inserted", "duplicate", "inactive"),),
)
FANOUT_PAGE = Spec("rookery_fanout_page_seconds", Kind.HISTOGRAM, "one page of followers", (), STORE_BUCKETS)
FANOUT_OPEN_EVENTS = Spec("rookery_fanout_open_events", Kind.GAUGE, "events under way")
OUTBOX_OLDEST_PENDING = Spec(
    "rookery_outbox_oldest_pending_seconds",
    Kind.GAUGE,
    "age of the oldest event neither applied nor dead",
    (_SHARD,),
)
OUTBOX_SHARDS = Spec(
    "rookery_outbox_shards", Kind.GAUGE, "this worker's view of all leases", (_closed("state", "owned", "unowned"),)
)
OUTBOX_EVENTS = Spec(
    "rookery_outbox_events_total",
    Kind.COUNTER,
    "events by fate; reapplied = after an older watermark or an audit difference",
    (
        _closed("kind", "post", "delete", "follow", "unfollow", "block", "unblock", "mute", "account"),
        _closed("outcome", "applied", "reapplied", "dead"),
    ),
)
OUTBOX_AUDITS = Spec(
    "rookery_outbox_audits_total",
    Kind.COUNTER,
    "audits of closed windows by count and XOR, by the round of the audit",
    (_closed("age", "30s", "5m", "4h", "24h"), _closed("result", "equal", "different")),
)
OUTBOX_DEAD = Spec("rookery_outbox_dead", Kind.GAUGE, "events that could not be decoded: every claim waits for them")
OUTBOX_RINGS = Spec(
    "rookery_outbox_rings_total",
    Kind.COUNTER,
    "doorbell: events first seen by a ring, or only by a poll",
    (_closed("outcome", "heard", "missed"),),
)

RECOUNTS = Spec(
    "rookery_recounts_total",
    Kind.COUNTER,
    "parts counted anew; failed = the store did not answer, and the part is counted again",
    (_closed("kind", "followers", "following", "tweets"), _closed("outcome", "stored", "failed")),
)
RECOUNTS_WAITING = Spec("rookery_recounts_waiting", Kind.GAUGE, "parts that changed and are not counted yet")
RECOUNTS_OLDEST = Spec(
    "rookery_recounts_oldest_seconds", Kind.GAUGE, "how long ago the first change was that is not counted yet"
)
TIER_CHANGES = Spec(
    "rookery_tier_changes_total",
    Kind.COUNTER,
    "authors announced to be merged by readers, or to be delivered again",
    (_closed("to", "pull", "push"),),
)

# --- ids and leases -------------------------------------------------------------------------------------------
LEASE_TRANSITIONS = Spec(
    "rookery_lease_transitions_total",
    Kind.COUNTER,
    "leases gained and lost",
    (_closed("kind", "worker_id", "shard", "singleton"), _closed("change", "acquired", "released", "lost")),
)
LEASE_RENEWAL_AGE = Spec(
    "rookery_lease_renewal_age_seconds",
    Kind.GAUGE,
    "time since the last certain renewal, the oldest of its kind",
    (_closed("kind", "worker_id", "shard", "singleton"),),
)
IDS_REFUSED = Spec(
    "rookery_ids_refused_total",
    Kind.COUNTER,
    "ids not minted",
    (_closed("reason", "clock", "ceiling", "sequence"),),
)
IDS_CLOCK_OFFSET = Spec(
    "rookery_ids_clock_offset_seconds", Kind.GAUGE, "this clock against the median of three Cassandra coordinators'"
)
IDS_WORKER_INFO = Spec(
    "rookery_ids_worker_info",
    Kind.GAUGE,
    "1 for the worker id this process holds",
    (Label("worker_id", of="the leased worker id"),),
)

# --- process --------------------------------------------------------------------------------------------------
EVENT_LOOP_LAG = Spec(
    "rookery_event_loop_lag_seconds", Kind.HISTOGRAM, "delay of a 100 ms heartbeat", (), STORE_BUCKETS
)
EVENT_LOOP_TASKS = Spec("rookery_event_loop_tasks", Kind.GAUGE, "tasks alive: watch for leaks")
BUILD_INFO = Spec(
    "rookery_build_info",
    Kind.GAUGE,
    "1, with what is running",
    (
        Label("version", of="this build"),
        Label("commit", of="this build"),
        Label("python", of="this interpreter"),
        Label("grpc", of="the installed grpcio"),
    ),
)
SCHEMA_VERSION = Spec(
    "rookery_schema_version", Kind.GAUGE, "number of the schema step", (_closed("kind", "expected", "installed"),)
)
READY = Spec(
    "rookery_ready",
    Kind.GAUGE,
    "1 when the check passes",
    (_closed("check", "statements", "cassandra", "ids", "clock", "loop", "serving"),),
)

CATALOGUE: tuple[Spec, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Spec))
"""Every metric above, in the order written."""
