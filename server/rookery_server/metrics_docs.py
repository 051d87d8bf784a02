"""`python -m rookery_server.metrics_docs` prints `docs/metrics.md`, made from the catalogue; a test compares them."""

from __future__ import annotations

import sys

from rookery_server.metrics_catalogue import CATALOGUE, Label, Spec

_HEAD = """\
# Metrics

Made from `server/rookery_server/metrics_catalogue.py` by `python -m rookery_server.metrics_docs > docs/metrics.md`; a
test holds the two together. Classic Prometheus types, base units. Every label value comes from a set that is known when
the process is built: never a user, a tweet, a key or a text. `process_*` and `python_gc_*` are those of the Prometheus
client. `GET /metrics` on the metrics port answers in the text format.

| metric | kind | labels | meaning |
|---|---|---|---|
"""


def render() -> str:
    """The page, with its last newline."""
    rows = "".join(_row(spec) for spec in CATALOGUE)
    buckets = "".join(f"| {names} | {' '.join(_number(edge) for edge in edges)} |\n" for edges, names in _by_buckets())
    return f"{_HEAD}{rows}\n## Buckets\n\n| histograms | upper edges |\n|---|---|\n{buckets}"


def _row(spec: Spec) -> str:
    labels = "<br>".join(_label(label) for label in spec.labels) or "–"
    return f"| `{spec.name}` | {spec.kind.value} | {labels} | {spec.meaning} |\n"


def _label(label: Label) -> str:
    return f"`{label.name}`: {', '.join(label.values) or f'*{label.of}*'}"


def _by_buckets() -> list[tuple[tuple[float, ...], str]]:
    names: dict[tuple[float, ...], list[str]] = {}
    for spec in CATALOGUE:
        if spec.buckets:
            names.setdefault(spec.buckets, []).append(f"`{spec.name}`")
    return [(edges, ", ".join(named)) for edges, named in names.items()]


def _number(edge: float) -> str:
    return f"{edge:g}"


if __name__ == "__main__":
    sys.stdout.write(render())
