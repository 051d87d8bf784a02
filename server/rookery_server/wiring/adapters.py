"""From settings to adapters: the truth, the cache, identities, signing keys."""

from __future__ import annotations

import os
import random
import secrets
import socket
import ssl

import grpc

from rookery_server import config, config_keys, config_sections
from rookery_server.cache.redis.cache import RedisCache
from rookery_server.cache.redis.settings import Address, RedisSettings
from rookery_server.domain.clock import Clock
from rookery_server.domain.tokens import TokenSigner
from rookery_server.metrics import Metrics
from rookery_server.rpc.identity import Identify, TokenIdentity, TrustingIdentity, keys_from_jwks
from rookery_server.rpc.streams import StreamTimes
from rookery_server.services.live import LiveSettings
from rookery_server.services.quotas import Quota
from rookery_server.store.cassandra.migrations import Plan
from rookery_server.store.cassandra.settings import CassandraSettings
from rookery_server.wiring.serving import Choices
from rookery_server.workers.settings import WorkerSettings


def owner_name() -> str:
    """Names this process and no other, ever: leases are told apart by it."""
    return f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}"


def cassandra_settings(settings: config.Settings) -> CassandraSettings:
    """Raises OSError for a secret that cannot be read."""
    of = settings.cassandra
    return CassandraSettings(
        contact_points=of.contact_points,
        port=of.port,
        keyspace=of.keyspace,
        data_centre=of.data_centre,
        username=of.username,
        password=of.read_password(),
        tls=client_tls(of.tls),
        read_s=of.read_s,
        write_s=of.write_s,
        lwt_s=of.lwt_s,
        admin_s=of.admin_s,
        connect_s=of.connect_s,
        in_flight=of.in_flight,
    )


def schema_plan(settings: config.Settings, agree: bool) -> Plan:
    return Plan(settings.cassandra.replication_factor, settings.outbox.shards, settings.tiers.crossing, agree)


def redis_cache(settings: config.Settings, clock: Clock, metrics: Metrics) -> RedisCache:
    of = settings.redis
    told = RedisSettings(
        addresses=tuple(Address.parse(node) for node in of.nodes),
        username=of.username or None,
        password=of.read_password() or None,
        tls=client_tls(of.tls),
        timeout_s=of.timeout_s,
        connect_timeout_s=of.connect_timeout_s,
        queue=of.window,
        relations_life_s=settings.tiers.relations_life_s,
    )
    return RedisCache(told, clock, metrics, random.Random())


def serve_choices(settings: config.Settings) -> Choices:
    of = settings.streams
    return Choices(
        quotas={
            Quota.TWEETS: settings.quotas.tweets_per_3h,
            Quota.FOLLOWS: settings.quotas.follows_per_day,
            Quota.BLOCKS: settings.quotas.blocks_per_day,
            Quota.ACCOUNT_CHANGES: settings.quotas.account_changes_per_day,
            Quota.RENAMES: settings.quotas.renames_per_week,
        },
        thresholds=settings.tiers.thresholds,
        crossing=settings.tiers.crossing,
        live=LiveSettings(per_user=of.per_user, heartbeat_s=of.heartbeat_s, poll_s=of.poll_s),
        streams=StreamTimes(max_age_s=of.max_age_s, slow_s=of.slow_s),
        verify_every_s=settings.verifier.every_s,
    )


def worker_settings(settings: config.Settings) -> WorkerSettings:
    of = settings.work
    return WorkerSettings(
        poll_every_s=of.poll_s,
        follower_page=of.follower_page,
        pages_at_once=of.pages_at_once,
        open_events_max=of.open_events,
        audit_ages_s=settings.outbox.audit_ages_s,
        thresholds=settings.tiers.thresholds,
        crossing=settings.tiers.crossing,
        lease_renew_s=of.lease_renew_s,
        lease_free_after_s=of.lease_free_after_s,
        late_print_after_s=of.late_print_after_s,
        recounts_at_once=of.recounts_at_once,
        count_after_s=of.count_after_s,
        count_within_s=of.count_within_s,
        drain_s=of.drain_s,
    )


def client_tls(of: config_sections.Tls) -> ssl.SSLContext | None:
    if not of.on:
        return None
    context = ssl.create_default_context(cafile=of.ca_file)
    if of.certificate_file:
        context.load_cert_chain(of.certificate_file, of.key_file)
    return context


def server_tls(of: config_sections.Tls) -> grpc.ServerCredentials | None:
    """With an authority given, callers must show a certificate of it."""
    if of.certificate_file is None or of.key_file is None:
        return None
    pair = (of.key_file.read_bytes(), of.certificate_file.read_bytes())
    authority = of.ca_file.read_bytes() if of.ca_file else None
    return grpc.ssl_server_credentials([pair], authority, require_client_auth=authority is not None)


def identify(settings: config.Settings) -> Identify:
    """Raises OSError, ValueError for keys that cannot be used."""
    of = settings.identity
    if of.mode == "development":
        return TrustingIdentity()
    if of.jwks_file is None:
        raise ValueError("mode jwt needs a file of keys")
    return TokenIdentity(keys_from_jwks(of.jwks_file.read_text()), issuer=of.issuer, audience=of.audience)


def token_signer(settings: config.Settings) -> TokenSigner:
    """Raises OSError, ValueError."""
    return TokenSigner.from_json(config_keys.token_keys(settings))
