"""`rookery serve`, `rookery work`, `rookery migrate`: the processes of an installation."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Literal

import typer
from rich.console import Console

from rookery_server import config
from rookery_server.cli.session import EXIT_REFUSED, EXIT_UNAVAILABLE
from rookery_server.domain.errors import StoreUnavailable

Kept = Annotated[
    Literal["cassandra", "memory"],
    typer.Option("--store", help="memory: everything in this process, a worker too; nothing is kept."),
]
Show = Annotated[bool, typer.Option("--show-settings", help="Print the settings in effect, secrets hidden, and stop.")]

Agree = Annotated[
    bool,
    typer.Option("--agree", help="Have all processes agree upon the ROOKERY_TIERS times given here."),
]


def serve(show_settings: Show = False, store: Kept = "cassandra") -> None:
    """Answer calls.  Settings come from the environment (ROOKERY_…)."""
    settings = _settings("serve", show_settings)
    from rookery_server.wiring import processes

    if store == "memory":
        _run(lambda: processes.serve_in_memory(settings))
    else:
        _run(lambda: processes.serve(settings))


def work(show_settings: Show = False) -> None:
    """Apply the consequences of writes: deliveries, removals, counts.  Run at least one."""
    settings = _settings("work", show_settings)
    from rookery_server.wiring import processes

    _run(lambda: processes.work(settings))


def migrate(show_settings: Show = False, agree: Agree = False) -> None:
    """Create the keyspace if need be and apply every missing schema step.  Repeating it is harmless."""
    settings = _settings("migrate", show_settings)
    from rookery_server.wiring import processes

    out = Console()
    installed: list[Any] = []

    async def whole() -> None:
        installed.append(await processes.migrate(settings, lambda line: out.print(line, highlight=False), agree))

    _run(whole)
    out.print(f"schema at step {installed[0].version}, {installed[0].outbox_shards} outbox shards", highlight=False)


def _settings(role: config.Role, show: bool) -> config.Settings:
    """Ends the process with one clear line for each thing that is wrong."""
    try:
        settings = config.load()
        problems = settings.verify(role)
    except config.BadConfiguration as error:
        problems = error.problems
    else:
        if show:
            print("\n".join(settings.shown()))
            raise typer.Exit(0)
    if problems:
        for problem in problems:
            Console(stderr=True).print(problem, style="red", highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(2)
    return settings


def _run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    from rookery_server.store.cassandra.migrations import SchemaNotReady
    from rookery_server.wiring.processes import set_up_logging

    set_up_logging()
    gc.freeze()  # what was imported is never garbage: keep the collector from walking it
    try:
        with asyncio.Runner(loop_factory=_loop()) as runner:
            runner.run(work())
    except (SchemaNotReady, StoreUnavailable, OSError, ValueError) as error:
        # what keeps a process from starting is one line for the operator, not a traceback
        text = str(error) or type(error).__name__
        cause = f": {error.__cause__}" if error.__cause__ else ""
        Console(stderr=True).print(f"{text}{cause}", style="red", highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(EXIT_UNAVAILABLE if isinstance(error, StoreUnavailable) else EXIT_REFUSED) from None


def _loop() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:  # 5 to 16 % slower, and right all the same
        return asyncio.new_event_loop
    return uvloop.new_event_loop
