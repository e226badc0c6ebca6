"""The worker: puts its parts together, serves the Engine API and keeps the session with a manager.

Starting is recovery: each part first looks at what is really there. Stopping touches no container.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import chain

import structlog
from aiohttp import web

from common.settings import Settings
from worker.api import (
    absent,
    archive,
    cluster,
    containers,
    execs,
    images,
    metrics,
    networks,
    registries,
    server,
    streams,
    swarm,
    system,
    volumes,
)
from worker.api.cluster import Manager
from worker.api.events import cluster_events
from worker.api.places import Places
from worker.engine.containers import Containers
from worker.engine.events import EventBus
from worker.engine.execs import Execs
from worker.engine.node import Engine
from worker.images.store import LocalImages
from worker.membership.lifecycle import Lifecycle
from worker.membership.membership import Membership
from worker.network.networks import LocalNetworks
from worker.runtime.conmon import ConmonRuntime
from worker.session.client import Session
from worker.session.measures import Measures
from worker.volumes.local import LocalVolumes

log = structlog.get_logger()


async def run(settings: Settings, membership: Membership) -> None:
    """Run this node's worker until cancelled."""
    async with AsyncExitStack() as stack:
        manager = await stack.enter_async_context(Manager(settings, membership))
        engine = await stack.enter_async_context(_engine(settings, Places(manager, membership)))
        measures = Measures()
        app = server.application(
            [*metrics.routes(engine, manager, membership, measures), *_routes(engine, manager, membership)]
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(engine.containers.run(), name="containers")
            group.create_task(Session(engine, membership, measures=measures).run(), name="session")
            group.create_task(cluster_events(engine.events, manager), name="cluster events")
            async with server.serve(app, settings):
                engine.events.publish("daemon", "start", membership.node_id, {"name": settings.socket.name})
                log.info("ready", socket=str(settings.socket), node=membership.node_id)
                await asyncio.Event().wait()


@asynccontextmanager
async def _engine(settings: Settings, places: Places) -> AsyncIterator[Engine]:
    """All parts, started in the order in which they need each other, closed in reverse."""
    events = EventBus()
    parts = Engine(
        settings=settings,
        events=events,
        runtime=(runtime := ConmonRuntime(settings)),
        images=(store := LocalImages(settings, events)),
        volumes=(local := LocalVolumes(settings, events)),
        networks=(net := LocalNetworks(settings, events, places)),
        containers=Containers(settings, events, runtime, store, local, net),
        execs=Execs(runtime, events),
    )
    started = (
        (parts.runtime.start_up, parts.runtime.close),
        (parts.images.start_up, parts.images.close),
        (parts.volumes.start_up, parts.volumes.close),
        (parts.networks.start_up, parts.networks.shut_down),
        (parts.containers.start_up, parts.containers.close),
    )
    async with AsyncExitStack() as stack:
        for start_up, close in started:
            stack.push_async_callback(close)
            await start_up()
        yield parts


def _routes(engine: Engine, manager: Manager, membership: Membership) -> list[web.RouteDef]:
    modules = (archive, containers, execs, images, streams, volumes)
    return [
        *absent.routes(),
        *registries.routes(engine),
        *chain.from_iterable(module.routes(engine) for module in modules),
        *system.routes(engine, manager, membership),
        *networks.routes(engine, manager),
        *swarm.routes(Lifecycle(engine.settings, membership, manager)),
        *cluster.routes(manager),
    ]
