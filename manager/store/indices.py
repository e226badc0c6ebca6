"""Which keys each kind of object is found by: pure functions of one object, declared in one table.

The names of the indices are those that View.find documents. Most changes touch few indices, so each one says which fields
its keys are made of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import Any

import msgspec

from common.model import Cluster, Config, Network, Node, Secret, Service, Task, TaskSpec, Volume

Extract = Callable[[Any], Iterable[str]]


class Index(msgspec.Struct, frozen=True):
    """The keys of an object are the same as long as what `source` reads of it is equal."""

    source: Callable[[Any], Any]
    keys: Extract


def _of(*fields: str) -> Callable[[Extract], Index]:
    return lambda keys: Index(attrgetter(*fields), keys)


def name_of(object: Any) -> str:
    """The object's own name, lower-cased as names are compared; "" where it has none (tasks, unnamed nodes)."""
    return "" if isinstance(object, Task) else object.spec.name.lower()


def _name(object: Any) -> Iterable[str]:
    name = name_of(object)
    return (name,) if name else ()


def _pending_delete(object: Service | Network) -> Iterable[str]:
    return ("true",) if object.pending_delete else ()


def slot_key(task: Task) -> str:
    """What tasks that replace one another share: service and slot, for global services service and node."""
    return f"{task.service_id}.{task.slot or task.node_id}"


def _some(key: str) -> Iterable[str]:
    return (key,) if key else ()


def networks_of_service(service: Service) -> Iterable[str]:
    """Ids of the networks that the service is on, by its spec or by a virtual IP."""
    wanted = (*service.spec.task_template.networks, *service.spec.networks)
    return dict.fromkeys((*(n.target for n in wanted), *(vip.network_id for vip in service.endpoint.virtual_ips)))


def secrets_of(spec: TaskSpec | None) -> Iterable[str]:
    """Ids of the secrets that a task of this spec reads."""
    if spec is None or spec.container_spec is None:
        return ()
    return dict.fromkeys(reference.secret_id for reference in spec.container_spec.secrets)


def configs_of(spec: TaskSpec | None) -> Iterable[str]:
    """Ids of the configs that a task of this spec reads."""
    if spec is None or spec.container_spec is None:
        return ()
    return dict.fromkeys(reference.config_id for reference in spec.container_spec.configs)


_NAME = _of("spec")(_name)
_PENDING_DELETE = _of("pending_delete")(_pending_delete)
INDICES: Mapping[type, Mapping[str, Index]] = {
    Cluster: {"name": _NAME},
    Node: {
        "name": _NAME,
        "hostname": _of("description")(lambda node: _some(node.description.hostname.lower())),
        "network": _of("guests", "attachments")(
            lambda node: dict.fromkeys(place.network_id for place in (*node.guests, *node.attachments))
        ),
    },
    Service: {
        "name": _NAME,
        "network": _of("spec", "endpoint")(networks_of_service),
        "secret": _of("spec")(lambda service: secrets_of(service.spec.task_template)),
        "config": _of("spec")(lambda service: configs_of(service.spec.task_template)),
        "pending_delete": _PENDING_DELETE,
    },
    Task: {
        "service": _of("service_id")(lambda task: _some(task.service_id)),
        "node": _of("node_id")(lambda task: _some(task.node_id)),
        "slot": Index(slot_key, lambda task: _some(task.service_id and slot_key(task))),
        "desired": _of("desired_state")(lambda task: (task.desired_state,)),
        "state": _of("status.state")(lambda task: (task.status.state,)),
        "network": _of("networks_attachments")(
            lambda task: dict.fromkeys(a.network_id for a in task.networks_attachments)
        ),
        "secret": _of("spec")(lambda task: secrets_of(task.spec)),
        "config": _of("spec")(lambda task: configs_of(task.spec)),
    },
    Network: {"name": _NAME, "pending_delete": _PENDING_DELETE},
    Volume: {"name": _NAME},
    Secret: {"name": _NAME},
    Config: {"name": _NAME},
}
