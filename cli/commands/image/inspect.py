"""`shoal image inspect`."""

from __future__ import annotations

import click

from cli.api.urls import image
from cli.flags.command import command
from cli.flags.shared import format_option, names
from cli.session import Session
from cli.show.detail import print_objects


@command(usage="IMAGE [IMAGE...]", examples=["shoal image inspect -f '{{.Config.Cmd}}' web"])
@format_option
@names("IMAGE")
@click.pass_obj
def inspect(session: Session, form: str, names: tuple[str, ...]) -> None:
    print_objects(names, lambda n: session.client.get(image(n, "json")), form)
