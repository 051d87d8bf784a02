"""Who may import whom: docs/architecture.md as data, and the rule that holds it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from tests.architecture.sources import CLIENT, SERVER, Sources, parsed, under


@dataclass(frozen=True)
class May:
    """`ours` are modules of rookery_server, `others` third-party ones; both stand for what is below them too."""

    ours: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


INTERFACES = ("store.interface", "cache.interface")
RPC_OTHERS = ("grpc", "grpc_health", "grpc_reflection", "google", "rookery.v1", "structlog", "jwt")
ANYTHING = May(ours=("",), others=("",))
TABLE: dict[str, May] = {
    "domain": May(),
    "store": May(ours=("domain", "metrics", "store.interface")),
    "store.interface": May(ours=("domain",)),
    "store.memory": May(ours=("domain", "store.interface")),
    "store.cassandra": May(ours=("domain", "store.interface", "metrics")),
    "store.cassandra.session": May(ours=("domain", "store.cassandra", "metrics"), others=("cassandra",)),
    "store.cassandra.errors": May(ours=("domain",), others=("cassandra",)),
    "cache": May(ours=("domain", "metrics", "cache.interface")),
    "cache.interface": May(ours=("domain",)),
    "cache.keys": May(ours=("domain",)),
    "cache.memory": May(ours=("domain", "cache.interface", "cache.keys")),
    "cache.redis": May(ours=("domain", "cache.interface", "cache.keys", "metrics"), others=("redis", "hiredis")),
    "services": May(ours=("domain", *INTERFACES)),
    "workers": May(ours=("domain", "services", "metrics", *INTERFACES)),
    "rpc": May(ours=("domain", "services", "metrics"), others=RPC_OTHERS),
    "metrics": May(ours=("metrics_catalogue",), others=("prometheus_client",)),
    "metrics_catalogue": May(),
    "metrics_docs": May(ours=("metrics_catalogue",)),
    "metrics_http": May(others=("prometheus_client",)),
    "config": May(ours=("config_sections",), others=("pydantic", "pydantic_settings")),
    "config_sections": May(ours=("domain.fanout", "domain.limits"), others=("pydantic", "pydantic_settings")),
    "config_keys": May(ours=("config",)),
    "config_docs": May(ours=("config", "config_sections"), others=("pydantic",)),
    "wiring": ANYTHING,
    "cli": ANYTHING,
    "dev": ANYTHING,
    "__main__": ANYTHING,
    "": May(),
}
MAY_IMPORT_WIRING = ("cli", "__main__")


def _below(module: str, package: str) -> bool:
    return package == "" or module == package or module.startswith(f"{package}.")


def row_of(module: str) -> May:
    """The most specific row; a new top-level package needs one of its own."""
    row = max((name for name in TABLE if name and _below(module, name)), key=len, default=None)
    if row is None:
        return TABLE[""] if module == "" else May()
    return May(ours=(*TABLE[row].ours, row), others=TABLE[row].others)


def imported(tree: ast.AST, package: str) -> Iterator[tuple[int, str]]:
    """Line and absolute name of everything imported, wherever the statement stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join(part for part in (*above, node.module) if part)
            yield from ((node.lineno, f"{module}.{name.name}") for name in node.names)


def _module(path: str, top: str) -> tuple[str, str]:
    """Dotted name of the module and of the package it is in."""
    parts = path.removeprefix(top).removesuffix(".py").split("/")
    name, package = ".".join(parts).removesuffix("__init__").removesuffix("."), ".".join(parts[:-1])
    return name, package


def _server(path: str, source: str) -> Iterator[str]:
    module, package = _module(path, SERVER)
    may = row_of(module)
    for line, name in imported(parsed(source), f"rookery_server.{package}".rstrip(".")):
        ours = name.removeprefix("rookery_server").removeprefix(".")
        if name.split(".")[0] == "rookery_server":
            wiring = _below(ours, "wiring") and not any(_below(module, m) for m in (*MAY_IMPORT_WIRING, "wiring"))
            if wiring or not any(_below(ours, allowed) for allowed in may.ours):
                yield f"{path}:{line}: {module} may not import {name}"
        elif name.split(".")[0] not in sys.stdlib_module_names and not any(_below(name, o) for o in may.others):
            yield f"{path}:{line}: {module} may not import {name}"


def imports_follow_the_table(sources: Sources) -> Iterator[str]:
    for path, source in under(sources, SERVER):
        yield from _server(path, source)


def client_needs_grpcio_and_protobuf_only(sources: Sources) -> Iterator[str]:
    for path, source in under(sources, CLIENT):
        for line, name in imported(parsed(source), "rookery." + _module(path, CLIENT)[1]):
            allowed = ("grpc", "google.protobuf", "rookery")
            if name.split(".")[0] not in sys.stdlib_module_names and not any(_below(name, a) for a in allowed):
                yield f"{path}:{line}: the client may not import {name}"
