"""The metrics of one process, built by the wiring over a registry of its own.

`Metrics` has one attribute for each entry of the catalogue.  Calling it with label values, in the catalogue's order,
gives the bound child; bind once, where the values are known, and keep the child on hot paths::

    timed = metrics.cassandra_request("tweet_by_id")     # at preparation
    timed.observe(seconds)                               # for each request

A label value outside its closed set is a bug and raises `UnknownLabel`.  Label sets that are closed by the catalogue
are seeded when the object is built, so that every rate starts at 0.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, cast

import prometheus_client as prom

from rookery_server import metrics_catalogue as catalogue
from rookery_server.metrics_catalogue import GRPC_CODES, Kind, Spec


class Counter(Protocol):
    def inc(self, amount: float = 1) -> None: ...


class Gauge(Protocol):
    def inc(self, amount: float = 1) -> None: ...

    def dec(self, amount: float = 1) -> None: ...

    def set(self, value: float) -> None: ...


class Histogram(Protocol):
    def observe(self, amount: float) -> None: ...


Child = TypeVar("Child", Counter, Gauge, Histogram, covariant=True)

FAMILY_CHILDREN = 1_000
"""More children than this mean a label that is not a closed set; the largest family needs 17 codes × ~30 methods."""


class UnknownLabel(ValueError):
    """A label value that is not in the catalogue, or one child too many."""


class Family(Generic[Child]):
    """One metric; `family(*label_values)` is its bound child."""

    def __init__(self, spec: Spec, registry: prom.CollectorRegistry) -> None:
        self.spec = spec
        names = tuple(label.name for label in spec.labels)
        self._metric: prom.Counter | prom.Gauge | prom.Histogram
        match spec.kind:
            case Kind.COUNTER:
                self._metric = prom.Counter(spec.name, spec.meaning, names, registry=registry)
            case Kind.GAUGE:
                self._metric = prom.Gauge(spec.name, spec.meaning, names, registry=registry)
            case Kind.HISTOGRAM:
                self._metric = prom.Histogram(spec.name, spec.meaning, names, registry=registry, buckets=spec.buckets)
        self._children: dict[tuple[str, ...], Child] = {}
        if spec.closed:
            for values in itertools.product(*(label.values for label in spec.labels)):
                self(*values)

    def __call__(self, *values: str) -> Child:
        """The child of these label values, in the catalogue's order.  Raises UnknownLabel."""
        child = self._children.get(values)
        return self._bind(values) if child is None else child

    def _bind(self, values: tuple[str, ...]) -> Child:
        labels = self.spec.labels
        if len(values) != len(labels) or len(self._children) >= FAMILY_CHILDREN:
            raise UnknownLabel(f"{self.spec.name}: {len(values)} label values, {len(self._children)} children")
        for label, value in zip(labels, values, strict=True):
            if label.values and value not in label.values:
                raise UnknownLabel(f"{self.spec.name}: {label.name}={value!r}")
        child = cast("Child", self._metric.labels(*values) if values else self._metric)
        self._children[values] = child
        return child

    def drop(self, **labels: str) -> None:
        """Forgets every child with these label values: what another process owns from now on."""
        at = [(n, labels[label.name]) for n, label in enumerate(self.spec.labels) if label.name in labels]
        for values in [v for v in self._children if all(v[n] == wanted for n, wanted in at)]:
            del self._children[values]
            self._metric.remove(*values)


@dataclass(frozen=True, slots=True)
class Method:
    """One RPC as the `grpc_server_*` labels name it; `type` is `unary` or `server_stream`."""

    service: str
    name: str
    type: str = "unary"


@dataclass(frozen=True, slots=True)
class RpcMetrics:
    """All children of one method, bound."""

    started: Counter
    received: Counter
    sent: Counter
    handling: Histogram
    in_flight: Gauge
    without_deadline: Counter
    handled: Mapping[str, Counter]
    """By the canonical code's name, `OK` … `UNAUTHENTICATED`."""


