"""Every rule holds for the project, and every rule can fail."""

from __future__ import annotations

import pytest

from tests.architecture import rules
from tests.architecture.imports import client_needs_grpcio_and_protobuf_only, imports_follow_the_table
from tests.architecture.rules import RULES, Rule
from tests.architecture.sources import project

CASSANDRA, REDIS = "server/rookery_server/store/cassandra/tweets.py", "server/rookery_server/cache/redis/lists.py"
SERVICE, CLIENT = "server/rookery_server/services/tweets.py", "client/rookery/client.py"

BROKEN: tuple[tuple[Rule, str, str], ...] = (
    (imports_follow_the_table, "server/rookery_server/domain/text.py", "import redis"),
    (imports_follow_the_table, "server/rookery_server/domain/text.py", "from rookery_server.store import interface"),
    (imports_follow_the_table, "server/rookery_server/domain/text.py", "from ..store import interface"),
    (imports_follow_the_table, SERVICE, "def f():\n    from rookery_server.store.cassandra import session"),
    (imports_follow_the_table, SERVICE, "from rookery.v1 import tweets_pb2"),
    (imports_follow_the_table, SERVICE, "from rookery_server import wiring"),
    (imports_follow_the_table, CASSANDRA, "from cassandra.cluster import Cluster"),
    (imports_follow_the_table, CASSANDRA, "from rookery_server.cache import interface"),
    (imports_follow_the_table, REDIS, "from rookery_server.store.memory import MemoryStore"),
    (imports_follow_the_table, "server/rookery_server/rpc/app.py", "import cassandra"),
    (imports_follow_the_table, "server/rookery_server/rpc/app.py", "from rookery_server.workers import runner"),
    (imports_follow_the_table, "server/rookery_server/workers/runner.py", "import rookery_server.rpc.app"),
    (imports_follow_the_table, "server/rookery_server/dev/stack.py", "from rookery_server.wiring import build"),
    (imports_follow_the_table, "server/rookery_server/novelty/thing.py", "from rookery_server.domain import ids"),
    (client_needs_grpcio_and_protobuf_only, CLIENT, "from google.rpc import status_pb2"),
    (client_needs_grpcio_and_protobuf_only, CLIENT, "import rookery_server"),
    (rules.sizes_stay_readable, SERVICE, "x = 1\n" * 501),
    (rules.sizes_stay_readable, SERVICE, "def f():\n" + "    x = 1\n" * 60),
    (rules.names_say_something, "server/rookery_server/services/tweet_utils.py", ""),
    (rules.names_say_something, SERVICE, "class TweetManager: ..."),
    (rules.no_string_built_cql, CASSANDRA, 'q = f"SELECT body FROM tweets WHERE tweet_id = {x}"'),
    (rules.no_string_built_cql, CASSANDRA, 'q = "SELECT body FROM tweets WHERE tweet_id = %s" % x'),
    (rules.no_string_built_cql, CASSANDRA, 'q = "DELETE FROM " + table'),
    (rules.no_string_built_cql, CASSANDRA, 'q = "UPDATE {} SET a = ?".format(table)'),
    (rules.no_string_built_cql, CASSANDRA, 'q = " ".join(["INSERT INTO t (a) VALUES (?)", extra])'),
    (rules.no_bound_null, CASSANDRA, "session.write(POST, (1, None))"),
    (rules.no_bound_null, CASSANDRA, "session.write(POST, [1, x if x else None])"),
    (rules.no_bound_null, CASSANDRA, "session.write(POST, {'lang': lang or None})"),
    (rules.no_bound_null, CASSANDRA, "POST.bind(1, None)"),
    (rules.no_bound_null, CASSANDRA, 'POST = "INSERT INTO t (a, b) VALUES (?, null)"'),
    (rules.no_bound_null, CASSANDRA, 'POST = "UPDATE t SET a = null WHERE b = ?"'),
    (rules.no_cql_footguns, CASSANDRA, 'q = "SELECT a FROM t WHERE b = ? ALLOW FILTERING"'),
    (rules.batches_can_be_replayed, "schema/tables/tweets.cql", "CREATE TABLE t (a int) WITH gc_grace_seconds = 3600"),
    (rules.no_redis_keys, REDIS, "client.execute_command('KEYS', '*')"),
    (rules.no_redis_keys, REDIS, "SCRIPT = \"return redis.call('KEYS', '*')\""),
    (rules.environment_is_read_in_one_place, SERVICE, "import os\nport = os.environ['PORT']"),
    (rules.time_and_chance_are_injected, SERVICE, "import time\nnow = time.time()"),
    (rules.time_and_chance_are_injected, SERVICE, "from time import monotonic"),
    (rules.time_and_chance_are_injected, SERVICE, "import random\nx = random.random()"),
    (rules.imports_do_no_work, SERVICE, "connect()"),
    (rules.broad_excepts_give_their_reason, SERVICE, "try:\n    f()\nexcept Exception:\n    pass"),
    (rules.the_epoch_has_one_home, SERVICE, "x = 1288834974657"),
    (rules.no_test_is_skipped, "tests/unit/test_x.py", "import pytest\n@pytest.mark.skip\ndef test(): ..."),
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_holds(rule: Rule) -> None:
    assert list(rule(project())) == []


@pytest.mark.parametrize(("rule", "path", "source"), BROKEN, ids=lambda v: getattr(v, "__name__", None))
def test_fails_where_it_should(rule: Rule, path: str, source: str) -> None:
    violations = list(rule({path: source}))
    assert violations, f"{rule.__name__} accepts {source!r} in {path}"
    assert all(violation.startswith(path) for violation in violations)


def test_every_rule_is_shown_to_fail() -> None:
    assert {rule for rule, _, _ in BROKEN} == set(RULES)


ALLOWED: tuple[tuple[Rule, str, str], ...] = (
    (imports_follow_the_table, SERVICE, "import asyncio\nfrom rookery_server.domain import ids\nfrom . import users"),
    (imports_follow_the_table, "server/rookery_server/cli/serve.py", "from rookery_server.wiring import build"),
    (rules.no_string_built_cql, CASSANDRA, 'q = "SELECT a " "FROM t"\nlog(f"selected {q}")'),
    (rules.no_bound_null, CASSANDRA, 'session.write(POST, (1, ""), timeout=None)\nx: tuple[int | None, ...] = (None,)'),
    (rules.no_redis_keys, REDIS, "SCRIPT = \"redis.call('LPUSH', KEYS[1], ARGV[1])\""),
    (rules.broad_excepts_give_their_reason, SERVICE, "try:\n    f()\nexcept BaseException:\n    g()\n    raise"),
    (rules.broad_excepts_give_their_reason, SERVICE, "try:\n    f()\nexcept Exception:  # a reason\n    pass"),
)


@pytest.mark.parametrize(("rule", "path", "source"), ALLOWED, ids=lambda v: getattr(v, "__name__", None))
def test_does_not_cry_wolf(rule: Rule, path: str, source: str) -> None:
    assert list(rule({path: source})) == []
