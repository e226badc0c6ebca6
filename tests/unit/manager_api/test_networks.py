"""Guests' places on networks, what keeps a network, who is shown on it, and pruning."""

from __future__ import annotations

from typing import Any

from common import places
from common.model import Network, Node, Service, Task
from tests.unit.manager_api.api import NODE, Api

SENTENCE = (
    "Could not attach to network {0}: rpc error: code = PermissionDenied desc = network {0} not manually attachable"
)


async def network(manager: Api, name: str, *, attachable: bool = True, subnet: str = "10.9.0.0/29") -> str:
    body = {
        "Name": name,
        "Driver": "overlay",
        "Attachable": attachable,
        "Labels": {"of": name},
        "IPAM": {"Config": [{"Subnet": subnet}]},
    }
    id: str = (await manager.post("/networks/create", body))["Id"]
    return id


def wish(container: str, network: str, *addresses: str) -> dict[str, Any]:
    return {"node_id": NODE, "container_id": container, "network": network, "addresses": [*addresses]}


async def admit(manager: Api, container: str, *addresses: str, network: str = "mesh") -> list[str]:
    place = await manager.post(places.PATH, wish(container, network, *addresses))
    assert place["network"]["Spec"]["Name"] == network
    given: list[str] = place["guest"]["Addresses"]
    return given


async def leave(manager: Api, container: str, network_id: str) -> None:
    gone = {"node_id": NODE, "container_id": container, "network_id": network_id}
    assert (await manager.call("DELETE", places.PATH, gone))[0] == 204


async def serve(manager: Api, network_id: str, **mode: Any) -> None:
    template = {"ContainerSpec": {"Image": "busybox"}, "Networks": [{"Target": network_id}]}
    await manager.post("/services/create", {"Name": "web", "TaskTemplate": template, **mode})
    await manager.settle()


async def test_guests_and_tasks_never_share_an_address(manager: Api) -> None:
    id = await network(manager, "mesh")
    assert await admit(manager, "one") == ["10.9.0.2/29"]
    await serve(manager, id, Mode={"Replicated": {"Replicas": 2}})
    view = manager.store.view()
    taken = [address for task in view.all(Task) for a in task.networks_attachments for address in a.addresses]
    assert sorted(taken) == ["10.9.0.4/29", "10.9.0.5/29"]
    assert await admit(manager, "two") == ["10.9.0.6/29"]
    status, message = await manager.refused("POST", places.PATH, wish("three", "mesh"))
    assert (status, message[:36]) == (409, "no address is free on network mesh: ")
    await leave(manager, "one", id)
    await leave(manager, "one", id)
    assert await admit(manager, "three") == ["10.9.0.2/29"]


async def test_a_task_waits_for_the_address_of_a_guest(manager: Api) -> None:
    id = await network(manager, "mesh")
    for name in "abcde":
        await admit(manager, name)
    await serve(manager, id, EndpointSpec={"Mode": "dnsrr"})
    [task] = manager.store.view().all(Task)
    assert task.status.err.startswith("no address is free on network mesh")
    await leave(manager, "c", id)
    await manager.settle()
    [task] = manager.store.view().all(Task)
    assert task.networks_attachments[0].addresses == ["10.9.0.4/29"]


async def test_a_guest_gets_the_address_it_wishes_and_the_same_one_again(manager: Api) -> None:
    await network(manager, "mesh")
    for _ in range(2):
        assert await admit(manager, "one", "10.9.0.6") == ["10.9.0.6/29"]
    assert await manager.refused("POST", places.PATH, wish("two", "mesh", "10.9.0.6")) == (
        403, "Address already in use: 10.9.0.6",
    )  # fmt: skip
    assert (await manager.refused("POST", places.PATH, wish("two", "mesh", "10.8.0.6")))[0] == 400


