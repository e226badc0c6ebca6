"""`shoal update`."""

from __future__ import annotations

import click

from cli.api.urls import item
from cli.flags.command import command
from cli.flags.field import body, together
from cli.flags.shared import names
from cli.run.resources import shared
from cli.session import Session
from cli.show.detail import each


@command(usage="CONTAINER [CONTAINER...]", examples=["shoal update --memory 1g --cpus 1.5 web"])
@together(*shared(""))
@names("CONTAINER")
@click.pass_obj
def update(session: Session, /, names: tuple[str, ...], **_: object) -> None:
    ctx = click.get_current_context()
    request = body(ctx)
    if not request:
        raise click.UsageError("you must provide one or more flags when using this command")

    def change(name: str) -> None:
        for warning in session.client.post(item("containers", name, "update"), request).get("Warnings") or []:
            click.echo(f"WARNING: {warning}", err=True)

    each(names, change)
