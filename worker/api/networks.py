"""The network endpoints: this node's networks, and the cluster's, which the manager tells and changes.

What happens to containers on connect and disconnect is worker/engine's, so that stopped containers change too.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any
from urllib.parse import quote

import msgspec
from aiohttp import web

from common.errors import Forbidden, NotFound
from common.filters import Filters
from common.http import answer, body, empty
from common.model import NetworkInspect, NetworkSpec
from common.model.base import EngineSpec
from common.model.container import EndpointSettings
from common.moments import moment
from worker.api.cluster import Manager
from worker.engine.node import Engine

_LIST_FILTERS = ("dangling", "driver", "id", "label", "name", "scope", "type")
_PRUNE_FILTERS = ("until", "label", "label!")
_BUILTIN = ("bridge", "host", "none")


class ConnectRequest(EngineSpec, frozen=True, kw_only=True):
    container: str
    endpoint_config: EndpointSettings | None = None


class DisconnectRequest(EngineSpec, frozen=True, kw_only=True):
    container: str
    force: bool = False


def routes(engine: Engine, manager: Manager) -> list[web.RouteDef]:
    return [
        web.get("/networks", partial(_list, engine, manager)),
        web.post("/networks/create", partial(_create, engine, manager)),
        web.post("/networks/prune", partial(_prune, engine)),
        web.get("/networks/{id}", partial(_inspect, engine, manager)),
        web.delete("/networks/{id}", partial(_remove, engine, manager)),
        web.post("/networks/{id}/connect", partial(_connect, engine)),
        web.post("/networks/{id}/disconnect", partial(_disconnect, engine)),
    ]


async def _list(engine: Engine, manager: Manager, request: web.Request) -> web.Response:
    text = request.query.get("filters", "")
    filters = Filters.parse(text, _LIST_FILTERS)
    found = [network for network in engine.networks.list() if network.scope == "local" and _wanted(network, filters)]
    cluster = await manager.get("/networks", [], **({"filters": text} if text else {}))
    return answer([*(msgspec.structs.replace(network, containers={}) for network in found), *cluster])


async def _inspect(engine: Engine, manager: Manager, request: web.Request) -> web.Response:
    reference, scope = request.match_info["id"], request.query.get("scope", "")
    local = _local(engine, reference)
    if local is not None and scope in ("", local.scope):
        return answer(local)
    cluster = await manager.get(f"/networks/{quote(reference, safe='')}", None) if scope in ("", "swarm") else None
    if cluster is None:
        raise NotFound(f"network {reference} not found", ("network", reference))
    return answer(_with_containers(engine, cluster))


def _local(engine: Engine, reference: str) -> NetworkInspect | None:
    """The node's own network of that name or id; None also for one of the cluster that is known here."""
    try:
        found = engine.networks.inspect(reference)
    except NotFound:
        return None
    return found if found.scope == "local" else None


def _with_containers(engine: Engine, cluster: dict[str, Any]) -> dict[str, Any]:
    """A cluster's network with the containers that are on it here."""
    known = next((network for network in engine.networks.list() if network.id == cluster["Id"]), None)
    return {**cluster, "Containers": known.containers} if known is not None else cluster


async def _create(engine: Engine, manager: Manager, request: web.Request) -> web.StreamResponse:
    wish = await body(request, NetworkSpec)
    if wish.driver == "overlay" or wish.scope == "swarm":
        return await manager.forward(request, "/networks/create")
    created = await engine.networks.create(wish)
    return answer({"Id": created, "Warning": ""}, 201)


async def _remove(engine: Engine, manager: Manager, request: web.Request) -> web.StreamResponse:
    reference = request.match_info["id"]
    if _local(engine, reference) is None:
        return await manager.forward(request, f"/networks/{quote(reference, safe='')}")
    await engine.networks.remove(reference)
    return empty()


async def _connect(engine: Engine, request: web.Request) -> web.Response:
    wish = await body(request, ConnectRequest)
    network = engine.networks.inspect(request.match_info["id"])
    if network.scope == "swarm" and not network.attachable:
        raise Forbidden(f"network {network.name} is not attachable: create it with --attachable")
    await engine.containers.connect(wish.container, network.name, wish.endpoint_config or EndpointSettings())
    return empty(200)


async def _disconnect(engine: Engine, request: web.Request) -> web.Response:
    wish = await body(request, DisconnectRequest)
    network = engine.networks.inspect(request.match_info["id"])
    await engine.containers.disconnect(wish.container, network.name, force=wish.force)
    return empty(200)


async def _prune(engine: Engine, request: web.Request) -> web.Response:
    filters = Filters.parse(request.query.get("filters"), _PRUNE_FILTERS)
    wanted = {name for container in engine.containers.list() for name in container.record.endpoints}
    removed = [network for network in engine.networks.list() if _prunable(network, filters, wanted)]
    for network in removed:
        await engine.networks.remove(network.id)
    return answer({"NetworksDeleted": [network.name for network in removed] or None})


def _wanted(network: NetworkInspect, filters: Filters) -> bool:
    builtin = network.name in _BUILTIN and network.scope == "local"
    return (
        filters.match("name", network.name)
        and filters.match("id", network.id)
        and filters.exact("driver", network.driver)
        and filters.exact("scope", network.scope)
        and filters.exact("type", "builtin" if builtin else "custom")
        and filters.labels(network.labels)
        and filters.flag("dangling") in (None, not builtin and not network.containers)
    )


def _prunable(network: NetworkInspect, filters: Filters, wanted: set[str]) -> bool:
    """Unused by any container, running or not."""
    unused = network.scope == "local" and network.name not in _BUILTIN and not network.containers
    unused = unused and not {network.name, network.id} & wanted
    return unused and filters.labels(network.labels) and _older(network, filters.values("until"))


def _older(network: NetworkInspect, limits: Sequence[str]) -> bool:
    return all(network.created.timestamp() * 1e9 < moment(text) for text in limits)
