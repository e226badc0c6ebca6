"""How the cluster's objects look in answers: Docker's JSON, built from the model."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from common.model import EPOCH, ContainerSpec, Network, Node, Service, ServiceSpec, Task, TaskSpec
from manager.allocator.networks import VNI_OPTION
from manager.specs import resolve
from manager.store.base import View

Json = dict[str, Any]


def builtins(value: Any) -> Json:
    found = msgspec.to_builtins(value)
    assert isinstance(found, dict)
    return found


def plain(object: Any) -> Json:
    """An object that is shown as it is, with the fields that clients expect even when empty."""
    raw = builtins(object)
    raw.setdefault("Spec", {}).setdefault("Labels", {})
    return raw


def service(object: Service, *, defaults: bool = False) -> Json:
    shown = replace(object, past_templates={}, spec_version=EMPTY.spec_version, respecified_at=0, pending_delete=False)
    raw = builtins(shown)
    raw["Spec"] = service_spec(object.spec, defaults=defaults)
    if object.previous_spec is not None:
        raw["PreviousSpec"] = service_spec(object.previous_spec)
    raw["Endpoint"] = _endpoint(raw.get("Endpoint", {}), object)
    return raw


def service_spec(spec: ServiceSpec, *, defaults: bool = False) -> Json:
    raw = builtins(spec)
    raw.setdefault("Labels", {})
    raw["TaskTemplate"] = task_spec(spec.task_template, defaults=defaults)
    raw.setdefault("Mode", {"Replicated": {"Replicas": 1}})
    if defaults:
        update = {
            "Parallelism": 1,
            "FailureAction": "pause",
            "Monitor": 5 * 10**9,
            "MaxFailureRatio": 0,
            "Order": "stop-first",
        }
        raw.setdefault("UpdateConfig", update)
        raw.setdefault("RollbackConfig", update)
        raw.setdefault("EndpointSpec", {}).setdefault("Mode", "vip")
    elif "EndpointSpec" in raw:
        raw["EndpointSpec"].setdefault("Mode", "vip")
    _show_ports(raw.get("EndpointSpec", {}))
    return raw


def task_spec(spec: TaskSpec, *, defaults: bool = False) -> Json:
    raw = builtins(spec)
    raw.setdefault("ForceUpdate", 0)
    raw.setdefault("Runtime", "container")
    if defaults:
        container = raw.setdefault("ContainerSpec", {})
        container.setdefault("StopGracePeriod", 10 * 10**9)
        container.setdefault("DNSConfig", {})
        resources = raw.setdefault("Resources", {})
        resources.setdefault("Limits", {})
        resources.setdefault("Reservations", {})
        policy = {"Condition": "any", "Delay": 5 * 10**9, "MaxAttempts": 0}
        raw["RestartPolicy"] = policy | raw.get("RestartPolicy", {})
        raw.setdefault("Placement", {})
    elif "RestartPolicy" in raw:
        raw["RestartPolicy"].setdefault("Condition", "any")
    return raw


_LOST = TaskSpec(container_spec=ContainerSpec())  # of a task whose service is gone: clients expect a container's


def task(view: View, object: Task) -> Json:
    """A task with its spec and its networks, as GET /tasks/{id} gives it."""
    full = resolve(view, object)
    attachments = [_attachment(view, attachment) for attachment in full.networks_attachments]
    raw = builtins(replace(full, networks_attachments=(), endpoint_ports=(), restarts=(), settled_at=None, spec=None))
    raw.pop("SpecVersion", None)
    raw["Spec"] = task_spec(full.spec or _LOST)
    if object.job_iteration is not None and object.slot:
        raw["Slot"] = object.slot - 1  # clients count a job's slots from 0
    raw.setdefault("Labels", {})
    raw["DesiredState"] = object.desired_state.value
    raw["Status"] = _status(object)
    if attachments:
        raw["NetworksAttachments"] = attachments
    if object.assigned_generic_resources:
        raw["GenericResources"] = raw.pop("AssignedGenericResources")
    return raw


def node(object: Node) -> Json:
    raw = builtins(replace(object, guests=[], attachments=[], instance="", manages=False, demoted_at=EPOCH))
    raw["Spec"] = builtins(object.spec)
    if not object.spec.name:
        raw["Spec"].pop("Name", None)
    raw["Description"] = _description(raw.get("Description", {}))
    raw["Status"] = {"State": object.status.state} | raw.get("Status", {})
    return raw


def _description(raw: Json) -> Json:
    raw.setdefault("Hostname", "")
    raw.setdefault("Platform", {})
    raw.setdefault("Resources", {})
    raw.setdefault("Engine", {})
    return raw


def _status(task: Task) -> Json:
    raw = builtins(replace(task.status, healthy=True))
    raw.setdefault("State", task.status.state.value)
    raw.setdefault("Timestamp", msgspec.to_builtins(task.created_at))
    ports = raw.setdefault("PortStatus", {})
    _show_ports(ports)
    return raw


def _attachment(view: View, attachment: Any) -> Json:
    raw: Json = {"Addresses": attachment.addresses}
    if attachment.network is not None:
        raw["Network"] = swarm_network(attachment.network)
    if attachment.driver_opts:
        raw["DriverOpts"] = attachment.driver_opts
    return raw


def swarm_network(network: Network) -> Json:
    """A network inside a task: Swarm's shape, not that of GET /networks."""
    spec: Json = {"Name": network.spec.name, "Labels": network.spec.labels, "Scope": "swarm"}
    spec["DriverConfiguration"] = {"Name": network.spec.driver}
    for name in ("internal", "attachable", "ingress"):
        if getattr(network.spec, name):
            spec[name.capitalize()] = True
    return {
        "ID": network.id,
        "Version": {"Index": network.version.index},
        "CreatedAt": msgspec.to_builtins(network.created_at),
        "UpdatedAt": msgspec.to_builtins(network.updated_at),
        "Spec": spec,
        "DriverState": {
            "Name": network.spec.driver,
            **({"Options": {VNI_OPTION: str(network.vni)}} if network.vni else {}),
        },
        "IPAMOptions": {
            "Driver": {"Name": "default"},
            "Configs": [{"Subnet": pool.subnet, "Gateway": pool.gateway} for pool in network.ipam.config],
        },
    }


def _endpoint(raw: Json, object: Service) -> Json:
    spec = raw.get("Spec", {})
    spec.setdefault("Mode", "vip")
    _show_ports(spec)
    _show_ports(raw)
    if not object.endpoint.virtual_ips:
        raw.pop("VirtualIPs", None)
    if not object.endpoint.ports:
        raw.pop("Ports", None)
    return raw | {"Spec": spec}


def _show_ports(raw: Json) -> None:
    """Ports show their defaults: clients read them without asking."""
    for port in raw.get("Ports", ()):
        port.setdefault("Protocol", "tcp")
        port.setdefault("PublishMode", "ingress")


EMPTY = Service(id="", spec=ServiceSpec())
