"""The part of etcd's v3 JSON gateway that the log speaks: answers as types, and the operations of a txn.

In its JSON, 64-bit integers are texts and bytes are base64: msgspec turns both on its own.
"""

from __future__ import annotations

from typing import Any

import msgspec

Op = dict[str, Any]


class Header(msgspec.Struct, frozen=True):
    cluster_id: int = 0
    revision: int = 0


class KeyValue(msgspec.Struct, frozen=True, gc=False):
    key: bytes = b""
    value: bytes = b""
    create_revision: int = 0
    mod_revision: int = 0


class Range(msgspec.Struct, frozen=True):
    header: Header = Header()
    kvs: list[KeyValue] = []
    more: bool = False
    count: int = 0

    @property
    def first(self) -> KeyValue:
        """The one that was asked for; all zero where it does not exist."""
        return self.kvs[0] if self.kvs else KeyValue()


class OpResponse(msgspec.Struct, frozen=True):
    response_range: Range = Range()


class Txn(msgspec.Struct, frozen=True):
    header: Header = Header()
    succeeded: bool = False
    responses: list[OpResponse] = []


class Lease(msgspec.Struct, frozen=True, rename={"id": "ID", "ttl": "TTL"}):
    header: Header = Header()
    id: int = 0
    ttl: int = 0  # seconds; 0: there is no such lease any more


class KeptAlive(msgspec.Struct, frozen=True):
    result: Lease


class Event(msgspec.Struct, frozen=True, gc=False):
    kv: KeyValue
    type: str = "PUT"


class Watched(msgspec.Struct, frozen=True):
    header: Header = Header()
    canceled: bool = False
    compact_revision: int = 0
    cancel_reason: str = ""
    events: list[Event] = []


class WatchLine(msgspec.Struct, frozen=True):
    result: Watched | None = None
    error: Any = None


class Failure(msgspec.Struct, frozen=True):
    """What every refusal looks like; `code` is gRPC's."""

    code: int = 2
    error: Any = ""


def after(prefix: bytes) -> bytes:
    """The end of the range of all keys that begin with `prefix`."""
    return prefix[:-1] + bytes([prefix[-1] + 1])


def created(key: bytes, revision: int) -> Op:
    """Compare: `key` was created at `revision`; 0: it does not exist."""
    return {"key": key, "target": "CREATE", "create_revision": str(revision)}


def modified(key: bytes, revision: int) -> Op:
    """Compare: `key` was last written at `revision`; 0: it does not exist."""
    return {"key": key, "target": "MOD", "mod_revision": str(revision)}


def exists(key: bytes) -> Op:
    """Compare: `key` exists."""
    return {"key": key, "target": "VERSION", "result": "GREATER", "version": "0"}


def put(key: bytes, value: bytes, lease: int = 0) -> Op:
    return {"request_put": {"key": key, "value": value, "lease": str(lease)}}


def get(key: bytes) -> Op:
    return {"request_range": {"key": key}}


def delete(key: bytes, end: bytes = b"") -> Op:
    """Remove `key`, or all keys from it up to `end`, which stays."""
    return {"request_delete_range": {"key": key, "range_end": end}}
