"""House rules over the sources.  Each takes all sources and yields what breaks it, as `path:line: what`."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator

from tests.architecture.imports import client_needs_grpcio_and_protobuf_only, imports_follow_the_table
from tests.architecture.sources import SERVER, Sources, parsed, under

Rule = Callable[[Sources], Iterator[str]]

MODULE_LINES, FUNCTION_LINES = 500, 60
CASES_LINES = 750
"""A file of test cases is read one case at a time."""
FORBIDDEN_NAME = re.compile(r"(?:^|_)(?:manager|helper|util|impl|base)s?(?:_|$)")
CQL = re.compile(r"^\s*(?:SELECT|INSERT\s+INTO|UPDATE|DELETE|BEGIN\s+(?:UNLOGGED\s+)?BATCH|TRUNCATE)\b")
CASSANDRA, REDIS = SERVER + "store/cassandra/", SERVER + "cache/redis/"
CLOCKLESS = tuple(SERVER + p for p in ("domain/", "services/", "workers/", "store/memory", "cache/memory"))
CLOCK_READS = {"time.time", "time.time_ns", "time.monotonic", "time.monotonic_ns", "time.perf_counter",
               "datetime.now", "datetime.utcnow", "datetime.datetime.now", "uuid.uuid4", "uuid.uuid1",
               "os.urandom", "secrets.token_bytes", "secrets.token_hex"}  # fmt: skip


def sizes_stay_readable(sources: Sources) -> Iterator[str]:
    for path, source in under(sources, "server/", "client/", "tests/"):
        lines, most = source.count("\n"), CASES_LINES if path.startswith("tests/") else MODULE_LINES
        if lines > most:
            yield f"{path}: {lines} lines, at most {most}"
        for node in ast.walk(parsed(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES:
                    yield f"{path}:{node.lineno}: {node.name} has {lines} lines, at most {FUNCTION_LINES}"


def names_say_something(sources: Sources) -> Iterator[str]:
    for path, source in under(sources, "server/", "client/"):
        for part in path.removesuffix(".py").split("/"):
            if FORBIDDEN_NAME.search(part):
                yield f"{path}: the name {part}"
        for node in ast.walk(parsed(source)):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", node.name).lower()
                if FORBIDDEN_NAME.search(snake):
                    yield f"{path}:{node.lineno}: the name {node.name}"


def _text(node: ast.AST) -> str | None:
    """The first characters of a string expression, when it is one."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(v.value for v in node.values if isinstance(v, ast.Constant) and isinstance(v.value, str))
    if isinstance(node, ast.BinOp):
        return _text(node.left)
    return None


def _built(node: ast.AST) -> str | None:
    """The text of a string put together at run time: f-string with values, %, +, .format, .replace, .join."""
    if isinstance(node, ast.JoinedStr) and any(isinstance(v, ast.FormattedValue) for v in node.values):
        return _text(node)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod | ast.Add):
        return _text(node.left)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if node.func.attr in ("format", "format_map", "replace"):
            return _text(node.func.value)
        if node.func.attr == "join" and node.args and isinstance(node.args[0], ast.List | ast.Tuple):
            return next((t for e in node.args[0].elts if (t := _text(e)) and CQL.match(t.upper())), None)
    return None


def no_string_built_cql(sources: Sources) -> Iterator[str]:
    """Statements are constants, prepared once.  (DDL is another matter: names of keyspaces cannot be bound.)"""
    for path, source in under(sources, SERVER):
        for node in ast.walk(parsed(source)):
            text = _built(node)
            if text is not None and CQL.match(text):
                yield f"{path}:{node.lineno}: CQL put together at run time"  # type: ignore[attr-defined]


def _may_be_null(node: ast.AST) -> bool:
    match node:
        case ast.Constant(value=None):
            return True
        case ast.IfExp():
            return _may_be_null(node.body) or _may_be_null(node.orelse)
        case ast.BoolOp(op=ast.Or()):
            return _may_be_null(node.values[-1])
        case ast.Starred():
            return _may_be_null(node.value)
        case ast.Tuple() | ast.List():
            return any(_may_be_null(element) for element in node.elts)
        case ast.Dict():
            return any(_may_be_null(value) for value in node.values)
    return False


def no_bound_null(sources: Sources) -> Iterator[str]:
    """A bound null is a tombstone.  In the adapter no sequence of values and no statement has one in it."""
    plumbing = (CASSANDRA + "bridge.py", CASSANDRA + "session.py")  # have no values of their own
    for path, source in under(sources, CASSANDRA):
        for node in ast.walk(parsed(source)):
            if isinstance(node, ast.Call) and path not in plumbing:
                for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
                    if isinstance(argument, ast.Tuple | ast.List | ast.Dict) and _may_be_null(argument):
                        yield f"{path}:{argument.lineno}: a null among bound values"
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if name == "bind" and any(_may_be_null(argument) for argument in node.args):
                    yield f"{path}:{node.lineno}: a null bound"
            text = _text(node)
            if text and CQL.match(text) and re.search(r"(?:[(,=]\s*)null\b", text, re.IGNORECASE):
                yield f"{path}:{node.lineno}: a null in a statement"  # type: ignore[attr-defined]


CQL_FOOTGUNS = re.compile(r"\b(?:ALLOW\s+FILTERING|MATERIALIZED\s+VIEW|COUNTER|CREATE\s+INDEX)\b", re.IGNORECASE)


