"""A service's image is pinned to the digest that its tag means now, so that all tasks run the same, also when the tag moves."""

from __future__ import annotations

from typing import Any

import click

from cli.api.client import Client
from cli.api.urls import quote
from cli.credentials import image_headers
from cli.errors import ApiError
from cli.service.collections import get
from cli.service.scalars import CONTAINER


def pin(client: Client, spec: dict[str, Any]) -> None:
    """Add the digest to the image's name, in place; warn where its registry does not tell it."""
    image = get(spec, f"{CONTAINER}.Image") or ""
    if not image or "@" in image or image.startswith("sha256:"):
        return
    try:
        path = f"/distribution/{quote(image, b'/:')}/json"
        with client.stream("GET", path, headers=image_headers(image)) as response:
            digest = response.json()["Descriptor"]["digest"]
    except ApiError:
        click.echo(
            f"image {image} could not be accessed on a registry to record its digest. Each node will access {image} "
            "independently, possibly leading to different nodes running different versions of the image.",
            err=True,
        )
        return
    tagged = image if ":" in image.rpartition("/")[2] else f"{image}:latest"
    spec["TaskTemplate"]["ContainerSpec"]["Image"] = f"{tagged}@{digest}"
