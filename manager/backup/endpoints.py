"""`GET /shoal/v1/cluster/backup`, for users; RESTORE, by which the node's own daemon begins to restore one (worker/membership)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import msgspec
from aiohttp import web

from common import backup, http
from common.errors import Conflict, InvalidArgument
from common.identity.identity import KEY_SIZE
from common.identity.requests import Certified, Prepared
from common.identity.tls import Peer
from common.model import Service
from common.settings import Settings
from manager.backup.restoring import Restored, capture, restored
from manager.ca.authority import certify
from manager.migration.places import present_place
from manager.store.store import StateStore
from manager.vault import Vault


class Backup:
    def __init__(self, store: StateStore, vault: Vault, settings: Settings, node_id: str) -> None:
        self._store = store
        self._vault = vault
        self._settings = settings
        self._node_id = node_id

    def routes(self) -> list[web.RouteDef]:
        return [web.get(backup.BACKUP, self.download), web.post(backup.RESTORE, self.restore)]

    async def download(self, _: web.Request) -> web.Response:
        """Unsealed: who may ask here is as good as root on this node."""
        cluster, content = await capture(self._store, self._vault.key)
        made = datetime.now(UTC).isoformat(timespec="seconds")
        packed = await asyncio.to_thread(backup.pack, cluster.id, made, content)
        return web.Response(body=packed, content_type="application/octet-stream")

    async def restore(self, request: web.Request) -> web.Response:
        """Make this node's part of the restored cluster ready, and answer with its certificate there.

        It begins once the node has taken on the identity that holds the order's log key.
        """
        order = _order(await http.large_body(request))
        self._check()
        content = await asyncio.to_thread(backup.unpack, order.backup)
        made = await asyncio.to_thread(restored, content, self._node_id, order.address)
        vault = Vault(content.cluster_key)
        own = Peer(self._node_id, "manager", made.cluster.id)
        chain = await certify(made.cluster, vault, order.csr, own)
        await asyncio.to_thread(self._lay_aside, made, order)
        answer = Certified(
            node_id=self._node_id,
            cluster_id=made.cluster.id,
            role=own.role,
            certificate=chain,
            roots=made.cluster.tls_info.trust_root,
            managers=[order.address],
            cluster_key=vault.key,
        )
        return http.answer(Prepared(certified=answer, unlock_key=vault.unlock_key(made.cluster)))

    def _check(self) -> None:
        if self._store.view().count(Service):
            raise Conflict("this node's cluster has services: a backup is restored on a node that has none")
        if present_place(self._settings).store != "raft":
            raise Conflict(
                "this node keeps its state elsewhere: start it without --store, restore, and then move the state by "
                "`shoal cluster migrate`"
            )

    def _lay_aside(self, made: Restored, order: backup.Order) -> None:
        from manager.raft.seeding import aside, forget_waiting, seed

        folder = self._settings.root / "raft"
        forget_waiting(folder)
        waiting, members = aside(folder, order.log_key), {self._node_id: order.address}
        seed(waiting, self._node_id, members, "restored", made.index, made.state, [order.log_key])


def _order(data: bytes) -> backup.Order:
    try:
        order = msgspec.msgpack.decode(data, type=backup.Order)
    except msgspec.DecodeError as error:
        raise InvalidArgument(f"the order to restore cannot be read: {error}") from None
    if len(order.log_key) != KEY_SIZE:
        raise InvalidArgument(f"the log's key has {len(order.log_key)} bytes, not {KEY_SIZE}")
    return order
