"""Lists of tasks: names, nodes, states, for services, nodes and stacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cli.api.client import Client
from cli.api.urls import item
from cli.errors import ApiError
from cli.parse.times import seconds
from cli.show.listing import Columns, print_list
from cli.show.units import ago_text, ellipsis, short_id

Task = dict[str, Any]
SHOWN = ["ID", "Name", "Image", "Node", "DesiredState", "CurrentState", "Error", "Ports"]


class Names:
    """Names of services and nodes by their ids, each asked for once; ids stand for themselves where nothing is known."""

    def __init__(self, client: Client, resolve: bool = True) -> None:
        self._client = client
        self._resolve = resolve
        self._known: dict[tuple[str, str], str] = {}

    def service(self, service_id: str) -> str:
        return self._name("services", service_id, lambda found: found["Spec"]["Name"])

    def node(self, node_id: str) -> str:
        return self._name("nodes", node_id, lambda n: n["Spec"].get("Name") or n["Description"]["Hostname"])

    def task(self, task: Task) -> str:
        """ "web.1", or "web.NODE" for tasks of a global service."""
        service = self.service(task.get("ServiceID") or "")
        if not service:
            return str(task.get("Name") or task["ID"])
        return f"{service}.{task.get('Slot') or task.get('NodeID') or ''}"

    def find_task(self, task_id: str) -> Task:
        """Raises ApiError where it is gone."""
        found: Task = self._client.get(item("tasks", task_id))
        return found

    def _name(self, kind: str, object_id: str, pick: Any) -> str:
        if not object_id or not self._resolve:
            return object_id
        key = (kind, object_id)
        if key not in self._known:
            try:
                self._known[key] = str(pick(self._client.get(item(kind, object_id))))
            except ApiError:
                self._known[key] = object_id
        return self._known[key]


def print_tasks(
    tasks: Sequence[Task], names: Names, *, form: str = "", quiet: bool = False, trunc: bool = True
) -> None:
    """Print tasks by name, the newest of each first; older ones of a slot are drawn below it."""
    ordered = sorted(tasks, key=lambda t: -seconds(t.get("CreatedAt")))
    ordered.sort(key=lambda t: (names.service(t.get("ServiceID") or ""), t.get("Slot") or 0, t.get("NodeID") or ""))
    labelled = _labelled(ordered, names)
    columns = _columns(labelled, names, trunc)
    print_list(ordered, columns, SHOWN, form=form, quiet="ID" if quiet else "", trunc=trunc)


def _labelled(tasks: Sequence[Task], names: Names) -> dict[str, str]:
    """Task id → the name shown: " \\_ web.1" for one that another has replaced."""
    labels, previous = {}, ""
    for task in tasks:
        name = names.task(task)
        labels[task["ID"]] = f" \\_ {name}" if name == previous else name
        previous = name
    return labels


def _columns(labels: Mapping[str, str], names: Names, trunc: bool) -> Columns:
    return {
        "ID": ("ID", lambda t: short_id(t["ID"]) if trunc else t["ID"]),
        "Name": ("NAME", lambda t: labels[t["ID"]]),
        "Image": ("IMAGE", lambda t: _image(t, trunc)),
        "Node": ("NODE", lambda t: names.node(t.get("NodeID") or "")),
        "DesiredState": ("DESIRED STATE", lambda t: t["DesiredState"].capitalize()),
        "CurrentState": ("CURRENT STATE", current_state),
        "Error": ("ERROR", lambda t: _error(t, trunc)),
        "Ports": ("PORTS", _ports),
    }


def current_state(task: Task) -> str:
    """ "Running 5 minutes ago"."""
    status = task["Status"]
    return f"{status['State'].capitalize()} {ago_text(status.get('Timestamp')).lower()}"


def _image(task: Task, trunc: bool) -> str:
    image = str((task["Spec"].get("ContainerSpec") or {}).get("Image", ""))
    return image.partition("@")[0] if trunc else image


def _error(task: Task, trunc: bool) -> str:
    text = task["Status"].get("Err") or ""
    if not text:
        return ""
    return f'"{ellipsis(text, 30) if trunc else text}"'


def _ports(task: Task) -> str:
    ports = (task["Status"].get("PortStatus") or {}).get("Ports") or []
    return ",".join(f"*:{p.get('PublishedPort', 0)}->{p['TargetPort']}/{p['Protocol']}" for p in ports)
