"""What a stack looks like from outside: read from its folder, asked at its ports. Any process may look."""

from dataclasses import dataclass
from pathlib import Path

from rookery_server.dev import cassandra, cql, places, processes, state, valkey


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """condition: ready; silent (runs, does not answer); asleep (SIGSTOP); dead."""

    name: str
    host: str
    port: int
    pid: int | None
    condition: str


@dataclass(frozen=True, slots=True)
class StackStatus:
    """is_up: its keeper runs. A stack can be up with dead engines in it: nothing restarts them by itself."""

    name: str
    folder: Path
    is_up: bool
    engines: tuple[EngineStatus, ...]

    @property
    def is_ready(self) -> bool:
        return self.is_up and all(engine.condition == "ready" for engine in self.engines)

    @property
    def cassandra(self) -> tuple[state.Address, ...]:
        return self._addresses("cassandra")

    @property
    def valkey(self) -> tuple[state.Address, ...]:
        return self._addresses("valkey")

    def _addresses(self, kind: str) -> tuple[state.Address, ...]:
        return tuple((engine.host, engine.port) for engine in self.engines if engine.name.startswith(kind))


def stack_status(name: str, folder: Path | None = None) -> StackStatus:
    folder = folder or places.stack_folder(name)
    remembered, running = state.load(folder), state.running(folder)
    if remembered is None:
        return StackStatus(name, folder, False, ())
    places_of: list[tuple[str, str, int]] = [
        (f"cassandra-{index}", host, remembered.cql_port)
        for index, host in enumerate(cassandra.ring_hosts(remembered.nodes), start=1)
    ]
    places_of += [(f"valkey-{port}", "127.0.0.1", port) for port in remembered.valkey_ports]
    engines = tuple(
        EngineStatus(engine, host, port, process.pid if process else None, _condition(engine, host, port, process))
        for engine, host, port in places_of
        for process in (running.engines.get(engine),)
        if (folder / engine).exists()  # with configured addresses one kind is not started at all
    )
    return StackStatus(name, folder, running.keeper is not None, engines)


def _condition(engine: str, host: str, port: int, process: processes.ProcessRef | None) -> str:
    if process is None:
        return "dead"
    if processes.is_stopped(process):
        return "asleep"
    answers = cql.answers(host, port) if engine.startswith("cassandra") else valkey.answers(port)
    return "ready" if answers else "silent"


def all_stacks() -> tuple[str, ...]:
    """The names of the stacks that keep something, whether up or not."""
    return tuple(sorted(path.parent.name for path in places.stacks_folder().glob("*/stack.json")))
