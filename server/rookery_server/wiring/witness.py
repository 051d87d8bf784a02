"""The witness of the use cases that counts: children bound once, by name."""

from __future__ import annotations

from rookery_server.metrics import Metrics


class CountingWitness:
    """`services.witness.Witness` over the metrics of this process."""

    def __init__(self, metrics: Metrics):
        self._requests, self._looked_up, self._coalesced = metrics.requests, metrics.cache_requests, metrics.coalesced
        self._pages, self._removals, self._builds = metrics.home_pages, metrics.removals, metrics.list_builds
        self._rounds, self._age = metrics.page_rounds(), metrics.complete_through_age()
        self._build_time, self._building = metrics.list_build, metrics.list_builds_in_flight()
        self._verified, self._mismatches = metrics.verified_homes, metrics.home_mismatches

    def request(self, method: str, outcome: str) -> None:
        self._requests(method, outcome).inc()

    def cache(self, cache: str, outcome: str, count: int = 1) -> None:
        if count:
            self._looked_up(cache, outcome).inc(count)

    def coalesced(self, cache: str) -> None:
        self._coalesced(cache).inc()

    def page(self, source: str, flag: str, rounds: int, claim_age_s: float) -> None:
        self._pages(source, flag).inc()
        self._rounds.observe(rounds)
        self._age.observe(claim_age_s)

    def building(self, more: int) -> None:
        self._building.inc(more)

    def built(self, outcome: str) -> None:
        self._builds(outcome).inc()

    def build_time(self, reason: str, seconds: float) -> None:
        self._build_time(reason).observe(seconds)

    def removal(self, operation: str, settled: bool) -> None:
        self._removals(operation, "true" if settled else "false").inc()

    def verified(self, outcome: str) -> None:
        self._verified(outcome).inc()

    def home_mismatch(self, kind: str) -> None:
        self._mismatches(kind).inc()
