"""From settings to adapters: the truth, the cache, identities, signing keys."""

from __future__ import annotations

import base64
import binascii
import json
import os
import random
import secrets
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path

import grpc

from rookery_server import config, config_sections
from rookery_server.cache.redis.cache import RedisCache
from rookery_server.cache.redis.settings import Address, RedisSettings
from rookery_server.domain.clock import Clock
from rookery_server.domain.tokens import SECRET_BYTES, TokenSigner
from rookery_server.metrics import Metrics
from rookery_server.rpc.identity import Identify, TokenIdentity, TrustingIdentity, keys_from_jwks
from rookery_server.store.cassandra.migrations import Plan
from rookery_server.store.cassandra.settings import CassandraSettings
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


def schema_plan(settings: config.Settings) -> Plan:
    return Plan(settings.cassandra.replication_factor, settings.outbox.shards)


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
    )
    return RedisCache(told, clock, metrics, random.Random())


def worker_settings(settings: config.Settings) -> WorkerSettings:
    of = settings.work
    return WorkerSettings(
        poll_every_s=of.poll_s,
        follower_page=of.follower_page,
        pages_at_once=of.pages_at_once,
        open_events_max=of.open_events,
        audit_ages_s=settings.outbox.audit_ages_s,
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
    if of.mode == "development" or of.jwks_file is None:
        return TrustingIdentity()
    return TokenIdentity(keys_from_jwks(of.jwks_file.read_text()), issuer=of.issuer, audience=of.audience)


def token_signer(settings: config.Settings) -> TokenSigner:
    """Development keeps a key of its own, so that tokens outlive a restart.  Raises OSError, ValueError."""
    path = settings.tokens.keys_file or _development_keys(config.state_folder() / "token-keys.json")
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
        keys: Mapping[int, bytes] = {int(id_): _secret(text) for id_, text in read["keys"].items()}
        return TokenSigner(keys, int(read["signing"]))
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError, binascii.Error) as error:
        raise ValueError(f"{path} is not a file of token keys") from error


def _secret(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _development_keys(path: Path) -> Path:
    """Makes the file if it is not there; of two processes at once the first one's stands."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mine = path.with_name(f".{path.name}.{os.getpid()}")
    secret = base64.urlsafe_b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
    mine.write_text(json.dumps({"signing": 1, "keys": {"1": secret}}), encoding="utf-8")
    mine.chmod(0o600)
    try:
        os.link(mine, path)
    except FileExistsError:
        pass
    finally:
        mine.unlink()
    return path
