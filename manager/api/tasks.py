"""Tasks, for reading."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web

from common import http
from common.errors import InvalidArgument
from common.filters import Filters
from common.model import Node, Service, Task, TaskState
from manager.api import shapes
from manager.api.context import Context
from manager.api.lookup import find, search
from manager.store.base import T, View

FILTERS = ("desired-state", "id", "label", "name", "node", "service", "runtime", "_up-to-date")
_DESIRED = {"running", "shutdown", "accepted", "ready", "complete", "remove"}


class Tasks:
    def __init__(self, context: Context) -> None:
        self._context = context

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/tasks", self.list), web.get("/tasks/{id}", self.inspect)]

    async def list(self, request: web.Request) -> web.Response:
        filters = Filters.parse(request.query.get("filters"), FILTERS)
        for state in filters.values("desired-state"):
            if state not in _DESIRED:
                raise InvalidArgument(f"invalid task state filter {state!r}: use {', '.join(sorted(_DESIRED))}")
        view = self._context.view
        services = _ids(view, Service, filters.values("service"))
        nodes = _nodes(view, filters, self._context.node_id)
        tasks = _candidates(view, services, nodes)
        return http.answer([shapes.task(view, task) for task in tasks if _wanted(view, task, filters, nodes)])

    async def inspect(self, request: web.Request) -> web.Response:
        view = self._context.view
        return http.answer(shapes.task(view, find(view, Task, request.match_info["id"])))


def _ids(view: View, kind: type[T], names: Iterable[str]) -> set[str] | None:
    """The ids of what is named; a name that nothing has finds nothing. None where nothing is named."""
    ids = set()
    for name in names:
        found = search(view, kind, name)
        ids.add(found.id if found is not None else name)
    return ids or None


def _nodes(view: View, filters: Filters, own: str) -> set[str] | None:

    return _ids(view, Node, (own if name == "self" else name for name in filters.values("node")))


def _candidates(view: View, services: set[str] | None, nodes: set[str] | None) -> list[Task]:
    if services is not None:
        return [task for id in sorted(services) for task in view.find(Task, "service", id)]
    if nodes is not None:
        return [task for id in sorted(nodes) for task in view.find(Task, "node", id)]
    return list(view.all(Task))


def _wanted(view: View, task: Task, filters: Filters, nodes: set[str] | None) -> bool:
    names = filters.values("name")
    return (
        (nodes is None or task.node_id in nodes)
        and (not filters.values("desired-state") or _desired(task) in filters.values("desired-state"))
        and filters.prefix("id", task.id)
        and (not names or any(task.name.startswith(name) for name in names))
        and filters.exact("runtime", "container")
        and (not filters.values("label") or filters.labels(_labels(view, task)))
        and _current(view, task, filters.flag("_up-to-date"))
    )


def _current(view: View, task: Task, wanted: bool | None) -> bool:
    service = view.get(Service, task.service_id)
    return wanted is None or (service is not None and task.spec_version == service.spec_version) is wanted


def _desired(task: Task) -> str:
    """As the filter knows it: a job's task that is wanted to complete counts as running."""
    return "running" if task.desired_state == TaskState.COMPLETE else task.desired_state.value


def _labels(view: View, task: Task) -> dict[str, str]:
    service = view.get(Service, task.service_id)
    return service.spec.labels if service else {}
