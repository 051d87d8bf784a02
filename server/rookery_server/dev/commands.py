"""`rookery dev …`: the local cluster by hand."""

import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from rookery_server.dev import logs, places, state, status
from rookery_server.dev.errors import LocalClusterError
from rookery_server.dev.narration import OnConsole
from rookery_server.dev.processes import tail
from rookery_server.dev.stack import Stack
from rookery_server.dev.state import StackSpec, parse_addresses

dev_app = typer.Typer(
    name="dev", help="A real Cassandra and a real Valkey cluster on this machine.", no_args_is_help=True
)

NOT_UP = 3  # exit code of `status` for a stack that is not up, as service managers have it

Name = Annotated[str, typer.Option("--name", "-n", help="Which stack; several can run side by side.")]
Nodes = Annotated[int | None, typer.Option(help="Cassandra nodes, 1 or 3 [default: as before, or 1].")]
Replicas = Annotated[bool, typer.Option("--replicas", help="Three Valkey replicas besides the three primaries.")]
Durable = Annotated[
    bool, typer.Option("--durable/--fast", help="Whether Cassandra syncs its log before it acknowledges a write.")
]
FullJvm = Annotated[
    bool,
    typer.Option("--full-jvm", help="1 GB of heap and both compilers for Cassandra: slow at first, then fast."),
]
CassandraAt = Annotated[str, typer.Option("--cassandra", help="HOST:PORT,… of a running Cassandra to use instead.")]
ValkeyAt = Annotated[str, typer.Option("--valkey", help="HOST:PORT,… of a running Valkey cluster to use instead.")]


@contextmanager
def _told() -> Iterator[None]:
    """Errors of the local cluster are messages, not tracebacks."""
    try:
        yield
    except LocalClusterError as error:
        Console(stderr=True).print(str(error), style="red", highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(1) from None


@dev_app.command()
def up(
    name: Name = "default",
    nodes: Nodes = None,
    replicas: Replicas = False,
    durable: Durable = True,
    full_jvm: FullJvm = False,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Leave it running and return.")] = False,
    cassandra: CassandraAt = "",
    valkey: ValkeyAt = "",
) -> None:
    """Start a stack and keep it until Ctrl-C; what it holds is there again next time."""
    console = Console()
    with _told():
        before = state.load(places.stack_folder(name))
        spec = StackSpec(
            name=name,
            nodes=nodes or (before.nodes if before else 1),
            replicas=replicas,
            durable=durable,
            full_jvm=full_jvm,
            cassandra_at=parse_addresses(cassandra),
            valkey_at=parse_addresses(valkey),
        )
        stack = Stack(spec, narrator=OnConsole(console))
        # A polite stop by a service manager or a closed terminal is the same as Ctrl-C.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # shells start background jobs deaf to Ctrl-C
            signal.signal(number, _interrupt)
        began = time.monotonic()
        try:
            stack.up()
            _show_addresses(console, stack, time.monotonic() - began)
            if detach:
                stack.detach()
                console.print(f"It goes on until `rookery dev down --name {name}`.", highlight=False)
                return
            console.print("Ctrl-C stops it.", highlight=False)
            _watch(console, stack)
        except KeyboardInterrupt:
            console.print("Stopping.", highlight=False)
        stack.down()


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _show_addresses(console: Console, stack: Stack, seconds: float) -> None:
    cassandra = ",".join(f"{host}:{stack.cassandra_port}" for host in stack.cassandra_contact_points)
    valkey = ",".join(f"{host}:{port}" for host, port in stack.valkey_nodes)
    lines = (f"Ready after {seconds:.1f} s.", f"  Cassandra  {cassandra}", f"  Valkey     {valkey}")
    console.print("\n".join(lines), highlight=False, soft_wrap=True)


def _watch(console: Console, stack: Stack) -> None:
    """Tell of each engine that ends, until all have (`rookery dev down` from another terminal)."""
    engines = [*stack.cassandra, *stack.valkey, *stack.beside]
    running = set(engines)
    while running or not engines:
        time.sleep(0.5)  # how late an engine's end is told
        for engine in [engine for engine in running if not engine.is_running]:
            running.remove(engine)
            console.print(f"{engine.name} has ended.\n{tail(engine.log, 5)}", highlight=False, markup=False)


@dev_app.command(name="status")
def show_status(
    name: Annotated[str | None, typer.Option("--name", "-n", help="Which stack [default: all].")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """What runs where. Exit code 3 when nothing is up."""
    with _told():
        found = [status.stack_status(each) for each in ([name] if name else status.all_stacks())]
    if as_json:
        print(json.dumps([asdict(each) | {"is_ready": each.is_ready} for each in found], default=str, indent=1))
    elif not found:
        print("There is no stack yet: `rookery dev up`.")
    else:
        Console().print(_table(found))
    if not any(each.is_up for each in found):
        raise typer.Exit(NOT_UP)


def _table(stacks: list[status.StackStatus]) -> Table:
    table = Table("stack", "engine", "address", "pid", "condition", box=None)
    for stack in stacks:
        if not stack.is_up:
            table.add_row(stack.name, "", "", "", "down")
            continue
        for engine in stack.engines:
            pid = str(engine.pid or "")
            table.add_row(stack.name, engine.name, f"{engine.host}:{engine.port}", pid, engine.condition)
    return table


@dev_app.command()
def down(name: Name = "default") -> None:
    """Stop a stack; what it holds stays."""
    with _told():
        if not status.stack_status(name).is_up:
            print(f"The stack '{name}' is not up.")
            return
        Stack(StackSpec(name=name)).down()
    print(f"The stack '{name}' is down; its data stays in {places.stack_folder(name)}.")


@dev_app.command(name="logs")
def show_logs(
    engine: Annotated[str | None, typer.Argument(help="cassandra-1, valkey-PORT, keeper … [default: all]")] = None,
    name: Name = "default",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is added, until Ctrl-C.")] = False,
) -> None:
    """The ends of the engines' logs."""
    with _told():
        files = logs.log_files(places.stack_folder(name), engine)
        for text in logs.ends(files):
            print(text)
        if follow:
            try:
                for line in logs.follow(files, lambda: True):
                    print(line, flush=True)
            except KeyboardInterrupt:
                return


@dev_app.command()
def wipe(
    name: Name = "default",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Stop a stack and delete everything it keeps."""
    with _told():
        folder = places.stack_folder(name)
        if not folder.exists():
            print(f"There is no stack '{name}'.")
            return
        if not yes:
            typer.confirm(f"Delete everything in {folder}?", abort=True)
        Stack(StackSpec(name=name)).wipe()
    print(f"The stack '{name}' is gone.")
