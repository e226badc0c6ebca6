"""shoal-manager: the store, the loops, the dispatcher and the API of one manager, as long as it runs.

Each part is its own module's work; here they are put together. The launcher turns signals into cancellation.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Sequence
from pathlib import Path

import structlog

from common.errors import Unavailable
from common.identity import IdentityFile
from common.settings import Settings
from manager.api.context import Context
from manager.api.routes import routes
from manager.api.server import application, serve
from manager.bootstrap import check_ours, seed
from manager.dispatcher.dispatcher import Dispatcher
from manager.driver import Driver
from manager.loops.all import all_loops
from manager.migration.endpoints import Migration
from manager.migration.following import live
from manager.store.log import Log
from manager.store.store import StateStore, open_store
from manager.vault import Vault

log = structlog.get_logger()


async def run(settings: Settings, node_id: str) -> None:
    """Serve until cancelled. Raises ShoalError where the store cannot be opened, LoopError where a loop fails."""
    await live(settings, node_id, lambda placed: _serve(placed, settings, node_id))


async def _serve(placed: Settings, settings: Settings, node_id: str) -> None:
    """Serve from the store that holds at present. Raises Moved where the cluster's state went on elsewhere."""
    async with open_store(_log(placed, node_id)) as store:
        gc.freeze()  # what was loaded lives as long as this process: the collector need not walk it again and again
        vault = Vault(_cluster_key(settings))
        dispatcher = Dispatcher(store, vault.open)
        context = Context(store, dispatcher, vault, node_id, settings.cluster_pools)
        async with asyncio.TaskGroup() as group:
            group.create_task(_bootstrap(store, node_id, settings.cluster_pools), name="bootstrap")
            group.create_task(store.until_moved(), name="moved")
            group.create_task(dispatcher.run(), name="dispatcher")
            group.create_task(Driver(store, all_loops()).run(), name="driver")
            migration = Migration(store, settings, node_id)
            app = application([*dispatcher.routes(), *routes(context), *migration.routes()])
            app.on_shutdown.append(dispatcher.stop)
            settings.manager_socket.parent.mkdir(parents=True, exist_ok=True, mode=0o711)
            async with serve(app, settings.manager_socket):
                log.info("serving", socket=str(settings.manager_socket), node=node_id)
                await asyncio.get_running_loop().create_future()


async def _bootstrap(store: StateStore, node_id: str, pools: Sequence[str]) -> None:
    check_ours(store.view(), node_id)
    await store.leadership(True)
    await store.commit(seed(store.view(), node_id, pools))


def _cluster_key(settings: Settings) -> bytes:
    keys = IdentityFile(settings.root).load().keys
    if keys is None:
        raise Unavailable("this node's keys are locked")
    return keys.cluster


def _log(settings: Settings, node_id: str) -> Log:
    if settings.store == "memory":
        from manager.store.memory_log import MemoryLog

        return MemoryLog()
    if settings.store == "raft":
        from manager.raft.log import RaftLog

        return RaftLog(Path(settings.root) / "raft", node_id)
    from manager.etcd.opening import etcd_log

    return etcd_log(settings, node_id)
