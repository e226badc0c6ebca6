"""Finding one object by what a user calls it: id, name, or the beginning of an id."""

from __future__ import annotations

from common.errors import InvalidArgument, NotFound
from common.model import Network, Node, Service, Task
from manager.store.base import T, View


def find(view: View, kind: type[T], text: str) -> T:
    """Raises NotFound, and InvalidArgument where `text` fits several objects."""
    found = search(view, kind, text)
    if found is None:
        raise NotFound(f"{kind.__name__.lower()} {text} not found", (kind.__name__.lower(), text))
    return found


def search(view: View, kind: type[T], text: str) -> T | None:
    """The same with None where there is no such object."""
    exact = view.get(kind, text)
    if exact is not None or not text:
        return exact
    candidates = _named(view, kind, text) or [object for object in view.all(kind) if object.id.startswith(text)]
    if len(candidates) > 1:
        raise InvalidArgument(f"{kind.__name__.lower()} {text} is ambiguous ({len(candidates)} matches found)")
    return candidates[0] if candidates else None


def _named(view: View, kind: type[T], text: str) -> list[T]:
    if kind is Task:
        return []
    index = "hostname" if kind is Node else "name"
    return [object for object in view.find(kind, index, text.lower()) if text in names(object)]


def names(object: object) -> tuple[str, ...]:
    """What the object is called, beside its id."""
    if isinstance(object, Node):
        return object.description.hostname, object.spec.name
    if isinstance(object, Task):
        return (object.name,)
    return (getattr(getattr(object, "spec", None), "name", ""),)


def service_name(view: View, id: str) -> str:
    service = view.get(Service, id)
    return service.spec.name if service else id


def network_name(view: View, id: str) -> str:
    network = view.get(Network, id)
    return network.spec.name if network else id
