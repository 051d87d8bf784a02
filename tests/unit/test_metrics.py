"""The catalogue is sound, the object that binds it covers all of it, and a scrape stays small."""

from __future__ import annotations

import re

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from rookery_server.metrics import FAMILY_CHILDREN, Family, Gauge, Method, Metrics, UnknownLabel
from rookery_server.metrics_catalogue import CATALOGUE, GRPC_CODES, Kind, Label, Spec
from rookery_server.rpc.methods import SERVICES

MAX_SERIES, MAX_HISTOGRAM_CHILDREN = 5_000, 150
"""Of one process.  A scrape of 201 histogram children took 48 ms."""
GET_TWEET = Method("rookery.v1.TweetService", "GetTweet")


def test_every_entry_is_an_attribute_and_every_attribute_an_entry() -> None:
    families = [value for value in vars(Metrics()).values() if isinstance(value, Family)]
    assert {family.spec.name for family in families} == {spec.name for spec in CATALOGUE}
    assert len(families) == len(CATALOGUE)


@pytest.mark.parametrize("spec", CATALOGUE, ids=lambda spec: spec.name)
def test_entries_keep_the_conventions_of_prometheus(spec: Spec) -> None:
    assert re.fullmatch(r"(grpc_server|rookery)_[a-z_]+", spec.name)
    assert spec.name.endswith("_total") == (spec.kind is Kind.COUNTER)
    assert bool(spec.buckets) == (spec.kind is Kind.HISTOGRAM)
    assert list(spec.buckets) == sorted(set(spec.buckets))
    assert not re.search(r"_(ms|milliseconds|minutes|kb|percent)(_|$)", spec.name)
    assert spec.meaning
    assert not spec.meaning.endswith(".")
    for label in spec.labels:
        assert bool(label.values) != bool(label.of)
        assert len(set(label.values)) == len(label.values)
        assert label.name not in ("user", "user_id", "tweet", "tweet_id", "key", "text", "address", "error")


def test_names_are_unique() -> None:
    assert len({spec.name for spec in CATALOGUE}) == len(CATALOGUE)


def test_objectives_have_a_bucket_at_their_edge() -> None:
    edges = {spec.name: spec.buckets for spec in CATALOGUE}
    assert {0.2, 0.5} <= set(edges["grpc_server_handling_seconds"])
    assert 5.0 in edges["rookery_fanout_completion_seconds"]
    assert 20.0 in edges["rookery_complete_through_age_seconds"]


def test_closed_label_sets_start_at_zero() -> None:
    samples = _scrape(Metrics())
    assert samples['rookery_home_pages_total{flag="stale",source="merge"}'] == 0
    assert samples['rookery_list_build_seconds_count{reason="absent"}'] == 0
    assert samples["rookery_outbox_dead"] == 0


def test_methods_are_bound_with_every_code() -> None:
    metrics = Metrics([GET_TWEET])
    rpc = metrics.rpc(GET_TWEET)
    assert tuple(rpc.handled) == GRPC_CODES
    rpc.started.inc()
    rpc.handled["NOT_FOUND"].inc()
    rpc.handling.observe(0.2)
    labels = 'grpc_method="GetTweet",grpc_service="rookery.v1.TweetService",grpc_type="unary"'
    samples = _scrape(metrics)
    assert samples[f"grpc_server_started_total{{{labels}}}"] == 1
    assert samples[f'grpc_server_handled_total{{grpc_code="NOT_FOUND",{labels}}}'] == 1
    assert samples[f'grpc_server_handled_total{{grpc_code="OK",{labels}}}'] == 0
    assert samples[f'grpc_server_handling_seconds_bucket{{{labels},le="0.2"}}'] == 1
    assert samples[f'grpc_server_handling_seconds_bucket{{{labels},le="0.1"}}'] == 0
    with pytest.raises(KeyError):
        metrics.rpc(Method("rookery.v1.TweetService", "Unheard"))


def test_a_child_is_bound_once() -> None:
    metrics = Metrics()
    assert metrics.cassandra_request("tweet_by_id") is metrics.cassandra_request("tweet_by_id")
    assert metrics.cassandra_request("tweet_by_id") is not metrics.cassandra_request("user_by_id")


@pytest.mark.parametrize(
    "values", [("timeline",), ("timeline", "hit", "more"), ("timeline", "maybe"), ("elephant", "hit"), ()]
)
def test_values_outside_their_set_are_refused(values: tuple[str, ...]) -> None:
    with pytest.raises(UnknownLabel):
        Metrics().cache_requests(*values)


def test_an_open_label_cannot_grow_without_bound() -> None:
    spec = Spec("rookery_x", Kind.GAUGE, "x", (Label("of", of="something that grows"),))
    family: Family[Gauge] = Family(spec, CollectorRegistry())
    for value in range(FAMILY_CHILDREN):
        family(str(value))
    with pytest.raises(UnknownLabel):
        family("one more")


def test_a_released_shard_is_no_longer_spoken_for() -> None:
    metrics = Metrics()
    for shard in ("3", "4"):
        metrics.outbox_oldest_pending(shard).set(9)
        for primary in ("0", "1"):
            metrics.watermark_lag(primary, shard).set(9)
    metrics.shard_released(3)
    left = {name for name in _scrape(metrics) if "shard=" in name}
    assert left == {
        'rookery_outbox_oldest_pending_seconds{shard="4"}',
        'rookery_watermark_lag_seconds{primary="0",shard="4"}',
        'rookery_watermark_lag_seconds{primary="1",shard="4"}',
    }
    metrics.watermark_lag("0", "3").set(1)  # and taken again
    assert _scrape(metrics)['rookery_watermark_lag_seconds{primary="0",shard="3"}'] == 1


def test_two_objects_share_nothing() -> None:
    one, two = Metrics(), Metrics()
    one.outbox_dead().set(3)
    assert _scrape(two)["rookery_outbox_dead"] == 0


def test_a_full_process_stays_within_its_budget() -> None:
    metrics = Metrics(Method(service.full_name, method.name) for service in SERVICES for method in service.methods)
    metrics.collect_process()
    for statement in range(60):
        metrics.cassandra_request(f"statement_{statement}")
    for primary in range(12):
        metrics.redis_in_flight(str(primary))
        for shard in range(16):
            metrics.watermark_lag(str(primary), str(shard))
            metrics.outbox_oldest_pending(str(shard))
    for method in ("CreateTweet", "CreateUser"):
        for outcome in ("new", "replay", "conflict"):
            metrics.requests(method, outcome)
    metrics.build_info("1", "2", "3", "4").set(1)
    metrics.ids_worker_info("7").set(1)
    samples = _scrape(metrics)
    assert 500 < len(samples) <= MAX_SERIES
    assert 60 < sum(1 for name in samples if re.match(r"\w+_count(\{|$)", name)) <= MAX_HISTOGRAM_CHILDREN
    assert any(name.startswith("process_cpu_seconds_total") for name in samples)
    assert any(name.startswith("python_gc_collections_total") for name in samples)
    assert not any("_created" in name for name in samples)


def _scrape(metrics: Metrics) -> dict[str, float]:
    """Every series of a real scrape, read back by the client's own parser."""
    return {
        sample.name + _labels(sample.labels): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }


def _labels(labels: dict[str, str]) -> str:
    return "{" + ",".join(f'{name}="{labels[name]}"' for name in sorted(labels)) + "}" if labels else ""
