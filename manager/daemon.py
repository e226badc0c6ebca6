"""shoal-manager: the store, the loops, the dispatcher and the API of one manager, as long as it runs.

Each part is its own module's work; here they are put together. The launcher turns signals into cancellation.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import chain

import structlog

from common.errors import Conflict
from common.identity import Identity
from common.identity.start import ManagerStart
from common.identity.tls import Tls
from common.log import of_node
from common.model import Cluster
from common.settings import Settings
from manager.api.context import Context
from manager.api.peers import peers_application, serve_peers
from manager.api.routes import peer_routes, routes
from manager.api.server import application, serve
from manager.backup.endpoints import Backup
from manager.bootstrap import check_ours, seed
from manager.collector import collect
from manager.dispatcher.dispatcher import Dispatcher
from manager.dispatcher.others import RemoteOthers
from manager.driver import Driver
from manager.loops.all import all_loops
from manager.members import Group, Members
from manager.metrics import Measures, Metrics
from manager.migration.endpoints import Migration
from manager.migration.following import Elsewhere, ask_others, live
from manager.migration.places import Place
from manager.opening import log_keys, open_log
from manager.store.store import StateStore, open_store
from manager.vault import Vault

log = structlog.get_logger()

Updates = Callable[[], AsyncIterator[Identity]]


async def run(settings: Settings, start: ManagerStart, updates: Updates) -> None:
    """Serve until cancelled. Raises ShoalError where the store cannot be opened, LoopError where a loop fails."""
    identity = start.identity
    of_node(identity.node_id)
    tls = Tls(identity) if identity.cluster_id else None
    async with asyncio.TaskGroup() as group:
        following = group.create_task(_follow(tls, updates), name="identity")
        await live(
            settings, identity.node_id, lambda placed: _serve(placed, settings, start, tls), log_keys(start.identity)
        )
        following.cancel()


async def _serve(placed: Settings, settings: Settings, start: ManagerStart, tls: Tls | None) -> None:
    """Serve from the store that holds at present. Raises Moved where the cluster's state went on elsewhere."""
    identity = start.identity
    assert identity.keys is not None, "a locked node runs no manager"
    opened, measures = open_log(placed, start, tls), Measures()
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_store(opened.log, observe=measures.commits.observe))
        vault = Vault(identity.keys.cluster)
        others = await stack.enter_async_context(_others(opened.group, identity.node_id, tls)) if tls else None
        dispatcher = Dispatcher(store, vault.open, vault.unlock_key, others)
        context = Context(store, dispatcher, vault, opened.group, identity.node_id, settings.cluster_pools)
        migration = Migration(store, settings, identity.node_id)
        driver = Driver(store, measures.timed(all_loops()))
        metrics = Metrics(store, opened.group, dispatcher, driver, measures, opened.numbers, opened.counts)
        backup = Backup(store, vault, settings, identity.node_id)
        group = await stack.enter_async_context(asyncio.TaskGroup())
        group.create_task(collect(), name="garbage")
        group.create_task(store.until_moved(), name="moved")
        group.create_task(dispatcher.run(), name="dispatcher")
        group.create_task(driver.run(), name="driver")
        group.create_task(Members(store, opened.group, settings.replace_managers_after).run(), name="members")
        if tls is None:
            group.create_task(_bootstrap(store, identity.node_id, settings.cluster_pools), name="bootstrap")
        else:
            group.create_task(_look_elsewhere(settings, store, opened.group, identity, tls), name="store's place")
            ours = [
                *opened.routes,
                *dispatcher.routes(),
                *peer_routes(context),
                *migration.peer_routes(),
                *metrics.routes(),
            ]
            peers = peers_application(ours, context, identity.cluster_id)
            peers.on_shutdown.append(dispatcher.stop)
            await stack.enter_async_context(serve_peers(peers, identity.listen, tls))
            await opened.enter()
        parts = (dispatcher, migration, backup, metrics)
        app = application([*routes(context), *chain.from_iterable(part.routes() for part in parts)], store)
        app.on_shutdown.append(dispatcher.stop)
        settings.manager_socket.parent.mkdir(parents=True, exist_ok=True, mode=0o711)
        await stack.enter_async_context(serve(app, settings.manager_socket))
        log.info("serving", socket=str(settings.manager_socket), node=identity.node_id, peers=identity.listen)
        await asyncio.get_running_loop().create_future()


async def _bootstrap(store: StateStore, node_id: str, pools: Sequence[str]) -> None:
    try:
        check_ours(store.view(), node_id)
    except Conflict as error:  # it may mean to join that cluster: until then it is one of its own
        log.warning("this node keeps its own state by itself", reason=error.message)
        raise Elsewhere(Place("raft")) from None
    await store.leadership(True)
    await store.commit(seed(store.view(), node_id, pools))


@asynccontextmanager
async def _others(group: Group, own: str, tls: Tls) -> AsyncIterator[RemoteOthers]:
    """The other managers, where the group says that they are."""

    def leader() -> str | None:
        return next(("" if m.id == own else m.address or None for m in group.members() if m.leader), None)

    def addresses() -> Sequence[str]:
        return [member.address for member in group.members() if member.id != own and member.address]

    others = RemoteOthers(leader, addresses, lambda: tls.client)
    async with others.open():
        yield others


async def _look_elsewhere(settings: Settings, store: StateStore, group: Group, identity: Identity, tls: Tls) -> None:
    def lost() -> bool:
        led = any(member.leader for member in group.members())
        return not led or store.view().get(Cluster, identity.cluster_id) is None

    await ask_others(
        settings,
        lambda: {*(m.address for m in group.members()), *identity.managers} - {"", identity.advertise},
        tls.client,
        lost,
    )


async def _follow(tls: Tls | None, updates: Updates) -> None:
    """New certificates and roots go into new connections."""
    async for identity in updates():
        if tls is not None:
            tls.reload(identity)
