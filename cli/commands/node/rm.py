"""`shoal node rm`."""

from __future__ import annotations

import click

from cli.api.urls import item
from cli.flags.command import command
from cli.flags.shared import names
from cli.session import Session
from cli.show.detail import each


@command(usage="NODE [NODE...]")
@click.option("-f", "--force", is_flag=True, help="Also one that is not down")
@names("NODE")
@click.pass_obj
def rm(session: Session, force: bool, names: tuple[str, ...]) -> None:
    each(names, lambda n: session.client.delete(item("nodes", n), force=force))
