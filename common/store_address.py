"""Where the cluster's store is kept, as a user writes it: raft, memory, or etcd://HOST:PORT,…"""

from __future__ import annotations

import re

from common.errors import InvalidArgument

ETCD = "etcd://"
_PREFIX = re.compile(r"/[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")


def check_store(store: str, prefix: str) -> None:
    """Raises InvalidArgument with what is wrong and what it should look like."""
    if store in ("raft", "memory"):
        return
    if not store.startswith(ETCD):
        raise InvalidArgument(f"invalid store {store!r}: use raft, or etcd://HOST:PORT with more members behind commas")
    etcd_urls(store)
    if not _PREFIX.fullmatch(prefix):
        raise InvalidArgument(
            f"invalid store prefix {prefix!r}: it looks like /shoal/NAME, of letters, digits, dots, dashes and underscores"
        )


def etcd_urls(store: str, *, tls: bool = False) -> list[str]:
    """The URLs of all members that an etcd:// address names. Raises InvalidArgument."""
    members = store.removeprefix(ETCD).split(",")
    for member in members:
        host, colon, port = member.rpartition(":")
        if not colon or not _host(host) or not port.isdecimal() or not 0 < int(port) < 65536:
            raise InvalidArgument(f"invalid etcd member {member!r} in store {store!r}: it looks like HOST:2379")
    return [f"{'https' if tls else 'http'}://{member}" for member in members]


def _host(text: str) -> bool:
    name = re.fullmatch(r"[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]", text)
    return name is not None
