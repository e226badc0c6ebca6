"""The container's side of a copy: what is at a path, archives out of it and into it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import Any, NamedTuple

from cli.api.client import Client
from cli.api.response import Response
from cli.api.urls import item
from cli.copy.places import Kind, Place
from cli.errors import ApiError, CliError

_DIR, _SYMLINK = 1 << 31, 1 << 27  # Go's os.FileMode
_MAX_LINKS = 40


class Stat(NamedTuple):
    """What the daemon says about a path."""

    mode: int
    link: str

    @property
    def folder(self) -> bool:
        return bool(self.mode & _DIR)


def stat(client: Client, place: Place) -> Stat:
    """Raises ApiError 404 where there is nothing."""
    path = item("containers", place.container, "archive")
    with client.stream("HEAD", path, query={"path": place.path}) as response:
        return _stat(response)


def _stat(response: Response) -> Stat:
    import base64

    try:
        raw = json.loads(base64.b64decode(response.headers["x-docker-container-path-stat"]))
    except (KeyError, ValueError):
        raise CliError("the daemon did not say what is at the path") from None
    return Stat(int(raw["mode"]), raw.get("linkTarget") or "")


def target_kind(client: Client, place: Place) -> tuple[Place, Kind]:
    """Where a copy into the container really goes, links followed, and what is there."""
    for _ in range(_MAX_LINKS):
        try:
            found = stat(client, place)
        except ApiError as error:
            if error.status != 404:
                raise
            return place, Kind(exists=False)
        if not found.mode & _SYMLINK:
            return place, Kind(exists=True, folder=found.folder)
        place = _followed(place, found.link)
    raise CliError(f"too many links at {place.path}")


def followed_source(client: Client, place: Place) -> Place:
    """The path that a link in the container leads to; the place itself where it is none."""
    found = stat(client, place)
    return _followed(place, found.link) if found.mode & _SYMLINK else place


def _followed(place: Place, link: str) -> Place:
    return place._replace(path=os.path.normpath(os.path.join(os.path.dirname(place.path.rstrip("/")), link)))


def fetch(client: Client, place: Place) -> tuple[Response, Stat]:
    """The archive of a path, open, and what it is."""
    response = client.stream("GET", item("containers", place.container, "archive"), query={"path": place.path})
    return response, _stat(response)


def send(client: Client, container: str, folder: str, archive: Iterable[bytes], *, owners: bool) -> None:
    """Unpack an archive in a folder of the container."""
    query: dict[str, Any] = {"path": folder, "noOverwriteDirNonDir": True, "copyUIDGID": owners or None}
    path = item("containers", container, "archive")
    with client.stream("PUT", path, query=query, body=archive, kind="application/x-tar") as response:
        response.read()
