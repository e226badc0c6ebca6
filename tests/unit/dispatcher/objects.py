"""A small cluster for the dispatcher's tests: a service "web" on the networks "front" and ingress, and its tasks."""

from __future__ import annotations

from common.model import (
    ContainerSpec,
    Endpoint,
    Network,
    NetworkAttachment,
    NetworkSpec,
    Node,
    NodeDescription,
    PortConfig,
    Secret,
    SecretSpec,
    Service,
    ServiceSpec,
    Task,
    TaskSpec,
    TaskState,
    TaskStatus,
    VirtualIP,
)
from common.model.service import NetworkAttachmentConfig, SecretReference
from manager.store.base import Put

FRONT = Network(id="front", spec=NetworkSpec(name="front", driver="overlay"), vni=4097)
INGRESS = Network(id="ing", spec=NetworkSpec(name="ingress", driver="overlay", ingress=True), vni=4096)
HOST = Network(id="host", spec=NetworkSpec(name="host", driver="host"))
KEY = Secret(id="key", spec=SecretSpec(name="key", data=b"x"))
PORT = PortConfig(target_port=80, published_port=8080)

WEB = Service(
    id="web",
    spec=ServiceSpec(
        name="web",
        task_template=TaskSpec(
            container_spec=ContainerSpec(image="hello", secrets=[SecretReference(secret_id="key")]),
            networks=[NetworkAttachmentConfig(target="front", aliases=["www"])],
        ),
    ),
    endpoint=Endpoint(
        ports=[PORT, PortConfig(target_port=81, published_port=81, publish_mode="host")],
        virtual_ips=[
            VirtualIP(network_id="front", addr="10.0.1.2/24"),
            VirtualIP(network_id="ing", addr="10.0.0.2/24"),
        ],
    ),
)


def node(id: str, data_path: str) -> Node:
    return Node(id=id, description=NodeDescription(data_path=data_path))


CLUSTER = [Put(o) for o in (FRONT, INGRESS, HOST, KEY, WEB, node("n1", "192.0.2.1"), node("n2", "192.0.2.2"))]


def task(number: int = 1, node: str = "n1", state: TaskState = TaskState.ASSIGNED, **fields: object) -> Task:
    """Task t<number> of the service, on both networks."""
    attachments = (
        NetworkAttachment(network_id="front", addresses=[f"10.0.1.{10 + number}/24"], aliases=["me"]),
        NetworkAttachment(network_id="ing", addresses=[f"10.0.0.{10 + number}/24"]),
    )
    return Task(
        **{
            "id": f"t{number}",
            "service_id": "web",
            "slot": number,
            "node_id": node,
            "name": f"web.{number}.t{number}",
            "status": TaskStatus(state=state),
            "desired_state": TaskState.RUNNING,
            "networks_attachments": attachments,
            **fields,
        }  # type: ignore[arg-type]
    )
