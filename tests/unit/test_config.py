"""The environment makes one frozen tree, mistakes are named in full, and secrets are never shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from rookery_server.config import BadConfiguration, Role, Settings, environment_names, load
from rookery_server.domain import limits
from rookery_server.domain.fanout import Crossing, Thresholds


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("ROOKERY_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def set_env(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    return monkeypatch


@pytest.fixture
def readable(tmp_path: Path) -> str:
    file = tmp_path / "file"
    file.write_text("content\n")
    return str(file)


def _load(monkeypatch: pytest.MonkeyPatch, **values: str) -> Settings:
    for name, value in values.items():
        monkeypatch.setenv(f"ROOKERY_{name}", value)
    return load()


def _production(readable: str) -> dict[str, str]:
    return {
        "SERVE__HOST": "0.0.0.0",  # noqa: S104 - what a pod listens on
        "IDENTITY__MODE": "jwt",
        "IDENTITY__ISSUER": "https://issuer.example",
        "IDENTITY__AUDIENCE": "rookery",
        "IDENTITY__JWKS_FILE": readable,
        "TOKENS__KEYS_FILE": readable,
    }


def test_an_empty_environment_is_a_working_development_set_up() -> None:
    settings = load()
    assert [settings.verify(role) for role in ("serve", "work", "migrate")] == [[], [], []]
    assert settings.identity.mode == "development"
    assert settings.outbox.shards == 16
    assert settings.quotas.tweets_per_3h == limits.TWEETS_PER_3H


def test_names_are_paths_and_lists_have_commas(set_env: pytest.MonkeyPatch) -> None:
    settings = _load(
        set_env,
        CASSANDRA__CONTACT_POINTS="10.0.0.1, 10.0.0.2",
        CASSANDRA__PORT="9043",
        REDIS__NODES="a:1,[::1]:2",
        REDIS__TLS__CA_FILE="/ca.pem",
        SERVE__REFLECTION="false",
        OUTBOX__AUDIT_AGES_S="1,2,3,4.5",
    )
    assert settings.cassandra.contact_points == ("10.0.0.1", "10.0.0.2")
    assert settings.cassandra.port == 9043
    assert settings.redis.nodes == ("a:1", "[::1]:2")
    assert settings.redis.tls.ca_file == Path("/ca.pem")
    assert settings.redis.tls.on
    assert settings.serve.reflection is False
    assert settings.outbox.audit_ages_s == (1, 2, 3, 4.5)


OTHER = {
    "OUTBOX__AUDIT_AGES_S": "1,2,3,4",
    "IDENTITY__MODE": "jwt",
    "REDIS__WINDOW": "100",
    "CASSANDRA__KEYSPACE": "other",
    "SERVE__REFLECTION": "false",
    "WORK__POLL_S": "2",
    "REDIS__CONNECT_TIMEOUT_S": "2",
    "STREAMS__POLL_S": "2",
}
"""Values a setting accepts and that are not its default, where that is not 1."""


@pytest.mark.parametrize("name", environment_names())
def test_each_name_reaches_its_setting(set_env: pytest.MonkeyPatch, name: str) -> None:
    value = OTHER.get(name.removeprefix("ROOKERY_"), "1")
    before = load()
    set_env.setenv(name, value)
    changed = [line for line in load().shown() if line not in before.shown()]
    assert [line.partition("=")[0] for line in changed] == [name]


def test_an_empty_value_is_the_default(set_env: pytest.MonkeyPatch) -> None:
    settings = _load(set_env, CASSANDRA__PASSWORD_FILE="", CASSANDRA__PORT="")
    assert settings == load()
    assert settings.cassandra.password_file is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CASSANDRA__PORT", "high"),
        ("CASSANDRA__PORT", "65536"),
        ("CASSANDRA__KEYSPACE", "rookery; DROP"),
        ("CASSANDRA__REPLICATION_FACTOR", "0"),
        ("CASSANDRA__READ_S", "-7"),
        ("CASSANDRA__PROT", "9042"),
        ("CASANDRA__PORT", "9042"),
        ("IDENTITY__MODE", "trusting"),
        ("SERVE__REFLECTION", "perhaps"),
        ("OUTBOX__AUDIT_AGES_S", "1,2,3"),
        ("OUTBOX__SHARDS", "0"),
        ("CLOCK__BOUND_MS", "1001"),
        ("QUOTAS__TWEETS_PER_3H", "0"),
    ],
)
def test_a_mistake_is_named_and_its_value_is_not(set_env: pytest.MonkeyPatch, name: str, value: str) -> None:
    with pytest.raises(BadConfiguration) as caught:
        _load(set_env, **{name: value})
    (problem,) = caught.value.problems
    assert problem.startswith(f"ROOKERY_{name}: ")
    assert value not in problem.partition(": ")[2].split()


def test_all_mistakes_are_named_at_once(set_env: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadConfiguration) as caught:
        _load(set_env, CASSANDRA__PORT="x", REDIS__TIMEOUT_S="-1", SERVE__PORT="y")
    assert len(caught.value.problems) == 3


def test_names_of_other_programs_are_theirs(set_env: pytest.MonkeyPatch) -> None:
    _load(set_env, TARGET="127.0.0.1:7070", DEV_DIR="/tmp")  # noqa: S108 - only a value


def test_the_tree_is_frozen() -> None:
    settings = load()
    with pytest.raises(ValidationError):
        settings.cassandra.port = 1
    with pytest.raises(ValidationError):
        settings.outbox = settings.outbox


def test_secrets_are_never_shown(set_env: pytest.MonkeyPatch) -> None:
    settings = _load(set_env, CASSANDRA__PASSWORD="hunter2", REDIS__PASSWORD="hunter2")
    assert settings.cassandra.read_password() == "hunter2"
    for text in (
        *settings.shown(),
        repr(settings),
        str(settings),
        repr(settings.model_dump()),
        settings.model_dump_json(),
    ):
        assert "hunter2" not in text
    assert "ROOKERY_REDIS__PASSWORD=********" in settings.shown()


def test_what_is_shown_can_be_given_back(set_env: pytest.MonkeyPatch) -> None:
    settings = load()
    for line in settings.shown():
        name, _, value = line.partition("=")
        set_env.setenv(name, value)
    assert load() == settings


def test_a_password_from_its_file(set_env: pytest.MonkeyPatch, readable: str) -> None:
    settings = _load(set_env, REDIS__PASSWORD_FILE=readable)
    assert settings.redis.read_password() == "content"
    assert settings.verify("work") == []


def test_production_needs_its_files(set_env: pytest.MonkeyPatch, readable: str) -> None:
    assert _load(set_env, **_production(readable)).verify("serve") == []


@pytest.mark.parametrize(
    "missing", ["IDENTITY__ISSUER", "IDENTITY__AUDIENCE", "IDENTITY__JWKS_FILE", "TOKENS__KEYS_FILE"]
)
def test_production_lacks_one_thing(set_env: pytest.MonkeyPatch, readable: str, missing: str) -> None:
    values = _production(readable)
    del values[missing]
    settings = _load(set_env, **values)
    (problem,) = settings.verify("serve")
    assert problem.startswith(f"ROOKERY_{missing}: needed in mode jwt")
    assert settings.verify("work") == []


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.1", "::", "example.com", ""])  # noqa: S104 - to be refused
def test_development_mode_listens_on_loopback_only(set_env: pytest.MonkeyPatch, host: str) -> None:
    settings = _load(set_env, SERVE__HOST=host or " ")
    (problem,) = settings.verify("serve")
    assert problem.startswith("ROOKERY_SERVE__HOST: development mode")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "::1", "localhost"])
def test_what_loopback_is(set_env: pytest.MonkeyPatch, host: str) -> None:
    assert _load(set_env, SERVE__HOST=host).verify("serve") == []


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"REDIS__NODES": ","}, "ROOKERY_REDIS__NODES: at least one"),
        ({"REDIS__NODES": "localhost"}, "ROOKERY_REDIS__NODES: localhost is not host:port"),
        ({"REDIS__NODES": "a:0"}, "ROOKERY_REDIS__NODES: a:0 is not host:port"),
        ({"REDIS__NODES": "a:99999"}, "ROOKERY_REDIS__NODES: a:99999 is not host:port"),
        ({"CASSANDRA__CONTACT_POINTS": ","}, "ROOKERY_CASSANDRA__CONTACT_POINTS: at least one"),
        ({"REDIS__PASSWORD_FILE": "/nowhere"}, "ROOKERY_REDIS: cannot read /nowhere: No such file"),
        ({"CASSANDRA__PASSWORD": "x"}, "ROOKERY_CASSANDRA: a password needs its username"),
        (
            {"REDIS__PASSWORD": "x", "REDIS__PASSWORD_FILE": "{readable}"},
            "ROOKERY_REDIS: give the password or its file",
        ),
        ({"REDIS__TLS__CA_FILE": "/nowhere"}, "ROOKERY_REDIS__TLS: cannot read /nowhere"),
        ({"SERVE__TLS__KEY_FILE": "{readable}"}, "ROOKERY_SERVE__TLS: a certificate needs its key"),
        ({"SERVE__HEALTH_PORT": "7070"}, "ROOKERY_SERVE: calls, health and metrics need a port each"),
        ({"OUTBOX__AUDIT_AGES_S": "30,300,20,400"}, "ROOKERY_OUTBOX__AUDIT_AGES_S: each age"),
        ({"TOKENS__KEYS_FILE": "/nowhere"}, "ROOKERY_TOKENS__KEYS_FILE: cannot read /nowhere"),
    ],
)
def test_what_makes_no_sense_together(
    set_env: pytest.MonkeyPatch, readable: str, values: dict[str, str], problem: str
) -> None:
    settings = _load(set_env, **{name: value.format(readable=readable) for name, value in values.items()})
    (found,) = settings.verify("serve")
    assert found.startswith(problem)


@pytest.mark.parametrize(
    ("role", "values", "problem"),
    [
        ("serve", {"TIERS__PULL_FROM": "9999"}, "ROOKERY_TIERS__PULL_FROM: not below BROAD_FROM"),
        ("work", {"TIERS__ANNOUNCE_S": "3600"}, "ROOKERY_TIERS: announce_s must be longer than relations_life_s"),
        ("serve", {"TIERS__MERGE_S": "604800"}, "ROOKERY_TIERS: merge_s must be longer than rebuild_after_s"),
        ("work", {"TIERS__DIRECTORY_S": "60"}, "ROOKERY_TIERS: directory_max_age_s must be longer than directory_s"),
        ("serve", {"STREAMS__MAX_AGE_S": "15"}, "ROOKERY_STREAMS__MAX_AGE_S: longer than HEARTBEAT_S"),
        ("work", {"WORK__LEASE_FREE_AFTER_S": "5"}, "ROOKERY_WORK__LEASE_FREE_AFTER_S: at least twice LEASE_RENEW_S"),
        ("work", {"WORK__COUNT_WITHIN_S": "4"}, "ROOKERY_WORK__COUNT_WITHIN_S: at least COUNT_AFTER_S"),
    ],
)
def test_times_that_would_lose_something_are_refused(
    set_env: pytest.MonkeyPatch, role: Role, values: dict[str, str], problem: str
) -> None:
    (found,) = _load(set_env, **values).verify(role)
    assert found.startswith(problem)


def test_no_author_is_merged_where_the_threshold_is_nought(set_env: pytest.MonkeyPatch) -> None:
    settings = _load(set_env, TIERS__PULL_FROM="0", TIERS__BROAD_FROM="200")
    assert settings.verify("serve") == settings.verify("work") == []
    assert settings.tiers.thresholds == Thresholds(200, None)


def test_the_tiers_of_an_empty_environment_are_those_of_the_domain() -> None:
    assert load().tiers.thresholds == Thresholds()
    assert load().tiers.crossing == Crossing()


def test_each_role_is_asked_only_for_what_it_uses(set_env: pytest.MonkeyPatch) -> None:
    settings = _load(set_env, REDIS__NODES="nonsense", SERVE__HOST="0.0.0.0")  # noqa: S104 - to be refused
    assert [len(settings.verify(role)) for role in ("serve", "work", "migrate")] == [2, 1, 0]


def test_several_ports_may_be_chosen_by_the_system(set_env: pytest.MonkeyPatch) -> None:
    assert _load(set_env, SERVE__PORT="0", SERVE__HEALTH_PORT="0", SERVE__METRICS_PORT="0").verify("serve") == []
