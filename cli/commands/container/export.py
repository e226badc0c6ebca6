"""`shoal export`."""

from __future__ import annotations

import click

from cli.api.urls import item
from cli.flags.command import command
from cli.flags.shared import name
from cli.session import Session
from cli.show.files import save_stream


@command(usage="CONTAINER", examples=["shoal export -o web.tar web", "shoal export web | tar t"])
@click.option("-o", "--output", default="", metavar="FILE", help="Write to a file instead of standard output")
@name("CONTAINER")
@click.pass_obj
def export(session: Session, output: str, name: str) -> None:
    save_stream(lambda: session.client.stream("GET", item("containers", name, "export")), output)