def no_cql_footguns(sources: Sources) -> Iterator[str]:
    """No scan behind one's back, no view, no counter column, no secondary index."""
    for path, source in under(sources, CASSANDRA):
        for node in ast.walk(parsed(source)):
            text = _text(node)
            if text and (CQL.match(text) or "CREATE" in text) and (found := CQL_FOOTGUNS.search(text)):
                yield f"{path}:{node.lineno}: {found.group()}"  # type: ignore[attr-defined]


GC_GRACE_FLOOR_S = 86_400
"""Below a day Cassandra silently drops the replay of half a logged batch (the batchlog gives up with gc_grace)."""


def batches_can_be_replayed(sources: Sources) -> Iterator[str]:
    for path, source in under(sources, "schema/"):
        for line, text in enumerate(source.splitlines(), 1):
            for seconds in re.findall(r"gc_grace_seconds\s*=\s*(\d+)", text.split("--")[0]):
                if int(seconds) < GC_GRACE_FLOOR_S:
                    yield f"{path}:{line}: gc_grace_seconds = {seconds}, at least {GC_GRACE_FLOOR_S}"


def no_redis_keys(sources: Sources) -> Iterator[str]:
    """KEYS blocks a node for as long as it takes to read every key."""
    for path, source in under(sources, REDIS):
        for node in ast.walk(parsed(source)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
                text = node.value if isinstance(node.value, str) else node.value.decode("latin-1")
                if text == "KEYS" or re.search(r"call\(\s*['\"]KEYS['\"]", text, re.IGNORECASE):
                    yield f"{path}:{node.lineno}: KEYS"


def environment_is_read_in_one_place(sources: Sources) -> Iterator[str]:
    for path, source in under(sources, SERVER):
        if path.startswith((SERVER + "config.py", SERVER + "dev/")):
            continue  # dev starts other programs, whose environment it makes
        for node in ast.walk(parsed(source)):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in ("os.environ", "os.getenv"):
                yield f"{path}:{node.lineno}: reads the environment"


def time_and_chance_are_injected(sources: Sources) -> Iterator[str]:
    for path, source in under(sources, *CLOCKLESS):
        if path == SERVER + "domain/clock.py":
            continue
        for node in ast.walk(parsed(source)):
            if isinstance(node, ast.Attribute):
                name = ast.unparse(node)
                module_random = name.startswith("random.") and name not in ("random.Random", "random.SystemRandom")
                if name in CLOCK_READS or module_random:
                    yield f"{path}:{node.lineno}: {name}"
            elif isinstance(node, ast.ImportFrom) and node.module in ("time", "random", "secrets"):
                taken = {name.name for name in node.names} - {"Random"}
                if taken:
                    yield f"{path}:{node.lineno}: from {node.module} import {', '.join(sorted(taken))}"


def imports_do_no_work(sources: Sources) -> Iterator[str]:
    for path, source in under(sources, SERVER, "client/"):
        if path.startswith(SERVER + "cli/") or path.endswith("__main__.py"):
            continue  # a command line is put together by registering its commands
        for node in parsed(source).body:
            if isinstance(node, ast.For | ast.While | ast.With) or (
                isinstance(node, ast.Expr) and isinstance(node.value, ast.Call | ast.Await)
            ):
                yield f"{path}:{node.lineno}: work at import"


def broad_excepts_give_their_reason(sources: Sources) -> Iterator[str]:
    for path, source in under(sources, "server/", "client/"):
        lines = source.splitlines()
        for node in ast.walk(parsed(source)):
            if isinstance(node, ast.ExceptHandler):
                broad = node.type is None or ast.unparse(node.type) in ("Exception", "BaseException")
                near = lines[node.lineno - 1 : node.body[0].lineno]
                passed_on = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
                if broad and not passed_on and not any("#" in line for line in near):
                    yield f"{path}:{node.lineno}: a broad except without its reason beside it"


def the_epoch_has_one_home(sources: Sources) -> Iterator[str]:
    for path, source in under(sources, SERVER):
        for node in ast.walk(parsed(source)):
            if (
                isinstance(node, ast.Constant)
                and node.value == 1_288_834_974_657
                and not path.endswith("domain/ids.py")
            ):
                yield f"{path}:{node.lineno}: the epoch of ids, outside domain/ids.py"


def no_test_is_skipped(sources: Sources) -> Iterator[str]:
    for path, source in under(sources, "tests/"):
        for node in ast.walk(parsed(source)):
            if isinstance(node, ast.Attribute) and re.fullmatch(
                r"pytest\.(?:mark\.)?(?:skip|skipif|importorskip|xfail)", ast.unparse(node)
            ):
                yield f"{path}:{node.lineno}: {ast.unparse(node)}"


RULES: tuple[Rule, ...] = (
    imports_follow_the_table,
    client_needs_grpcio_and_protobuf_only,
    sizes_stay_readable,
    names_say_something,
    no_string_built_cql,
    no_bound_null,
    no_cql_footguns,
    batches_can_be_replayed,
    no_redis_keys,
    environment_is_read_in_one_place,
    time_and_chance_are_injected,
    imports_do_no_work,
    broad_excepts_give_their_reason,
    the_epoch_has_one_home,
    no_test_is_skipped,
)
