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

from common.errors import NotFound, Unavailable
from common.filters import Filters
from common.http import answer, body, empty
from common.model import NetworkInspect, NetworkSpec
from common.model.base import EngineSpec
from common.model.container import EndpointSettings
from common.moments import moment
from common.places import not_attachable
from worker.api.cluster import Manager
from worker.engine.node import Engine

_LIST_FILTERS = ("dangling", "driver", "id", "label", "name", "scope", "type")
_PRUNE_FILTERS = ("until", "label", "label!")
_BUILTIN = ("bridge", "host", "none")


class ConnectRequest(EngineSpec, frozen=True, kw_only=True):
    container: str
    endpoint_config: EndpointSettings | None = None


class _Pruned(EngineSpec, frozen=True, kw_only=True):
    networks_deleted: list[str]


class DisconnectRequest(EngineSpec, frozen=True, kw_only=True):
    container: str
    force: bool = False


def routes(engine: Engine, manager: Manager) -> list[web.RouteDef]:
    return [
        web.get("/networks", partial(_list, engine, manager)),
        web.post("/networks/create", partial(_create, engine, manager)),
        web.post("/networks/prune", partial(_prune, engine, manager)),
        web.get("/networks/{id}", partial(_inspect, engine, manager)),
        web.delete("/networks/{id}", partial(_remove, engine, manager)),
        web.post("/networks/{id}/connect", partial(_connect, engine, manager)),
        web.post("/networks/{id}/disconnect", partial(_disconnect, engine, manager)),
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
    if scope not in ("", "swarm"):
        raise _not_found(reference)
    cluster = await _cluster(manager, reference, verbose=request.query.get("verbose", ""))
    return answer(_with_containers(engine, cluster))


async def _cluster(manager: Manager, reference: str, **query: str) -> dict[str, Any]:
    """The cluster's network of that name or id. Raises NotFound."""
    found: dict[str, Any] | None = await manager.get(f"/networks/{quote(reference, safe='')}", None, **query)
    if found is None:
        raise _not_found(reference)
    return found


def _not_found(reference: str) -> NotFound:
    return NotFound(f"network {reference} not found", ("network", reference))


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


async def _connect(engine: Engine, manager: Manager, request: web.Request) -> web.Response:
    wish = await body(request, ConnectRequest)
    name = await _connectable(engine, manager, request.match_info["id"])
    await engine.containers.connect(wish.container, name, wish.endpoint_config or EndpointSettings())
    return empty(200)


async def _connectable(engine: Engine, manager: Manager, reference: str) -> str:
    """The network's name. Raises NotFound, Forbidden (not attachable)."""
    if (local := _local(engine, reference)) is not None:
        return local.name
    cluster = await _cluster(manager, reference)
    name: str = cluster["Name"]
    if not cluster["Attachable"]:
        raise not_attachable(reference, name)
    return name


async def _disconnect(engine: Engine, manager: Manager, request: web.Request) -> web.Response:
    wish = await body(request, DisconnectRequest)
    reference = request.match_info["id"]
    local = _local(engine, reference)
    name = local.name if local is not None else (await _cluster(manager, reference))["Name"]
    await engine.containers.disconnect(wish.container, name, force=wish.force)
    return empty(200)


async def _prune(engine: Engine, manager: Manager, request: web.Request) -> web.Response:
    text = request.query.get("filters", "")
    filters = Filters.parse(text, _PRUNE_FILTERS)
    wanted = {name for container in engine.containers.list() for name in container.record.endpoints}
    removed = [network for network in engine.networks.list() if _prunable(network, filters, wanted)]
    for network in removed:
        await engine.networks.remove(network.id)
    cluster = await _prune_cluster(manager, text)
    return answer({"NetworksDeleted": [*(network.name for network in removed), *cluster] or None})


async def _prune_cluster(manager: Manager, filters: str) -> Sequence[str]:
    """Names of the cluster's networks that went; none where no manager answers."""
    try:
        told = await manager.ask("POST", "/networks/prune", wait=False, **({"filters": filters} if filters else {}))
    except Unavailable:
        return ()
    return msgspec.json.decode(told, type=_Pruned).networks_deleted


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
