"""`rookery serve`: one server process out of its parts."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

import grpc

from rookery_server.cache.interface import Cache
from rookery_server.domain import leases
from rookery_server.domain.clock import Clock
from rookery_server.domain.fanout import WITH_PULL, Crossing, Thresholds
from rookery_server.domain.minting import IdMinter, WallGuard
from rookery_server.domain.tokens import TokenSigner
from rookery_server.metrics import Metrics
from rookery_server.rpc.app import RpcServer
from rookery_server.rpc.convert import ProtoTweetCodec
from rookery_server.rpc.health import Health
from rookery_server.rpc.identity import Identify
from rookery_server.rpc.methods import SERVICES
from rookery_server.rpc.servicers import UseCases, servicers
from rookery_server.rpc.streams import DEFAULT_TIMES, StreamTimes
from rookery_server.services.account_changes import AccountChanges
from rookery_server.services.accounts import Accounts
from rookery_server.services.admin import Admin
from rookery_server.services.audience import Audience
from rookery_server.services.claims import ClaimTracker
from rookery_server.services.clock_gate import ClockGate
from rookery_server.services.explain import HomeExplainer
from rookery_server.services.graph import Graph
from rookery_server.services.home import HomeTimelines
from rookery_server.services.hydrate import Hydration
from rookery_server.services.inspection import HomeInspection
from rookery_server.services.leasing import WorkerIdKeeper
from rookery_server.services.live import DEFAULT_SETTINGS as LIVE_DEFAULTS
from rookery_server.services.live import LiveSettings, LiveTimelines
from rookery_server.services.moderation import Moderation
from rookery_server.services.quotas import LIMITS, LocalQuotas, Quota, Quotas
from rookery_server.services.recent_readers import RecentReaders
from rookery_server.services.sight import Sight
from rookery_server.services.skeleton import Skeletons
from rookery_server.services.tiers import AS_SHIPPED, TierDirectory
from rookery_server.services.truth import HomeTruth
from rookery_server.services.tweets import Tweets
from rookery_server.services.user_timeline import UserTimelines
from rookery_server.services.users import KnownUsers, Users
from rookery_server.services.verifier import BackgroundVerifier
from rookery_server.services.verify import HomeVerifier
from rookery_server.services.writes import StartedWrites
from rookery_server.store.interface import Store
from rookery_server.wiring.background import Background
from rookery_server.wiring.heartbeat import Heartbeat
from rookery_server.wiring.witness import CountingWitness
from rookery_server.workers.settings import WorkerSettings


@dataclass(frozen=True, slots=True)
class Listening:
    """Where to listen; port 0 = any free one."""

    address: str = "127.0.0.1:7070"
    health: str = "127.0.0.1:7071"
    tls: grpc.ServerCredentials | None = None
    reflect: bool = True
    drain_s: float = 20.0
    """Calls under way may finish within this; the platform grants twice as much."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What an installation may choose.  `quotas`: those that are not the usual ones."""

    quotas: Mapping[Quota, int] = field(default_factory=lambda: LIMITS)
    thresholds: Thresholds = WITH_PULL
    crossing: Crossing = AS_SHIPPED
    live: LiveSettings = LIVE_DEFAULTS
    streams: StreamTimes = DEFAULT_TIMES
    verify_every_s: float = 10.0
    """One home of those lately read is compared with its rows as often; 0 = never."""


DEFAULT_CHOICES = Choices()


