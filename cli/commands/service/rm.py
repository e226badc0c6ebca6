"""`shoal service rm`."""

from __future__ import annotations

import click

from cli.api.urls import item
from cli.flags.command import command
from cli.flags.shared import names
from cli.session import Session
from cli.show.detail import each


@command(usage="SERVICE [SERVICE...]")
@names("SERVICE")
@click.pass_obj
def rm(session: Session, names: tuple[str, ...]) -> None:
    each(names, lambda n: session.client.delete(item("services", n)))
