"""`rookery migrate`, and the gate every process passes at start-up.

Steps are applied under the lease `migrate`, through one coordinator (the first by address, the same for everybody who
migrates), and after each of them every node must show the same schema before the step is recorded.  Every statement
says IF NOT EXISTS: a step cut off half way is run again, and a migrator that lost its lease without noticing repeats
what is there already.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rookery_server.domain import limits
from rookery_server.domain.clock import Clock
from rookery_server.domain.errors import StoreUnavailable
from rookery_server.domain.fanout import Crossing
from rookery_server.metrics import Metrics
from rookery_server.store.cassandra import agreement, leases, schema_files
from rookery_server.store.cassandra.agreement import SETTING_FIX, SETTING_READ
from rookery_server.store.cassandra.schema_files import Step
from rookery_server.store.cassandra.session import CassandraSession, Node
from rookery_server.store.cassandra.settings import CassandraSettings
from rookery_server.store.cassandra.statements import ask_node, compare_and_set, read
from rookery_server.store.interface import Lease

KEYSPACE_FIND = ask_node("keyspace_find", "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = ?")
TABLES_FIND = ask_node("tables_find", "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ?")
NODE_SCHEMA = ask_node("node_schema", "SELECT schema_version FROM system.local")
STEPS_READ = read("schema_steps", "SELECT version, name, checksum FROM schema_version WHERE component = ?")
STEP_RECORD = compare_and_set(
    "schema_step_record",
    "INSERT INTO schema_version (component, version, name, checksum, applied_ms) VALUES (?, ?, ?, ?, ?) IF NOT EXISTS",
)
STATEMENTS = (STEPS_READ, STEP_RECORD, *agreement.STATEMENTS)

_COMPONENT, _SHARDS, _LEASE = "rookery", "outbox_shards", "migrate"
_AGREE_S, _AGREE_POLL_S = 60.0, 0.05  # gossip takes about a second; a minute means a node that does not follow
_LEASE_POLL_S = 0.5


class SchemaNotReady(Exception):
    """The keyspace is missing, older than this release needs, changed, made for another number of shards, or its
    processes agreed upon other times."""


@dataclass(frozen=True, slots=True)
class Installed:
    """What a keyspace holds: its latest step and what was fixed when it was created."""

    version: int
    outbox_shards: int


@dataclass(frozen=True, slots=True)
class Plan:
    """How a keyspace is created; the first two are kept for its life.  `crossing`: what its processes agree upon, if
    nothing is agreed yet or `agree` is set."""

    replication_factor: int = 3
    outbox_shards: int = 16
    crossing: Crossing = field(default_factory=Crossing)
    agree: bool = False


async def check(session: CassandraSession, crossing: Crossing | None = None) -> Installed:
    """The start-up gate.  `crossing`: the times this process goes by, if it goes by any.  Raises SchemaNotReady naming
    the command to run, StoreUnavailable."""
    needed, keyspace = schema_files.steps()[-1].version, session.settings.keyspace
    await session.prepare((TABLES_FIND,))
    tables = {row[0] for row in await session.execute(TABLES_FIND, (keyspace,))}
    if not {"schema_version", "settings"} <= tables:
        raise SchemaNotReady(f"keyspace {keyspace} is not there or empty: run `rookery migrate`")
    await session.prepare((STEPS_READ, *agreement.STATEMENTS))
    rows = await session.execute(STEPS_READ, (_COMPONENT,))
    version = max((row[0] for row in rows), default=0)
    if version < needed:
        raise SchemaNotReady(f"keyspace {keyspace} is at step {version}, {needed} is needed: run `rookery migrate`")
    if crossing is not None:
        await _check_agreed(session, crossing)
    return Installed(version, await _outbox_shards(session))


async def _check_agreed(session: CassandraSession, crossing: Crossing) -> None:
    beyond = crossing.beyond((await agreement.begin(session, crossing)).bounds)
    if beyond:
        raise SchemaNotReady(
            f"ROOKERY_TIERS: {'; '.join(beyond)}. Beside the other processes this would lose tweets: see"
            " docs/configuration.md, tiers, on how to change it"
        )


async def migrate(
    settings: CassandraSettings, metrics: Metrics, clock: Clock, owner: str, plan: Plan, report: Callable[[str], None]
) -> Installed:
    """Creates the keyspace if need be and applies every missing step.  Repeating it is harmless.

    `owner` names this process in the lease.  Raises SchemaNotReady, StoreUnavailable."""
    await _create_keyspace(settings, metrics, plan, report)
    session = await CassandraSession.connect(settings, metrics, administer=True)
    try:
        return await _Migrator(session, clock, owner, report).run(plan)
    finally:
        await session.close()


async def _create_keyspace(
    settings: CassandraSettings, metrics: Metrics, plan: Plan, report: Callable[[str], None]
) -> None:
    create = schema_files.create_keyspace(settings.keyspace, settings.data_centre, plan.replication_factor)
    session = await CassandraSession.connect(settings, metrics, administer=True)
    try:
        await session.prepare((KEYSPACE_FIND, NODE_SCHEMA))
        found = await session.execute(KEYSPACE_FIND, (settings.keyspace,))
        if found:
            standing = dict(found[0][0]).get(settings.data_centre, "none")
            if standing != str(plan.replication_factor):
                report(f"keyspace {settings.keyspace} keeps its {standing} replicas in {settings.data_centre}")
            return
        coordinator = await agree(session)
        report(f"creating keyspace {settings.keyspace}, {plan.replication_factor} replicas in {settings.data_centre}")
        await session.define(create, coordinator, in_keyspace=False)
        await agree(session, coordinator)
    finally:
        await session.close()


async def agree(session: CassandraSession, coordinator: Node = None) -> Node:
    """Returns when every node that is up answers and shows the same schema: the first of them by address.

    `coordinator` must be one of them: it may be the only one that knows what it was just told.  Raises SchemaNotReady
    after a minute."""
    try:
        async with asyncio.timeout(_AGREE_S):
            while not (nodes := await _agreed(session, coordinator)):  # noqa: ASYNC110 - they tell nobody when they do
                await asyncio.sleep(_AGREE_POLL_S)
    except TimeoutError as error:
        raise SchemaNotReady("the nodes do not agree on the schema, or one of them does not answer") from error
    return nodes[0]


async def _agreed(session: CassandraSession, coordinator: Node) -> list[Node]:
    """All nodes that are up, if they agree.  Who does not answer may show another schema."""
    nodes = session.nodes()
    try:
        answers = await asyncio.gather(*(session.execute(NODE_SCHEMA, node=node) for node in nodes))
    except StoreUnavailable:
        return []
    same = len({rows[0][0] for rows in answers}) == 1
    return nodes if same and coordinator in (None, *nodes) else []


class _Migrator(leases.LeaseTable):
    def __init__(self, session: CassandraSession, clock: Clock, owner: str, report: Callable[[str], None]) -> None:
        self._session, self._clock, self._owner, self._report = session, clock, owner, report

    async def run(self, plan: Plan) -> Installed:
        steps = schema_files.steps()
        await self._session.prepare((NODE_SCHEMA,))
        # The ledger: the lease and the record of steps are in it.
        await self._define(steps[0], await agree(self._session))
        await self._session.prepare((*STATEMENTS, *leases.STATEMENTS))
        self._lease = await self._take()
        try:
            await self._session.compare_and_set(SETTING_FIX, (_SHARDS, str(plan.outbox_shards)))
            shards = await _outbox_shards(self._session)
            if shards != plan.outbox_shards:
                raise SchemaNotReady(
                    f"keyspace {self._session.settings.keyspace} was created with {shards} outbox shards,"
                    f" which cannot be changed to {plan.outbox_shards}"
                )
            await self._apply(steps)
            await self._agree(plan)
        finally:
            await self.release_lease(self._lease)
        return Installed(steps[-1].version, shards)

    async def _agree(self, plan: Plan) -> None:
        try:
            if plan.agree:
                await agreement.change(self._session, self._clock, plan.crossing)
            else:
                await agreement.begin(self._session, plan.crossing)
        except agreement.NotAgreed as error:
            raise SchemaNotReady(str(error)) from error

    async def _apply(self, steps: tuple[Step, ...]) -> None:
        rows = await self._session.execute(STEPS_READ, (_COMPONENT,))
        applied = {version: checksum for version, _, checksum in rows}
        for step in steps:
            if step.version in applied:
                if applied[step.version] != step.checksum:
                    raise SchemaNotReady(f"{step.name} was changed after it was applied")
                continue
            coordinator = await agree(self._session)
            await self._renew()  # that may have taken longer than a lease is held unrenewed
            self._report(f"applying {step.name}")
            await self._define(step, coordinator)
            await self._renew()
            record = (_COMPONENT, step.version, step.name, step.checksum, self._clock.now_ms())
            await self._session.compare_and_set(STEP_RECORD, record)

    async def _define(self, step: Step, coordinator: Node) -> None:
        for statement in step.statements:
            await self._session.define(statement, coordinator)
        await agree(self._session, coordinator)

    async def _take(self) -> Lease:
        """Waits for another migrator to end, or to stand still for as long as makes a lease free."""
        seen, since = None, self._clock.monotonic()
        while True:
            found = (await self.read_leases((_LEASE,))).get(_LEASE)
            if found != seen:
                seen, since = found, self._clock.monotonic()
            idle = self._clock.monotonic() - since >= limits.LEASE_FREE_AFTER_S
            if found is None or not found.owner or idle:
                taken = await self.take_lease(_LEASE, found, self._owner, 0)
                if taken is not None:
                    return taken
            else:
                self._report(f"waiting for {found.owner}, who is migrating")
            await asyncio.sleep(_LEASE_POLL_S)

    async def _renew(self) -> None:
        renewed = await self.renew_lease(self._lease, 0)
        if renewed is None:
            raise SchemaNotReady("another process took over the migration")
        self._lease = renewed


async def _outbox_shards(session: CassandraSession) -> int:
    rows: Any = await session.execute(SETTING_READ, (_SHARDS,))
    if not rows:
        raise SchemaNotReady("the number of outbox shards is not stored: run `rookery migrate`")
    return int(rows[0]["value"])
