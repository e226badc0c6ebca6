"""Allocation and scheduling in virtual time: addresses, ports, resources, spread, and what is said where there is no room."""

from __future__ import annotations

import time
from collections import Counter

import msgspec
import pytest

from common.model import (
    IPAM,
    EndpointSpec,
    IPAMPool,
    Network,
    NetworkSpec,
    PortConfig,
    Service,
    ServiceMode,
    ServiceSpec,
)
from common.model.service import (
    NetworkAttachmentConfig,
    Placement,
    PlacementPreference,
    Replicated,
    Reservation,
    ResourceRequirements,
    SpreadOver,
)
from common.model.shared import DiscreteGenericResource, GenericResource
from manager.loops import scheduler
from manager.store.base import Put
from tests.simulation.cluster import Simulation, template

replace = msgspec.structs.replace


@pytest.fixture
def cluster() -> Simulation:
    made = Simulation()
    for number, zone in enumerate("aab"):
        made.add_node(f"node{number}", labels={"zone": zone})
    return made


def spec(count: int = 2, name: str = "web", **options: object) -> ServiceSpec:
    mode = ServiceMode(replicated=Replicated(replicas=count))
    return ServiceSpec(name=name, task_template=template(**options), mode=mode)


def placed(cluster: Simulation, service: str = "web") -> Counter[str]:
    return Counter(task.node_id for task in cluster.tasks(service))


def errors(cluster: Simulation, service: str = "web") -> set[str]:
    return {task.status.err for task in cluster.tasks(service)} - {""}


def add_network(cluster: Simulation, subnet: str = "", **options: object) -> Network:
    ipam = IPAM(config=[IPAMPool(subnet=subnet)]) if subnet else None
    network = Network(id="net", spec=replace(NetworkSpec(name="net", driver="overlay", ipam=ipam), **options))
    cluster.commit(Put(network))
    cluster.settle()
    found = cluster.view.get(Network, "net")
    assert found is not None
    return found


def on_net(count: int, name: str = "web") -> ServiceSpec:
    return spec(count, name, networks=[NetworkAttachmentConfig(target="net", aliases=["alias"])])


def test_the_ingress_network_is_the_first(cluster: Simulation) -> None:
    cluster.settle()
    ingress = cluster.view.get(Network, "ingress")
    assert ingress is not None
    assert (ingress.ipam.config[0].subnet, ingress.ipam.config[0].gateway, ingress.vni) == (
        "10.0.0.0/24",
        "10.0.0.1",
        4096,
    )


def test_networks_get_subnets_that_do_not_overlap_those_of_others(cluster: Simulation) -> None:
    given = add_network(cluster, "10.0.1.0/25")
    cluster.commit(Put(Network(id="next", spec=NetworkSpec(name="next", driver="overlay", enable_ipv6=True))))
    cluster.settle()
    chosen = cluster.view.get(Network, "next")
    assert chosen is not None
    assert given.ipam.config[0].subnet == "10.0.1.0/25"
    assert [pool.subnet for pool in chosen.ipam.config] == ["10.0.2.0/24", "fd5a:6f61:6c01::/64"]
    assert {given.vni, chosen.vni} == {4097, 4098}


def test_services_get_a_virtual_ip_and_tasks_addresses(cluster: Simulation) -> None:
    add_network(cluster)
    cluster.create("web", on_net(2))
    service = cluster.service("web")
    addresses = [task.networks_attachments[0].addresses for task in cluster.tasks("web")]
    assert service.endpoint.virtual_ips[0].addr == "10.0.1.2/24"
    assert addresses == [["10.0.1.3/24"], ["10.0.1.4/24"]]
    assert cluster.tasks("web")[0].networks_attachments[0].aliases == ["alias"]


def test_a_freed_address_rests_before_it_is_given_out_again(cluster: Simulation) -> None:
    add_network(cluster)
    cluster.create("web", on_net(1))
    cluster.work()
    for last in range(4, 8):
        cluster.report(
            cluster.running("web")[0],
            msgspec.json.decode(b'"failed"', type=type(cluster.running("web")[0].status.state)),
        )
        cluster.advance(6)
        assert cluster.running("web")[0].networks_attachments[0].addresses == [f"10.0.1.{last}/24"]


def test_a_full_network_says_so_and_heals(cluster: Simulation) -> None:
    add_network(cluster, "10.9.0.0/29")
    cluster.create("web", on_net(8))
    cluster.work()
    assert len(cluster.running("web")) == 4  # of 8 addresses: network, gateway, VIP and broadcast are taken
    assert errors(cluster) == {"no address is free on network net: remove tasks or use a larger subnet"}
    cluster.create("other", on_net(1, "other"))
    cluster.work()
    assert cluster.running("other") == []
    cluster.update("web", on_net(2))
    cluster.work()
    assert len(cluster.running("other")) == 1
    assert errors(cluster) | errors(cluster, "other") == set()


