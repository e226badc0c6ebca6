"""Who is on a network: its services with their tasks, and the nodes, in the shapes of `docker network inspect --verbose`."""

from __future__ import annotations

from typing import Any

from common.model import Network, Node, PortConfig, Service, Task
from common.model.network import PeerInfo
from common.wire import Backend, ServiceEndpoint
from manager.dispatcher import endpoints
from manager.dispatcher.peers import data_path
from manager.store.base import View


def peers(view: View, network: Network) -> list[PeerInfo] | None:
    """The nodes that have containers, or an address of their own, on the network; None where there are none."""
    tasks = (task.node_id for task in view.find(Task, "network", network.id) if not task.status.state.terminal)
    guests = (node.id for node in view.find(Node, "network", network.id))
    nodes = (view.get(Node, id) for id in dict.fromkeys((*tasks, *guests)))
    return [PeerInfo(name=node.description.hostname, ip=data_path(node)) for node in nodes if node] or None


def services(view: View, network: Network) -> dict[str, Any]:
    """By service name."""
    found = (
        endpoints.endpoint(view, endpoints.key(s.id, network.id)) for s in view.find(Service, "network", network.id)
    )
    return {endpoint.service_name: _service(view, endpoint) for endpoint in found if endpoint}


def _service(view: View, endpoint: ServiceEndpoint) -> dict[str, Any]:
    return {
        "VIP": endpoint.vip,
        "Ports": [*map(_port, endpoint.ports)],
        "LocalLBIndex": 0,
        "Tasks": [_task(view, backend) for backend in endpoint.backends if backend.ready],
    }


def _task(view: View, backend: Backend) -> dict[str, Any]:
    node = view.get(Node, backend.node_id)
    info = {"Host IP": data_path(node)} if node else {}
    return {"Name": backend.container_name, "EndpointID": "", "EndpointIP": backend.address, "Info": info}


def _port(port: PortConfig) -> str:
    return f"Target: {port.target_port}, Publish: {port.published_port}"
