"""What secrets and configs have in common: names, filters, use by services, and that only labels change."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from aiohttp import web

from common.errors import Conflict, InvalidArgument, VersionConflict
from common.filters import Filters
from common.model import Config, ConfigSpec, Secret, SecretSpec, Service, Task
from manager.store.base import View
from manager.store.indices import configs_of, secrets_of

FILTERS = ("id", "label", "name", "names")
F = TypeVar("F", Secret, Config)


def listing(view: View, kind: type[F], request: web.Request) -> list[F]:
    """The objects that the request's filters ask for."""
    filters = Filters.parse(request.query.get("filters"), FILTERS)
    return [object for object in view.all(kind) if _wanted(object, filters)]


def check_free(view: View, kind: type[F], name: str) -> None:
    if view.find(kind, "name", name.lower()):
        what = kind.__name__.lower()
        raise Conflict(f"name conflicts with an existing object: {what} {name} already exists", (what, name))


def check_unused(view: View, kind: str, name: str, id: str) -> None:
    """Raises InvalidArgument naming the services that use the secret or config; an older task that has not ended counts too."""
    users = {service.id: service.spec.name for service in view.find(Service, kind, id)}
    references = secrets_of if kind == "secret" else configs_of
    for service in view.all(Service):
        past = {version for version, template in service.past_templates.items() if id in references(template)}
        if past and any(_lives(task, past) for task in view.find(Task, "service", service.id)):
            users[service.id] = service.spec.name
    if users:
        plural = "services" if len(users) > 1 else "service"
        raise InvalidArgument(
            f"{kind} '{name}' is in use by the following {plural}: {', '.join(sorted(users.values()))}"
        )


def _lives(task: Task, versions: set[int]) -> bool:
    return task.spec_version.index in versions and not task.status.state.terminal


def check_labels_only(kind: str, given: SecretSpec | ConfigSpec, known: SecretSpec | ConfigSpec) -> None:
    if msgspec.structs.replace(given, labels=known.labels) != known:
        raise InvalidArgument(f"only updates to Labels are allowed: nothing else of a {kind} can be changed")


def out_of_sequence(object: Secret | Config, seen: int) -> None:
    if object.version.index != seen:
        raise VersionConflict("update out of sequence", (type(object).__name__.lower(), object.id))


def _wanted(object: Secret | Config, filters: Filters) -> bool:
    names = filters.values("name")
    return (
        filters.prefix("id", object.id)
        and (not names or any(object.spec.name.startswith(name) for name in names))
        and filters.exact("names", object.spec.name)
        and filters.labels(object.spec.labels)
    )
