"""Images as the Engine API shows them: rows of a list, inspect, history, disk usage. Reads only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from common.errors import InvalidArgument
from common.filters import Filters
from common.reference import Reference
from worker.images.catalog import Stored
from worker.images.config import History, image_fields
from worker.images.moments import parse_moment
from worker.images.parts import Parts

LIST_FILTERS = ("before", "dangling", "label", "label!", "reference", "since", "until")
PRUNE_FILTERS = ("dangling", "label", "label!", "until")
_ZERO = "0001-01-01T00:00:00Z"


class Views:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._catalog = parts.catalog

    def rows(self, filters: Filters, *, every: bool, shared: bool = False) -> list[dict[str, Any]]:
        """GET /images/json, newest first. `every`: with the nameless parents of other images; `shared`: with shared sizes."""
        chosen = sorted(self.select(filters), key=_created, reverse=True)
        containers = Counter(record.image for record in self._parts.roots.records())
        holders = Counter(chain for stored in self._catalog for chain in stored.chains)
        rows = []
        for stored in chosen:
            names = self._shown_names(stored, filters)
            if names is None or (not every and self._is_intermediate(stored)):
                continue
            row = self._row(stored, names, containers[stored.id])
            if shared:
                row["SharedSize"] = sum(self._parts.layers.get(c).size for c in stored.chains if holders[c] > 1)
            rows.append(row)
        return rows

    def select(self, filters: Filters) -> Iterator[Stored]:
        """Images that pass all filters but `reference`, which chooses names."""
        dangling = filters.flag("dangling")
        bounds = self._bounds(filters)
        for stored in self._catalog:
            if dangling is not None and dangling is bool(self._catalog.tags(stored.id)):
                continue
            if all(test(_created(stored)) for test in bounds) and filters.labels(stored.config.config.labels):
                yield stored

    def _bounds(self, filters: Filters) -> list[Callable[[datetime], bool]]:
        if len(filters.values("until")) > 1:
            raise InvalidArgument("more than one until filter specified")
        return [
            *(_created(self._catalog.find(text)).__gt__ for text in filters.values("before")),
            *(_created(self._catalog.find(text)).__lt__ for text in filters.values("since")),
            *(parse_moment(text).__gt__ for text in filters.values("until")),
        ]

    def _shown_names(self, stored: Stored, filters: Filters) -> list[Reference] | None:
        """Its names that a `reference` filter chooses; None where the filter leaves it out."""
        names = self._catalog.tags(stored.id)
        patterns = filters.values("reference")
        if not patterns:
            return names
        return [name for name in names if any(_fits(pattern, name) for pattern in patterns)] or None

    def _is_intermediate(self, stored: Stored) -> bool:
        has_child = any(other.record.parent == stored.id for other in self._catalog)
        return has_child and not self._catalog.tags(stored.id)

    def _row(self, stored: Stored, names: list[Reference], containers: int) -> dict[str, Any]:
        size = self._catalog.size(stored)
        return {
            "Id": stored.id,
            "ParentId": stored.record.parent,
            "RepoTags": [name.familiar for name in names if not name.digest],
            "RepoDigests": [name.familiar for name in names if name.digest],
            "Created": int(_created(stored).timestamp()),
            "Size": size,
            "VirtualSize": size,
            "SharedSize": -1,
            "Labels": stored.config.config.labels,
            "Containers": containers or -1,
        }

    def inspect(self, stored: Stored, *, old: bool = False) -> dict[str, Any]:
        """GET /images/{name}/json; `old`: with the fields that API 1.44 and 1.50 took away."""
        config = stored.config
        names = self._catalog.tags(stored.id)
        size = self._catalog.size(stored)
        tagged = stored.record.tagged_at
        return {
            "Id": stored.id,
            "RepoTags": [name.familiar for name in names if not name.digest],
            "RepoDigests": [name.familiar for name in names if name.digest],
            "Parent": stored.record.parent,
            "Comment": config.comment or (config.history[-1].comment if config.history else ""),
            "Created": _time(config.created),
            "DockerVersion": config.docker_version,
            "Author": config.author,
            "Config": msgspec.to_builtins(config.config) if old else image_fields(config.config),
            "Architecture": config.architecture,
            **({"Variant": config.variant} if config.variant else {}),
            "Os": config.os or "linux",
            **({"OsVersion": config.os_version} if config.os_version else {}),
            "Size": size,
            "VirtualSize": size,
            "GraphDriver": {"Name": "overlay2", "Data": self._folders(stored)},
            "RootFS": {"Type": "layers", "Layers": config.rootfs.diff_ids},
            "Metadata": {"LastTagTime": _time(tagged)},
            "Descriptor": {
                "mediaType": stored.manifest.media_type,
                "digest": stored.record.manifest,
                "size": self._parts.blobs.path(stored.record.manifest).stat().st_size,
            },
        }

    def _folders(self, stored: Stored) -> dict[str, str]:
        folders = [str(self._parts.layers.folder(chain)) for chain in reversed(stored.chains)]
        data = {"LowerDir": ":".join(folders[1:]), "UpperDir": folders[0] if folders else ""}
        return {name: value for name, value in data.items() if value}

    def history(self, stored: Stored) -> list[dict[str, Any]]:
        """GET /images/{name}/history, newest first; only the newest step has an id and the tags."""
        layers = iter(self._parts.layers.get(chain).size for chain in stored.chains)
        steps = stored.config.history or [History() for _ in stored.chains]
        rows = [
            {
                "Id": "<missing>",
                "Created": int(step.created.timestamp()) if step.created else 0,
                "CreatedBy": step.created_by,
                "Tags": None,
                "Size": 0 if step.empty_layer else next(layers, 0),
                "Comment": step.comment,
            }
            for step in steps
        ]
        tags = [name.familiar for name in self._catalog.tags(stored.id) if not name.digest]
        return [{**row, **({"Id": stored.id, "Tags": tags} if not at else {})} for at, row in enumerate(reversed(rows))]

    def disk_usage(self) -> dict[str, Any]:
        """The images' part of GET /system/df; sizes in bytes of extracted layers."""
        used = {chain for stored in self._catalog for chain in stored.chains}
        total = sum(self._parts.layers.get(chain).size for chain in used)
        rows = self.rows(Filters(), every=True, shared=True)
        for row in rows:
            row["Containers"] = max(row["Containers"], 0)
        return {"LayersSize": total, "Images": rows}


def _created(stored: Stored) -> datetime:
    return stored.config.created or datetime(1, 1, 1, tzinfo=UTC)


def _time(moment: datetime | None) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z") if moment else _ZERO


def _fits(pattern: str, name: Reference) -> bool:
    """Docker's reference filter: a glob over the short name, with or without its tag; "*" stops at "/"."""
    candidates = (name.familiar, name.familiar_name, name.name, str(name))
    return any(
        candidate.count("/") == pattern.count("/") and fnmatchcase(candidate, pattern) for candidate in candidates
    )
