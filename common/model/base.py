"""What all objects of the model share: naming on the wire, versions, immutability.

One msgspec Struct per object gives validation, JSON for the API (Docker's names) and MessagePack for log and wire.
Objects are trees without cycles, so the garbage collector is spared them (`gc=False`): a manager holds very many.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

_SWARM_WORDS = {
    "id": "ID", "ids": "IDs", "ip": "IP", "ips": "IPs", "cpus": "CPUs", "dns": "DNS", "tls": "TLS", "ca": "CA",
    "os": "OS", "pid": "PID", "uid": "UID", "gid": "GID", "tty": "TTY", "ipam": "IPAM", "url": "URL", "se": "SE",
}  # fmt: skip


def swarm_name(field: str) -> str:
    """nano_cpus → NanoCPUs: the spelling of Docker's Swarm types."""
    return "".join(_SWARM_WORDS.get(word) or word.capitalize() for word in field.split("_"))


def engine_name(field: str) -> str:
    """nano_cpus → NanoCpus: the spelling of Docker's container types (with ID in capitals)."""
    return "".join("ID" if word == "id" else word.capitalize() for word in field.split("_"))


class Spec(msgspec.Struct, frozen=True, omit_defaults=True, rename=swarm_name, kw_only=True, gc=False):
    """Base of cluster specs and their parts: Swarm's spelling, empty fields left out."""


class EngineSpec(msgspec.Struct, frozen=True, rename=engine_name, kw_only=True, gc=False):
    """Base of container types: Docker's engine spelling, every field written, as `docker inspect` shows them."""


class Version(Spec, omit_defaults=False, frozen=True, kw_only=True):
    index: int = 0


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Object(msgspec.Struct, frozen=True, omit_defaults=True, rename=swarm_name, kw_only=True, gc=False):
    """Base of what the store keeps. `version.index` is the store revision of the last change, 0 before the first commit."""

    id: str
    version: Version = msgspec.field(default_factory=Version)
    created_at: datetime = EPOCH
    updated_at: datetime = EPOCH
