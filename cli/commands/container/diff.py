"""`shoal diff`."""

from __future__ import annotations

import click

from cli.api.urls import item
from cli.flags.command import command
from cli.flags.shared import name
from cli.session import Session

_KINDS = {0: "C", 1: "A", 2: "D"}


@command(usage="CONTAINER")
@name("CONTAINER")
@click.pass_obj
def diff(session: Session, name: str) -> None:
    """One line per path: A added, C changed, D deleted."""
    for change in session.client.get(item("containers", name, "changes")) or []:
        print(_KINDS[change["Kind"]], change["Path"])
