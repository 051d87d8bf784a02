"""The only door to the driver: one ring, prepared statements, answers on the event loop.

Everything here raises domain errors only.  What is timed, hedged, repeated and counted is decided by the profile of a
statement; nothing above this module knows the driver.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from cassandra import ConsistencyLevel
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.io.libevreactor import LibevConnection
from cassandra.policies import (
    ConstantSpeculativeExecutionPolicy,
    ConvictionPolicy,
    DCAwareRoundRobinPolicy,
    ExponentialReconnectionPolicy,
    TokenAwarePolicy,
)
from cassandra.query import BatchStatement, BatchType, SimpleStatement, dict_factory, tuple_factory

from rookery_server.domain import limits
from rookery_server.domain.errors import Internal, Outcome, StoreUnavailable
from rookery_server.metrics import Histogram, Metrics
from rookery_server.store.cassandra.bridge import Bridge, Ticket
from rookery_server.store.cassandra.errors import DriverErrors, OneHop, as_driver_error
from rookery_server.store.cassandra.settings import CassandraSettings
from rookery_server.store.cassandra.statements import Profile, Statement

Row = tuple[Any, ...]
Rows = list[Row]
Values = tuple[Any, ...]
Node = Any
"""One node of the ring, as `nodes()` gives them and `execute(…, node=…)` takes them."""
Send = Callable[[], Awaitable[Any]]
SessionHook = Callable[[str, Send], Awaitable[Any]]
"""For tests: stands around every request with its name (of the statement or batch) and the call that sends it.  It may
wait, send later, raise instead of sending (a lost request) or after (a lost reply), or send twice."""

_PROTOCOL = 5  # checksums on every frame; result metadata follows a schema change
_READS = (Profile.READ, Profile.READ_MANY)
_RECONNECT_S = (0.2, 10.0)  # a restarted node is used again within seconds, a dead one is not hammered
_CONNECTING_AT_ONCE = 8  # of the driver's two, nodes that let connections wait would keep both from those that are back
_HEARTBEAT_S = 5.0  # a node silent for so long is asked, and has as long to answer: longer than a collection of garbage


class CassandraSession:
    """Made by `connect`."""

    def __init__(self, settings: CassandraSettings, metrics: Metrics, hook: SessionHook | None = None) -> None:
        self.settings = settings
        self._metrics, self._hook = metrics, hook
        self._slots = asyncio.Semaphore(settings.in_flight)
        self._pending: set[Ticket] = set()
        self._bridge = Bridge(self._ended)
        self._hop: Callable[[str], None] = lambda kind: metrics.cassandra_hops(kind).inc()
        self._in_flight = {profile: metrics.cassandra_in_flight(profile.value) for profile in Profile}
        self._errors = {profile: partial(self._count_error, profile.value) for profile in Profile}
        self._reading = {profile: DriverErrors(OneHop(self._hop), self._errors[profile]) for profile in _READS}
        self._prepared: dict[str, Any] = {}
        self._timed: dict[str, Histogram] = {}
        self._cluster: Any = None
        self._session: Any = None

    @classmethod
    async def connect(
        cls,
        settings: CassandraSettings,
        metrics: Metrics,
        *,
        hook: SessionHook | None = None,
        administer: bool = False,
    ) -> CassandraSession:
        """`administer`: for schema changes; keeps no copy of the schema.  The keyspace need not be there yet.

        Returns once every node of the ring was tried: those that answer are connected, those that hang cost
        `connect_s` together, and once more each that is asked first.  Raises StoreUnavailable when nobody answers,
        Internal when the ring refuses us."""
        self = cls(settings, metrics, hook)
        with self._attempt(Profile.ADMIN):
            self._cluster = _cluster(settings, OneHop(self._hop), administer)
        try:
            with self._attempt(Profile.ADMIN):
                # By default the driver is content with one connection, and calls the nodes it has none to yet down.
                self._session = await asyncio.to_thread(self._cluster.connect, wait_for_all_pools=True)
        except BaseException:
            await asyncio.to_thread(self._cluster.shutdown)
            raise
        self._session.default_fetch_size = None  # our pages go by key: no paging state to keep or to lose
        self._session.use_client_timestamp = False  # timestamps are in the statements, or the ring's own for LWT
        return self

    async def prepare(self, statements: Iterable[Statement]) -> None:
        """In the keyspace of the settings, unless a statement names its own.  Raises Internal when one is refused."""
        for statement in statements:
            with self._attempt(Profile.ADMIN):
                prepared = await asyncio.to_thread(self._session.prepare, statement.inside(self.settings.keyspace))
            prepared.is_idempotent = statement.profile in (*_READS, Profile.WRITE) or statement.at_serial
            if statement.at_serial:
                prepared.consistency_level = ConsistencyLevel.SERIAL
            self._prepared[statement.name] = prepared
            self._timed[statement.name] = self._metrics.cassandra_request(statement.name)

    async def close(self) -> None:
        """Ends the connections; what is still under way fails as unknown."""
        await asyncio.to_thread(self._cluster.shutdown)
        for ticket in list(self._pending):
            self._ended(ticket)
            if not ticket.future.done():
                ticket.future.set_exception(StoreUnavailable("shutting down", outcome=Outcome.UNKNOWN))

    # --- requests -------------------------------------------------------------------------------------------

    async def execute(self, statement: Statement, values: Values = (), node: Node = None) -> Rows:
        """The rows of one statement (none for a write).  A write that raises says what is known by its outcome."""
        if self._hook is not None:
            rows: Rows = await self._hook(statement.name, lambda: self._execute(statement, values, node))
            return rows
        return await self._execute(statement, values, node)

    async def _execute(self, statement: Statement, values: Values, node: Node) -> Rows:
        with self._attempt(statement.profile) as policy:
            query = self._bound(statement, values, policy)
            rows: Rows | None = await (await self._send(query, statement.name, statement.profile, node))
        return rows or []

    async def execute_many(
        self, statement: Statement, keys: Sequence[Values], at_once: int = limits.INNER_READS
    ) -> list[Rows]:
        """One query a key, each to a replica of its own, at most `at_once` at a time; answers in order."""
        if self._hook is not None:
            return [await self.execute(statement, key) for key in keys]
        answers: list[Rows] = []
        waiting: deque[asyncio.Future[Rows]] = deque()
        try:
            with self._attempt(statement.profile) as policy:
                for key in keys:
                    if len(waiting) >= at_once:
                        answers.append(await waiting.popleft() or [])
                    query = self._bound(statement, key, policy)
                    waiting.append(await self._send(query, statement.name, statement.profile))
                while waiting:
                    answers.append(await waiting.popleft() or [])
        finally:
            for future in waiting:
                future.cancel()
        return answers

    async def batch(self, name: str, writes: Sequence[tuple[Statement, Values]]) -> None:
        """A logged batch: all of it or nothing, perhaps later.  Each statement brings its own timestamp."""
        if self._hook is not None:
            await self._hook(name, lambda: self._batch(name, writes, Profile.WRITE))
        else:
            await self._batch(name, writes, Profile.WRITE)

    async def compare_and_set(self, statement: Statement, values: Values) -> Mapping[str, Any]:
        """The row of the answer: `[applied]` and, if it is False, the columns that stood against it."""
        row: Mapping[str, Any] = (await self.execute(statement, values))[0]  # type: ignore[assignment]
        return row

    async def compare_and_set_batch(self, name: str, writes: Sequence[tuple[Statement, Values]]) -> bool:
        """Statements on one partition, at least one of them conditional: whether all were applied."""
        if self._hook is not None:
            rows = await self._hook(name, lambda: self._batch(name, writes, Profile.LWT))
        else:
            rows = await self._batch(name, writes, Profile.LWT)
        return bool(rows[0]["[applied]"])

    async def _batch(self, name: str, writes: Sequence[tuple[Statement, Values]], profile: Profile) -> Any:
        with self._attempt(profile) as policy:
            batch = BatchStatement(BatchType.LOGGED, retry_policy=policy)
            # The driver's default is False; ours carry their timestamps, so a repeat changes nothing.
            batch.is_idempotent = profile is Profile.WRITE
            for statement, values in writes:
                batch.add(self._prepared[statement.name], _no_nulls(statement, values))
            return await (await self._send(batch, name, profile))

    def _bound(self, statement: Statement, values: Values, policy: OneHop) -> Any:
        bound = self._prepared[statement.name].bind(_no_nulls(statement, values))
        if statement.profile not in _READS:
            bound.retry_policy = policy  # its own, so that the doubt it remembers is this request's
        return bound

    async def _send(self, query: Any, name: str, profile: Profile, node: Node = None) -> asyncio.Future[Any]:
        """Takes a slot and hands a request to the driver; the slot is given back when the driver is done with it."""
        timed = self._timed.get(name) or self._timed.setdefault(name, self._metrics.cassandra_request(name))
        if self._slots.locked():
            await self._wait_for_slot()
        else:
            await self._slots.acquire()
        ticket = Ticket(self._bridge.future(), timed, self._in_flight[profile])
        ticket.in_flight.inc()
        self._pending.add(ticket)
        try:
            response = self._session.execute_async(query, execution_profile=profile.value, host=node)
        except BaseException:
            self._ended(ticket)
            raise
        response.add_callbacks(self._bridge.answered, self._failed, callback_args=(ticket,), errback_args=(ticket,))
        return ticket.future

    def _failed(self, error: BaseException, ticket: Ticket) -> None:
        """On a driver thread."""
        self._bridge.failed(as_driver_error(error), ticket)

    def _ended(self, ticket: Ticket) -> None:
        if ticket in self._pending:
            self._pending.remove(ticket)
            ticket.in_flight.dec()
            self._slots.release()

    async def _wait_for_slot(self) -> None:
        try:
            async with asyncio.timeout(self.settings.slot_wait_s):
                await self._slots.acquire()
        except TimeoutError as error:
            raise StoreUnavailable("too many requests in flight") from error

    def _attempt(self, profile: Profile) -> DriverErrors:
        if profile in _READS:
            return self._reading[profile]
        lwt, write = profile is Profile.LWT, profile is Profile.WRITE
        return DriverErrors(OneHop(self._hop), self._errors[profile], write=write, lwt=lwt)

    def _count_error(self, profile: str, kind: str) -> None:
        self._metrics.cassandra_errors(profile, kind).inc()

    # --- about the ring -------------------------------------------------------------------------------------

    def nodes(self) -> list[Node]:
        """Those of our data centre that the driver believes up, by address: every process sees the same order."""
        hosts = self._cluster.metadata.all_hosts()  # those of others it calls up as well, and connects to none of them
        up = [host for host in hosts if host.is_up and host.datacenter == self.settings.data_centre]
        return sorted(up, key=lambda host: str(host.endpoint))

    async def define(self, ddl: str, node: Node, *, in_keyspace: bool = True) -> None:
        """Runs one schema statement at one node, without waiting for the others to agree."""
        statement = SimpleStatement(ddl, keyspace=self.settings.keyspace if in_keyspace else None)
        with self._attempt(Profile.ADMIN):
            await (await self._send(statement, "schema_change", Profile.ADMIN, node))


def _no_nulls(statement: Statement, values: Values) -> Values:
    """A bound null is a tombstone.  Nothing of ours is ever null."""
    if None in values:
        raise Internal(f"null bound in {statement.name}")
    return values


class _AnyFailure(ConvictionPolicy):  # type: ignore[misc]
    """A node that lets a connection wait is down like one that refuses it, and tried again.

    By default the driver holds it for up, without a connection, until a change in the ring makes it look again."""

    def add_failure(self, connection_exc: object) -> bool:
        return True

    def reset(self) -> None:
        pass


def _cluster(settings: CassandraSettings, reading: OneHop, administer: bool) -> Any:
    """`administer`: no copy of the schema is kept, so that a schema change costs no refresh."""
    profiles = _profiles(settings, reading)
    profiles[EXEC_PROFILE_DEFAULT] = profiles[Profile.READ.value]  # else the driver makes one that knows no data centre
    return Cluster(
        settings.contact_points,
        port=settings.port,
        execution_profiles=profiles,
        protocol_version=_PROTOCOL,
        connection_class=LibevConnection,
        auth_provider=PlainTextAuthProvider(settings.username, settings.password) if settings.username else None,
        ssl_context=settings.tls,
        compression=False,  # rows of a few hundred bytes: costs more than it saves
        connect_timeout=settings.connect_s,
        control_connection_timeout=settings.connect_s,
        idle_heartbeat_interval=_HEARTBEAT_S,
        idle_heartbeat_timeout=_HEARTBEAT_S,
        conviction_policy_factory=_AnyFailure,
        # By default it gives up after 64 tries, some ten minutes, for good.
        reconnection_policy=ExponentialReconnectionPolicy(*_RECONNECT_S, max_attempts=None),
        executor_threads=_CONNECTING_AT_ONCE,
        monitor_reporting_enabled=False,
        max_schema_agreement_wait=0,  # migrations wait once a step, on every node
        schema_metadata_enabled=not administer,
        token_metadata_enabled=not administer,
    )


def _profiles(settings: CassandraSettings, reading: OneHop) -> dict[Any, Any]:
    def near(shuffle: bool) -> TokenAwarePolicy:
        return TokenAwarePolicy(DCAwareRoundRobinPolicy(settings.data_centre), shuffle_replicas=shuffle)

    def hedged(after_s: float) -> ExecutionProfile:
        return ExecutionProfile(
            near(shuffle=True),
            retry_policy=reading,
            consistency_level=quorum,
            request_timeout=settings.read_s,
            row_factory=tuple_factory,
            speculative_execution_policy=ConstantSpeculativeExecutionPolicy(after_s, settings.hedges),
        )

    quorum, never = ConsistencyLevel.LOCAL_QUORUM, OneHop(lambda kind: None)
    return {
        Profile.READ.value: hedged(settings.hedge_after_s),
        Profile.READ_MANY.value: hedged(settings.hedge_many_after_s),
        Profile.WRITE.value: ExecutionProfile(
            near(shuffle=True), never, quorum, request_timeout=settings.write_s, row_factory=tuple_factory
        ),
        # Not shuffled: the proposals on one key meet at one coordinator instead of outbidding each other.
        Profile.LWT.value: ExecutionProfile(
            near(shuffle=False),
            never,
            quorum,
            serial_consistency_level=ConsistencyLevel.SERIAL,
            request_timeout=settings.lwt_s,
            row_factory=dict_factory,
        ),
        Profile.ADMIN.value: ExecutionProfile(
            near(shuffle=False),
            never,
            ConsistencyLevel.LOCAL_ONE,
            request_timeout=settings.admin_s,
            row_factory=tuple_factory,
        ),
    }
