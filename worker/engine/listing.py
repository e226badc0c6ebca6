"""GET /containers/json: which containers (all of Docker's filters), and their summaries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import msgspec

from common.errors import InvalidArgument, NotFound
from common.filters import Filters
from worker.engine import ports, shapes
from worker.engine.container import TASK_LABEL, Container
from worker.engine.parts import Parts
from worker.images.base import Image
from worker.network.base import Sandbox

FILTERS = (
    "ancestor", "before", "expose", "exited", "health", "id", "isolation", "is-task", "label", "label!", "name", "network",
    "publish", "since", "status", "volume",
)  # fmt: skip
_STATES = ("created", "running", "paused", "restarting", "removing", "exited", "dead")
_HEALTH = ("none", "starting", "healthy", "unhealthy")


async def summaries(
    parts: Parts, containers: Sequence[Container], filters: Filters, *, all: bool, limit: int, size: bool
) -> list[dict[str, Any]]:
    """`containers` newest first; `limit` 0 is none. Raises InvalidArgument, NotFound for `before` and `since`."""
    check = _Check(parts, filters)
    shown_all = all or limit > 0 or "status" in filters or "exited" in filters or "health" in filters
    chosen = [c for c in containers if (shown_all or c.running or c.restarting) and check.wanted(c)]
    shapes_of = _Summaries(parts)
    found = [shapes_of.of(container) for container in (chosen[:limit] if limit > 0 else chosen)]
    if size:
        for shape in found:
            with suppress(NotFound):
                shape["SizeRw"], shape["SizeRootFs"] = await parts.images.usage(shape["Id"])
    return found


class _Check:
    """The filters of one request, looked up once."""

    def __init__(self, parts: Parts, filters: Filters) -> None:
        _check_words("status", filters, _STATES)
        _check_words("health", filters, _HEALTH)
        self._parts = parts
        self._filters = filters
        self._before = [parts.index.get(ref).record.created for ref in filters.values("before")]
        self._since = [parts.index.get(ref).record.created for ref in filters.values("since")]
        self._exited = {_number("exited", text) for text in filters.values("exited")}
        self._task = filters.flag("is-task")
        self._expose = _port_set("expose", filters)
        self._publish = _port_set("publish", filters)
        self._ancestors = [image for text in filters.values("ancestor") if (image := _image(parts, text))]

    def wanted(self, container: Container) -> bool:
        return (
            self._by_words(container)
            and self._by_time(container)
            and self._by_ports(container)
            and self._by_image(container)
            and self._by_network(container)
            and self._by_volume(container)
        )

    def _by_words(self, container: Container) -> bool:
        filters, state = self._filters, container.state
        health = state.health.status if state.health else "none"
        return (
            filters.exact("status", state.status)
            and filters.exact("health", health)
            and filters.exact("isolation", "default")
            and filters.prefix("id", container.id)
            and filters.match("name", container.name, f"/{container.name}")
            and filters.labels(container.labels)
            and (
                not self._exited
                or (state.finished_at is not None and state.exit_code in self._exited and not container.running)
            )
            and (self._task is None or self._task == (TASK_LABEL in container.labels))
        )

    def _by_time(self, container: Container) -> bool:
        created = container.record.created
        return all(created < other for other in self._before) and all(created > other for other in self._since)

    def _by_ports(self, container: Container) -> bool:
        if not self._expose and not self._publish:
            return True
        exposed = set(ports.exposed(container.config))
        published = {(m.container_port, m.protocol) for m in ports.mappings(container.config, container.host)}
        return (not self._expose or bool(self._expose & exposed)) and (
            not self._publish or bool(self._publish & published)
        )

    def _by_image(self, container: Container) -> bool:
        if "ancestor" not in self._filters:
            return True
        image = _image(self._parts, container.record.image_id)
        return any(
            container.record.image_id == ancestor.id
            or (image is not None and bool(ancestor.layers) and image.layers[: len(ancestor.layers)] == ancestor.layers)
            for ancestor in self._ancestors
        )

    def _by_network(self, container: Container) -> bool:
        wanted = self._filters.values("network")
        if not wanted:
            return True
        endpoints = shapes.networks(self._parts, container)
        return any(
            text == name or (text and settings.network_id.startswith(text))
            for text in wanted
            for name, settings in endpoints.items()
        )

    def _by_volume(self, container: Container) -> bool:
        wanted = self._filters.values("volume")
        names = {text for point in container.record.mounts for text in (point.name, point.source, point.destination)}
        return not wanted or any(text in names for text in wanted)


def _check_words(name: str, filters: Filters, known: Sequence[str]) -> None:
    for text in filters.values(name):
        if text not in known:
            raise InvalidArgument(f"invalid filter '{name}={text}': use one of {', '.join(known)}")


def _number(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InvalidArgument(f"invalid filter '{name}={text}': a number is needed") from None


def _port_set(name: str, filters: Filters) -> set[tuple[int, str]]:
    return {port for text in filters.values(name) for port in _port_range(text)}


def _port_range(text: str) -> Iterator[tuple[int, str]]:
    """ "80", "80/udp", "8000-8010/tcp"."""
    numbers, slash, protocol = text.partition("/")
    first, _, last = numbers.partition("-")
    low, kind = ports.parse_port(f"{first}{slash}{protocol}")
    return ((number, kind) for number in range(low, (ports.parse_port(last)[0] if last else low) + 1))


def _image(parts: Parts, text: str) -> Image | None:
    try:
        return parts.images.resolve(text) if text else None
    except NotFound:
        return None


class _Summaries:
    """Summaries of one answer: each image is looked up once."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._now = datetime.now(UTC)
        self._image_ids: dict[str, str] = {}

    def of(self, container: Container) -> dict[str, Any]:
        if container.cached_summary is None:
            container.cached_summary = _lasting(self._parts, container)
        return container.cached_summary | {
            "Image": self._shown_image(container),
            "Status": shapes.status(container, self._now),
        }

    def _shown_image(self, container: Container) -> str:
        """The user's word for the image while it still means that image, else the image's id."""
        name = container.record.image
        if name not in self._image_ids:
            image = _image(self._parts, name)
            self._image_ids[name] = image.id if image else ""
        return name if self._image_ids[name] == container.record.image_id else container.record.image_id


def _lasting(parts: Parts, container: Container) -> dict[str, Any]:
    """What cannot change without a new state or record; the larger parts are encoded already."""
    record = container.record
    sandbox = parts.networks.sandbox(container.id) if container.active else None
    return {
        "Id": record.id,
        "Names": [f"/{record.name}"],
        "ImageID": record.image_id,
        "Command": " ".join(record.command),
        "Created": int(record.created.timestamp()),
        "State": container.state.status,
        "Labels": container.labels,
        "HostConfig": {"NetworkMode": container.host.network_mode, "Annotations": container.host.annotations or None},
        "Mounts": _encoded(shapes.mounts(container, str(parts.settings.root / "volumes"))),
        "Ports": _encoded(_ports(sandbox)),
        "NetworkSettings": _encoded({"Networks": shapes.networks(parts, container)}),
    }


def _encoded(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def _ports(sandbox: Sandbox | None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for text, bindings in sandbox.ports.items() if sandbox else ():
        number, kind = ports.parse_port(text)
        found += [
            {"IP": b.host_ip, "PrivatePort": number, "PublicPort": int(b.host_port), "Type": kind}
            for b in bindings or ()
        ] or [{"PrivatePort": number, "Type": kind}]
    return found
