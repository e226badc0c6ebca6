"""`shoal tag`."""

from __future__ import annotations

import click

from cli.api.urls import image
from cli.flags.command import command
from cli.flags.shared import name
from cli.parse.references import split_reference
from cli.session import Session


@command(usage="SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]", examples=["shoal tag web:1.2 registry.example.com/web:1.2"])
@name("SOURCE_IMAGE[:TAG]", "source")
@name("TARGET_IMAGE[:TAG]", "target")
@click.pass_obj
def tag(session: Session, source: str, target: str) -> None:
    repository, tag = split_reference(target)
    session.client.post(image(source, "tag"), repo=repository, tag=tag)