class ServerProcess:
    """Everything a server does.  `owner` names this process and no other, ever."""

    def __init__(
        self,
        store: Store,
        cache: Cache,
        clock: Clock,
        metrics: Metrics,
        identify: Identify,
        signer: TokenSigner,
        owner: str,
        listening: Listening,
        choices: Choices = DEFAULT_CHOICES,
    ):
        self._choices = choices
        self._store, self._clock, self._listening, self._metrics = store, clock, listening, metrics
        guard = WallGuard(clock)
        self._gate = ClockGate(store, guard, seen=metrics.ids_clock_offset().set)
        self._worker_id = WorkerIdKeeper(
            store,
            clock,
            owner,
            self._gate,
            guard,
            changed=lambda kind, change: metrics.lease_transitions(kind, change).inc(),
        )
        self._minter = IdMinter(
            clock, self._worker_id, self._gate, guard, refused=lambda reason: metrics.ids_refused(reason).inc()
        )
        self._claims = ClaimTracker(cache, store.shards, clock, self._gate)
        self._tiers, self._recent = TierDirectory(store, clock, choices.crossing), RecentReaders()
        self._writes = StartedWrites(clock, self._minter.mint)
        self._health = Health([service.full_name for service in SERVICES])
        chance = random.SystemRandom()
        self._rpc = RpcServer(
            servicers(self._use_cases(store, cache, clock, LocalQuotas(clock, choices.quotas)), signer, clock),
            metrics=metrics,
            identify=identify,
            clock=clock,
            chance=chance,
            reflect=listening.reflect,
            streams=choices.streams,
        )
        self._background = Background()
        self._shown_worker_id: int | None = None

    def _use_cases(self, store: Store, cache: Cache, clock: Clock, quotas: Quotas) -> UseCases:
        mint, codec, writes = self._minter.mint, ProtoTweetCodec(), self._writes
        seen = CountingWitness(self._metrics)
        hydration, users = Hydration(store, cache, seen), KnownUsers(store)
        accounts = Accounts(store, cache, clock, seen)
        changes = AccountChanges(store, cache, clock, mint, writes, seen)
        sight = Sight(store, cache, clock, accounts, self._tiers)
        skeletons = Skeletons(store, cache, clock, mint, self._claims, self._tiers, seen)
        home = HomeTimelines(skeletons, clock, codec, hydration, sight.facts, seen, self._recent)
        shards = [leases.shard_name(shard) for shard in range(store.shards)]
        audience, truth = Audience(store, clock, users, self._choices.thresholds), HomeTruth(store, clock, codec)
        verifier = HomeVerifier(skeletons, self._claims, truth, clock, codec, hydration, sight.facts)
        explainer = HomeExplainer(store, cache, skeletons, self._claims, truth, audience)
        self._verifier = BackgroundVerifier(verifier, self._recent, clock, seen, self._choices.verify_every_s)
        return UseCases(
            users=Users(store, clock, mint, users, accounts, changes, quotas, writes, seen),
            tweets=Tweets(store, cache, clock, mint, codec, hydration, sight, quotas, writes, seen),
            graph=Graph(store, cache, clock, mint, users, sight, quotas, writes, seen),
            user_timelines=UserTimelines(store, clock, codec, users, sight, self._claims),
            home=home,
            live=LiveTimelines(home, cache, clock, self._gate, self._choices.live),
            admin=Admin(store, cache, clock, WorkerSettings().reader, shards, leases.WORKER_IDS),
            moderation=Moderation(changes),
            audience=audience,
            homes=HomeInspection(users, cache, verifier, explainer, skeletons.builds),
        )

    async def start(self) -> tuple[int, int]:
        """Listens and begins; returns the ports of calls and of health.  Raises OSError for a port that is taken."""
        health = await self._health.start(self._listening.health)
        await self._gate.measure()
        await self._worker_id.step()
        await self._claims.refresh()
        await self._tiers.refresh()
        checks = {"ids": self._may_mint, "clock": lambda: self._gate.open}
        beat = Heartbeat(self._clock, self._metrics, checks, self._tell_ready)
        port = await self._rpc.start(self._listening.address, self._listening.tls)
        for name, work in (
            ("clock gate", self._gate.run()),
            ("worker id", self._worker_id.run()),
            ("claims", self._claims.run()),
            ("tiers", self._tiers.run()),
            ("heartbeat", beat.run()),
        ):
            self._background.start(name, work)
        if self._choices.verify_every_s:
            self._background.start("verifier", self._verifier.run())
        await self._health.started()
        return port, health

    def _may_mint(self) -> bool:
        lease = self._worker_id.current()
        self._show_worker_id(lease.worker if lease else None)
        return lease is not None and self._clock.now_ms() <= lease.ceiling_ms

    def _show_worker_id(self, worker: int | None) -> None:
        """One series, of the id held now: two processes that show the same one are an alarm."""
        if worker == self._shown_worker_id:
            return
        if self._shown_worker_id is not None:
            self._metrics.ids_worker_info.drop(worker_id=str(self._shown_worker_id))
        if worker is not None:
            self._metrics.ids_worker_info(str(worker)).set(1)
        self._shown_worker_id = worker

    async def _tell_ready(self, ready: bool) -> None:
        await self._health.ready(serving=ready)

    def stop(self) -> None:
        """Makes `wait` return; safe in a signal handler of the loop."""
        self._background.stop()

    async def wait(self) -> None:
        """Until `stop`; raises what a background task died of."""
        await self._background.wait()

    async def drain(self) -> None:
        """NOT_SERVING, GOAWAY, calls and started writes finish, the worker id is given back."""
        await self._health.drain()
        await self._rpc.stop(self._listening.drain_s)
        await self._writes.drain()
        await self._background.end()
        await self._worker_id.release()
        await self._health.stop()
