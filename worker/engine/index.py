"""All containers by id, by name and by the beginning of an id."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from common import ids
from common.errors import Conflict, InvalidArgument, NotFound
from common.names import random_name
from worker.engine.container import Container


class Index:
    """A name belongs to one container, or is reserved for one that is being made."""

    def __init__(self) -> None:
        self._by_id: dict[str, Container] = {}
        self._owners: dict[str, str] = {}  # name → id

    def __iter__(self) -> Iterator[Container]:
        return iter(tuple(self._by_id.values()))

    def __len__(self) -> int:
        return len(self._by_id)

    def get(self, ref: str) -> Container:
        """By name (with or without a leading slash), id or a unique beginning of an id. Raises NotFound, InvalidArgument."""
        found = self._by_id.get(ref) or self._by_id.get(self._owners.get(ref.removeprefix("/"), ""))
        if found is not None:
            return found
        matches = [c for id, c in self._by_id.items() if id.startswith(ref)] if ref else []
        if len(matches) > 1:
            raise InvalidArgument(f"multiple IDs found with provided prefix: {ref}", ("container", ref))
        if not matches:
            raise NotFound(f"No such container: {ref}", ("container", ref))
        return matches[0]

    def find(self, id: str) -> Container | None:
        return self._by_id.get(id)

    def add(self, container: Container) -> None:
        self._by_id[container.id] = container
        self._owners[container.name] = container.id

    def remove(self, container: Container) -> None:
        self._by_id.pop(container.id, None)
        self._owners.pop(container.name, None)

    def free_name(self) -> str:
        """A random name that nobody has."""
        for attempt in range(100):
            name = random_name(attempt)
            if name not in self._owners:
                return name
        raise Conflict("no free container name found: give one by --name")

    @contextmanager
    def reserve(self, name: str, id: str) -> Iterator[str]:
        """Keep the name for `id` while the container is being made or renamed; it is free again where that fails."""
        name = name.removeprefix("/")
        if len(name) < 2:
            raise InvalidArgument(f"invalid container name ({name}): at least two characters are needed")
        ids.check_name("container", name)
        if (owner := self._owners.get(name)) is not None:
            raise Conflict(
                f'Conflict. The container name "/{name}" is already in use by container "{owner}". '
                "You have to remove (or rename) that container to be able to reuse that name.",
                ("container", name),
            )
        self._owners[name] = id
        try:
            yield name
        except BaseException:
            self._owners.pop(name, None)
            raise

    def release_name(self, name: str) -> None:
        self._owners.pop(name, None)
