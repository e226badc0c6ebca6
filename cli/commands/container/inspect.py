"""`shoal container inspect`."""

from __future__ import annotations

import click

from cli.api.urls import item
from cli.flags.command import command
from cli.flags.shared import format_option, names
from cli.session import Session
from cli.show.detail import print_objects


@command(usage="CONTAINER [CONTAINER...]", examples=["shoal container inspect -f '{{.State.Status}}' web"])
@format_option
@click.option("-s", "--size", "sizes", is_flag=True, help="Show what they take on disk")
@names("CONTAINER")
@click.pass_obj
def inspect(session: Session, form: str, sizes: bool, names: tuple[str, ...]) -> None:
    print_objects(names, lambda n: session.client.get(item("containers", n, "json"), size=sizes or None), form)
