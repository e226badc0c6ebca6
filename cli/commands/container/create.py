"""`shoal create`."""

from __future__ import annotations

import click

from cli.flags.command import command, words
from cli.run.request import create_body, create_container, create_options
from cli.session import Session


@command(
    usage="IMAGE [COMMAND] [ARG...]",
    interspersed=False,
    examples=["shoal create --name web -p 8080:80 nginx", "shoal start web"],
)
@create_options
@click.argument("image", metavar="IMAGE")
@words()
@click.pass_obj
def create(session: Session, /, **_: object) -> None:
    ctx = click.get_current_context()
    print(create_container(session.client, ctx, create_body(ctx)))
