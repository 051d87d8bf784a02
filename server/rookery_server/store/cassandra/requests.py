"""`requests`: a request id bound to one content and one result for 24 h."""

from __future__ import annotations

from rookery_server.store.cassandra.lwt import insert_once
from rookery_server.store.cassandra.session import CassandraSession
from rookery_server.store.cassandra.statements import compare_and_set, read_serial
from rookery_server.store.interface import RequestClaim

REQUEST_CLAIM = compare_and_set(
    "request_claim",
    "INSERT INTO requests (caller, request_id, content_hash, result_id) VALUES (?, ?, ?, ?) IF NOT EXISTS",
)
REQUEST_AT_SERIAL = read_serial(
    "request_at_serial", "SELECT content_hash, result_id FROM requests WHERE caller = ? AND request_id = ?"
)
STATEMENTS = (REQUEST_CLAIM, REQUEST_AT_SERIAL)


class RequestTable:
    _session: CassandraSession

    async def claim_request(self, caller: int, request_id: str, content_hash: bytes, result_id: int) -> RequestClaim:
        ours = (content_hash, result_id)
        applied, standing = await insert_once(
            self._session, REQUEST_CLAIM, (caller, request_id, *ours), REQUEST_AT_SERIAL, (caller, request_id)
        )
        if standing is None:
            return RequestClaim(True, *ours)
        found = (standing["content_hash"], standing["result_id"])
        # After an unknown answer the row tells: a result id is minted once, so a row with ours is ours.
        return RequestClaim(applied is None and found == ours, *found)
