"""`docker rmi` and `docker image prune`: untagging and deleting, with Docker's rules and sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from common.errors import Conflict
from common.reference import Reference, parse_reference
from worker.images.catalog import Stored
from worker.images.parts import Parts

Event = Callable[[str, str, str], None]  # action, image id, name


@dataclass
class Outcome:
    """What happened, in Docker's shape: `items` are {"Untagged": …} and {"Deleted": …}; `space` in bytes."""

    items: list[dict[str, str]] = field(default_factory=list)
    space: int = 0


class Removal:
    def __init__(self, parts: Parts, event: Event) -> None:
        self._parts = parts
        self._catalog = parts.catalog
        self._event = event

    async def remove(self, text: str, *, force: bool = False, prune: bool = True) -> Outcome:
        """Untag, and delete what has no name left. Raises NotFound; Conflict where something still uses the image."""
        stored = self._catalog.find(text)
        outcome = Outcome()
        if self._catalog.is_id(text, stored.id):
            self._by_id(stored, outcome, force)
        else:
            self._by_name(stored, parse_reference(text).tagged(), outcome, force)
            if self._catalog.tags(stored.id):
                return outcome
        await self._delete(stored, outcome, force=force, prune=prune)
        return outcome

    async def prune(self, candidates: Iterator[Stored]) -> Outcome:
        """Remove every candidate that no container and no other image needs, and what unfinished pulls left."""
        outcome = Outcome()
        before = self._blob_bytes()
        self._parts.garbage.leases.drop_idle()
        outcome.items += [{"Deleted": chain} for chain in await self._parts.garbage.collect()]
        outcome.space += before - self._blob_bytes()
        for stored in sorted(candidates, key=self._ancestors, reverse=True):  # children before their parents
            if stored.id not in self._catalog or self._users(stored.id) or self._children(stored.id):
                continue
            for reference in self._catalog.tags(stored.id):
                self._untag(stored, reference, outcome)
            await self._delete(stored, outcome, force=False, prune=False)
        return outcome

    def _by_name(self, stored: Stored, reference: Reference, outcome: Outcome, force: bool) -> None:
        users = self._users(stored.id)
        if users and not force and self._one_name(stored.id):
            raise Conflict(
                f'conflict: unable to remove repository reference "{reference.familiar}" (must force) - '
                f"container {users[0][:12]} is using its referenced image {_short(stored.id)}",
                ("image", stored.id),
            )
        self._untag(stored, reference, outcome)
        self._drop_lone_digests(stored, reference, outcome)

    def _drop_lone_digests(self, stored: Stored, reference: Reference, outcome: Outcome) -> None:
        """A repository's digests go with the last of its tags."""
        same = [other for other in self._catalog.tags(stored.id) if other.name == reference.name]
        if not any(other.tag for other in same):
            for other in same:
                self._untag(stored, other, outcome)

    def _by_id(self, stored: Stored, outcome: Outcome, force: bool) -> None:
        if not self._one_name(stored.id):
            if not force:
                raise self._conflict(stored.id, "must be forced", "image is referenced in multiple repositories")
        else:
            self._check(stored.id, force)
        if force:
            self._refuse_hard(stored.id)
        for reference in self._catalog.tags(stored.id):
            self._untag(stored, reference, outcome)

    async def _delete(self, stored: Stored, outcome: Outcome, *, force: bool, prune: bool) -> None:
        self._check(stored.id, force)
        before = self._blob_bytes()
        while True:
            parent = stored.record.parent
            self._event("delete", stored.id, stored.id)
            self._catalog.remove(stored.id)
            outcome.items.append({"Deleted": stored.id})
            if not prune or parent not in self._catalog or not self._superfluous(parent):
                break
            stored = self._catalog[parent]
        outcome.items += [{"Deleted": chain} for chain in await self._parts.garbage.collect()]
        outcome.space += before - self._blob_bytes()

    def _superfluous(self, image: str) -> bool:
        return not (self._catalog.tags(image) or self._users(image) or self._children(image))

    def _check(self, image: str, force: bool) -> None:
        self._refuse_hard(image)
        if not force and (users := self._users(image)):
            raise self._conflict(image, "must be forced", f"image is being used by stopped container {users[0][:12]}")

    def _refuse_hard(self, image: str) -> None:
        if self._children(image):
            raise self._conflict(image, "cannot be forced", "image has dependent child images")
        for user in self._users(image):
            if self._parts.roots.running(user):
                reason = f"image is being used by running container {user[:12]}"
                raise self._conflict(image, "cannot be forced", reason)

    def _conflict(self, image: str, how: str, why: str) -> Conflict:
        return Conflict(f"conflict: unable to delete {_short(image)} ({how}) - {why}", ("image", image))

    def _untag(self, stored: Stored, reference: Reference, outcome: Outcome) -> None:
        self._catalog.untag(reference)
        outcome.items.append({"Untagged": reference.familiar})
        self._event("untag", stored.id, reference.familiar)

    def _users(self, image: str) -> list[str]:
        return [record.container for record in self._parts.roots.records() if record.image == image]

    def _ancestors(self, stored: Stored) -> int:
        count = 0
        while stored.record.parent in self._catalog:
            stored, count = self._catalog[stored.record.parent], count + 1
        return count

    def _children(self, image: str) -> bool:
        return any(stored.record.parent == image for stored in self._catalog)

    def _one_name(self, image: str) -> bool:
        """At most one tag, and all names in one repository."""
        names = self._catalog.tags(image)
        return len({name.name for name in names}) <= 1 and sum(bool(name.tag) for name in names) <= 1

    def _blob_bytes(self) -> int:
        return sum(layer.size for layer in self._parts.layers.all())


def _short(image: str) -> str:
    return image.removeprefix("sha256:")[:12]
