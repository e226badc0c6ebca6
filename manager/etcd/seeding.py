"""A log in etcd that begins with the state of another one: its prefix is reserved, then filled, by any manager that has it.

Each step may be done by several managers at once, and again: the state is the same on all, and the first one counts.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from common.errors import Conflict
from manager.etcd.client import Client
from manager.etcd.compactor import write_snapshot
from manager.etcd.keys import Keys, Pointer
from manager.etcd.loader import decode_pointer
from manager.etcd.wire import after, created, delete, modified, put


async def reserve(client: Client, prefix: str, token: str) -> None:
    """Keep others away from a prefix that nobody uses. Raises Conflict where somebody does."""
    keys = Keys(prefix)
    pointer = put(keys.pointer, msgspec.json.encode(Pointer(origin=token, arriving=True)))
    found = await client.range(keys.all, after(keys.all), limit=1)
    answer = await client.txn([created(keys.pointer, 0)], [pointer]) if not found.kvs else None
    if answer is None or not (answer.succeeded or await _origin(client, keys) == token):
        raise Conflict(f"the prefix {prefix} is used in etcd already: choose another one, or delete its keys")


async def release(client: Client, prefix: str, token: str) -> None:
    """Give a reservation back that nothing came of."""
    keys = Keys(prefix)
    found = await client.range(keys.pointer)
    if found.kvs and (pointer := decode_pointer(found.first.value)).arriving and pointer.origin == token:
        await client.txn([modified(keys.pointer, found.first.mod_revision)], [delete(keys.pointer)])


async def fill(client: Client, prefix: str, token: str, index: int, state: bytes) -> None:
    """Let the log begin with `state`, which was another log's after entry `index`. Does nothing where it began already.
    Raises Conflict where the prefix is not reserved for this move."""
    keys = Keys(prefix)
    found = await client.range(keys.pointer)
    pointer = decode_pointer(found.first.value) if found.kvs else Pointer()
    if pointer.origin != token:
        raise Conflict(f"the prefix {prefix} in etcd is not the one that the cluster moved to: were its keys deleted?")
    if not pointer.arriving:
        return
    written = await write_snapshot(client, keys, state)
    first = msgspec.json.encode(replace(written, index=index, origin=token))
    kept = keys.snapshot(written.id)
    others = [delete(keys.snapshots, kept), delete(after(kept), after(keys.snapshots))]
    await client.txn([modified(keys.pointer, found.first.mod_revision)], [put(keys.pointer, first), *others])


async def _origin(client: Client, keys: Keys) -> str:
    found = await client.range(keys.pointer)
    return decode_pointer(found.first.value).origin if found.kvs else ""