def test_published_ports_are_chosen_kept_and_never_given_twice(cluster: Simulation) -> None:
    ports = EndpointSpec(ports=[PortConfig(target_port=80), PortConfig(target_port=53, protocol="udp")])
    for name in ("one", "two"):
        cluster.create(name, replace(spec(1, name), endpoint_spec=ports))
    chosen = {name: [port.published_port for port in cluster.service(name).endpoint.ports] for name in ("one", "two")}
    assert chosen == {"one": [30000, 30000], "two": [30001, 30001]}
    more = replace(ports, ports=[PortConfig(target_port=81), *ports.ports])
    cluster.update("two", replace(spec(1, "two"), endpoint_spec=more))
    assert [port.published_port for port in cluster.service("two").endpoint.ports] == [30002, 30001, 30001]


def test_tasks_spread_over_nodes(cluster: Simulation) -> None:
    cluster.create("web", spec(7))
    assert sorted(placed(cluster).values()) == [2, 2, 3]


def test_a_new_service_goes_to_the_nodes_with_the_least_tasks(cluster: Simulation) -> None:
    cluster.create("big", spec(1, "big"))
    cluster.create("web", spec(2))
    assert not set(placed(cluster)) & set(placed(cluster, "big"))


def test_tasks_spread_over_the_values_of_a_preference_first(cluster: Simulation) -> None:
    spread = PlacementPreference(spread=SpreadOver(spread_descriptor="node.labels.zone"))
    cluster.create("web", spec(8, placement=Placement(preferences=[spread])))
    assert placed(cluster) == {"node0": 2, "node1": 2, "node2": 4}


def test_reservations_are_kept(cluster: Simulation) -> None:
    reserved = ResourceRequirements(reservations=Reservation(nano_cpus=3 * 10**9))
    cluster.create("web", spec(5, resources=reserved))
    assert sorted(placed(cluster)) == ["", "node0", "node1", "node2"]
    assert errors(cluster) == {"no suitable node (insufficient resources on 3 nodes)"}
    cluster.add_node("node3")
    cluster.settle()
    assert placed(cluster)["node3"] == 1


def test_generic_resources_are_claimed(cluster: Simulation) -> None:
    wanted = GenericResource(discrete=DiscreteGenericResource(kind="gpu", value=1))
    cluster.create("web", spec(1, resources=ResourceRequirements(reservations=Reservation(generic_resources=[wanted]))))
    assert errors(cluster) == {"no suitable node (insufficient resources on 3 nodes)"}


def test_host_ports_are_taken_once_on_each_node(cluster: Simulation) -> None:
    ports = [PortConfig(target_port=80, published_port=8080, publish_mode="host")]
    cluster.create("web", replace(spec(4), endpoint_spec=EndpointSpec(ports=ports)))
    assert sorted(placed(cluster)) == ["", "node0", "node1", "node2"]
    assert errors(cluster) == {"no suitable node (host-mode port already in use on 3 nodes)"}


def test_replicas_on_one_node_are_limited(cluster: Simulation) -> None:
    cluster.create("web", spec(4, placement=Placement(max_replicas=1)))
    assert sorted(placed(cluster)) == ["", "node0", "node1", "node2"]
    assert errors(cluster) == {"no suitable node (max replicas per node limit exceed)"}


def test_every_reason_is_named(cluster: Simulation) -> None:
    cluster.set_node("node2", availability="drain")
    cluster.create("web", spec(1, placement=Placement(constraints=["node.labels.zone == b"])))
    expected = "no suitable node (scheduling constraints not satisfied on 2 nodes; 1 node not available for new tasks)"
    assert errors(cluster) == {expected}


def test_many_services_that_wait_at_once_are_placed_batch_by_batch(
    cluster: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "BATCH", 3)
    nowhere = Placement(constraints=["node.labels.zone == nowhere"])
    cluster.commit(Put(Service(id="stuck", spec=spec(8, "stuck", placement=nowhere))))
    for name in ("one", "two", "three"):
        cluster.commit(Put(Service(id=name, spec=spec(4, name))))
    cluster.settle()
    assert len(errors(cluster, "stuck")) == 1
    for name in ("one", "two", "three"):
        assert sorted(placed(cluster, name).values()) == [1, 1, 2]


def test_a_thousand_tasks_are_placed_quickly() -> None:
    cluster = Simulation()
    for number in range(50):
        cluster.add_node(f"node{number:02}")
    begin = time.process_time()
    cluster.commit(Put(Service(id="web", spec=spec(1000))))
    while (batch := cluster.agenda.next(cluster.view)) is not None:
        cluster.commit(*batch.changes)
    assert sorted(set(placed(cluster).values())) == [20]
    assert time.process_time() - begin < 5