async def test_only_attachable_networks_take_guests(manager: Api) -> None:
    await network(manager, "mesh", attachable=False)
    for name, status, message in (
        ("mesh", 403, SENTENCE.format("mesh")),
        ("ingress", 403, SENTENCE.format("ingress")),
        ("host", 404, "network host not found"),
        ("nothing", 404, "network nothing not found"),
    ):
        assert await manager.refused("POST", places.PATH, wish("one", name)) == (status, message)


async def test_a_guest_keeps_its_network_and_is_no_business_of_the_nodes_users(manager: Api) -> None:
    id = await network(manager, "mesh")
    await admit(manager, "c" * 64)
    status, message = await manager.refused("DELETE", "/networks/mesh")
    assert (status, message) == (403, f"network {id} is in use by container cccccccccccc on node ")
    assert "Guests" not in await manager.get(f"/nodes/{NODE}")
    assert await manager.get("/networks", filters='{"dangling":["true"],"name":["mesh"]}') == []
    await leave(manager, "c" * 64, id)
    assert (await manager.call("DELETE", "/networks/mesh"))[0] == 204


async def test_services_and_nodes_on_a_network_are_shown(manager: Api) -> None:
    id = await network(manager, "mesh")
    assert (await manager.get("/networks/mesh"))["Peers"] is None
    await serve(manager, id)
    plain, verbose = await manager.get("/networks/mesh"), await manager.get("/networks/mesh", verbose="true")
    assert plain["Services"] is None
    assert verbose["Services"] == {"web": {"VIP": "10.9.0.2", "Ports": [], "LocalLBIndex": 0, "Tasks": []}}


async def test_pruning_takes_what_nothing_is_on(manager: Api) -> None:
    used = await network(manager, "used")
    await network(manager, "visited", subnet="10.9.1.0/29")
    await network(manager, "idle", subnet="10.9.2.0/29")
    await network(manager, "spared", subnet="10.9.3.0/29")
    await serve(manager, used)
    await admit(manager, "one", network="visited")
    assert await manager.post("/networks/prune", None, filters='{"until":["1h"]}') == {"NetworksDeleted": []}
    gone = await manager.post("/networks/prune", None, filters='{"label!":["of=spared"]}')
    assert gone == {"NetworksDeleted": ["idle"]}
    left = {network.spec.name for network in manager.store.view().all(Network)}
    assert left == {"bridge", "host", "ingress", "used", "visited", "spared"}


async def test_nodes_have_an_address_on_ingress_from_the_first_published_port_on(manager: Api) -> None:
    ingress = manager.store.view().find(Network, "name", "ingress")[0]
    await manager.settle()
    assert [node.attachments for node in manager.store.view().all(Node)] == [[]]
    ports = {"Ports": [{"TargetPort": 80, "PublishedPort": 8080, "PublishMode": "ingress"}]}
    template = {"ContainerSpec": {"Image": "busybox"}}
    await manager.post("/services/create", {"Name": "web", "TaskTemplate": template, "EndpointSpec": ports})
    await manager.settle()
    (node,) = manager.store.view().all(Node)
    assert [a.network_id for a in node.attachments] == [ingress.id]
    (task,) = manager.store.view().all(Task)
    (service,) = manager.store.view().all(Service)
    used = [
        *node.attachments[0].addresses,
        *task.networks_attachments[0].addresses,
        service.endpoint.virtual_ips[0].addr,
    ]
    assert len({address.partition("/")[0] for address in used}) == 3
    assert "Attachments" not in await manager.get(f"/nodes/{node.id}")


async def test_a_vxlan_id_is_given_once(manager: Api) -> None:
    options = {"com.docker.network.driver.overlay.vxlanid_list": "77"}
    body = {"Name": "one", "Driver": "overlay", "Options": options}
    await manager.post("/networks/create", body)
    await manager.settle()
    sentence = "VXLAN id 77 is that of network one: choose another one, or none"
    assert await manager.refused("POST", "/networks/create", body | {"Name": "two"}) == (409, sentence)