class Metrics:
    """Every metric of the process.  `methods` are the RPCs it serves: none for a worker."""

    def __init__(self, methods: Iterable[Method] = (), registry: prom.CollectorRegistry | None = None) -> None:
        self.registry = registry or prom.CollectorRegistry()
        self._calls()
        self._stores()
        self._pages()
        self._delivery()
        self._process()
        self._methods = {method: self._rpc(method) for method in methods}

    def _counter(self, spec: Spec) -> Family[Counter]:
        return Family(spec, self.registry)

    def _gauge(self, spec: Spec) -> Family[Gauge]:
        return Family(spec, self.registry)

    def _histogram(self, spec: Spec) -> Family[Histogram]:
        return Family(spec, self.registry)

    def _calls(self) -> None:
        self.grpc_started = self._counter(catalogue.GRPC_STARTED)
        self.grpc_handled = self._counter(catalogue.GRPC_HANDLED)
        self.grpc_received = self._counter(catalogue.GRPC_RECEIVED)
        self.grpc_sent = self._counter(catalogue.GRPC_SENT)
        self.grpc_handling = self._histogram(catalogue.GRPC_HANDLING)
        self.rpc_in_flight = self._gauge(catalogue.RPC_IN_FLIGHT)
        self.rpc_without_deadline = self._counter(catalogue.RPC_WITHOUT_DEADLINE)
        self.deadline_refused = self._counter(catalogue.DEADLINE_REFUSED)
        self.requests = self._counter(catalogue.REQUESTS)
        self.unknown_outcomes = self._counter(catalogue.UNKNOWN_OUTCOMES)
        self.removals = self._counter(catalogue.REMOVALS)

    def _stores(self) -> None:
        self.cassandra_request = self._histogram(catalogue.CASSANDRA_REQUEST)
        self.cassandra_errors = self._counter(catalogue.CASSANDRA_ERRORS)
        self.cassandra_in_flight = self._gauge(catalogue.CASSANDRA_IN_FLIGHT)
        self.cassandra_hops = self._counter(catalogue.CASSANDRA_HOPS)
        self.redis_request = self._histogram(catalogue.REDIS_REQUEST)
        self.redis_errors = self._counter(catalogue.REDIS_ERRORS)
        self.redis_redirects = self._counter(catalogue.REDIS_REDIRECTS)
        self.redis_in_flight = self._gauge(catalogue.REDIS_IN_FLIGHT)
        self.cache_requests = self._counter(catalogue.CACHE_REQUESTS)
        self.coalesced = self._counter(catalogue.COALESCED)

    def _pages(self) -> None:
        self.home_pages = self._counter(catalogue.HOME_PAGES)
        self.page_rounds = self._histogram(catalogue.PAGE_ROUNDS)
        self.complete_through_age = self._histogram(catalogue.COMPLETE_THROUGH_AGE)
        self.list_build = self._histogram(catalogue.LIST_BUILD)
        self.list_builds = self._counter(catalogue.LIST_BUILDS)
        self.list_builds_in_flight = self._gauge(catalogue.LIST_BUILDS_IN_FLIGHT)
        self.verified_homes = self._counter(catalogue.VERIFIED_HOMES)
        self.home_mismatches = self._counter(catalogue.HOME_MISMATCHES)

    def _delivery(self) -> None:
        self.watermark_lag = self._gauge(catalogue.WATERMARK_LAG)
        self.watermark_regressions = self._counter(catalogue.WATERMARK_REGRESSIONS)
        self.fanout_completion = self._histogram(catalogue.FANOUT_COMPLETION)
        self.fanout_deliveries = self._counter(catalogue.FANOUT_DELIVERIES)
        self.fanout_page = self._histogram(catalogue.FANOUT_PAGE)
        self.fanout_open_events = self._gauge(catalogue.FANOUT_OPEN_EVENTS)
        self.outbox_oldest_pending = self._gauge(catalogue.OUTBOX_OLDEST_PENDING)
        self.outbox_shards = self._gauge(catalogue.OUTBOX_SHARDS)
        self.outbox_events = self._counter(catalogue.OUTBOX_EVENTS)
        self.outbox_audits = self._counter(catalogue.OUTBOX_AUDITS)
        self.outbox_dead = self._gauge(catalogue.OUTBOX_DEAD)
        self.outbox_rings = self._counter(catalogue.OUTBOX_RINGS)
        self.recounts = self._counter(catalogue.RECOUNTS)
        self.recounts_waiting = self._gauge(catalogue.RECOUNTS_WAITING)
        self.recounts_oldest = self._gauge(catalogue.RECOUNTS_OLDEST)
        self.tier_changes = self._counter(catalogue.TIER_CHANGES)

    def _process(self) -> None:
        self.lease_transitions = self._counter(catalogue.LEASE_TRANSITIONS)
        self.lease_renewal_age = self._gauge(catalogue.LEASE_RENEWAL_AGE)
        self.ids_refused = self._counter(catalogue.IDS_REFUSED)
        self.ids_clock_offset = self._gauge(catalogue.IDS_CLOCK_OFFSET)
        self.ids_worker_info = self._gauge(catalogue.IDS_WORKER_INFO)
        self.event_loop_lag = self._histogram(catalogue.EVENT_LOOP_LAG)
        self.event_loop_tasks = self._gauge(catalogue.EVENT_LOOP_TASKS)
        self.build_info = self._gauge(catalogue.BUILD_INFO)
        self.schema_version = self._gauge(catalogue.SCHEMA_VERSION)
        self.ready = self._gauge(catalogue.READY)

    def rpc(self, method: Method) -> RpcMetrics:
        """The bound children of a method this object was built with.  Raises KeyError for any other."""
        return self._methods[method]

    def _rpc(self, method: Method) -> RpcMetrics:
        labels = (method.type, method.service, method.name)
        return RpcMetrics(
            started=self.grpc_started(*labels),
            received=self.grpc_received(*labels),
            sent=self.grpc_sent(*labels),
            handling=self.grpc_handling(*labels),
            in_flight=self.rpc_in_flight(method.name),
            without_deadline=self.rpc_without_deadline(method.name),
            handled={code: self.grpc_handled(*labels, code) for code in GRPC_CODES},
        )

    def shard_released(self, shard: int) -> None:
        """A shard belongs to another worker now: only its present owner may speak for it."""
        self.watermark_lag.drop(shard=str(shard))
        self.outbox_oldest_pending.drop(shard=str(shard))

    def collect_process(self) -> None:
        """Adds `process_*` and `python_gc_*` of this process to the scrape; once, by the wiring of a real process."""
        prom.ProcessCollector(registry=self.registry)
        prom.GCCollector(registry=self.registry)

    def render(self) -> bytes:
        """The text exposition.  Takes tens of milliseconds with many histograms: not for the event loop."""
        # `_created` doubles the series of every counter, and nothing here reads it.
        prom.disable_created_metrics()  # type: ignore[no-untyped-call]
        return prom.generate_latest(self.registry)
