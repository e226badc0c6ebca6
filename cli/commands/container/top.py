"""`shoal top`."""

from __future__ import annotations

import click

from cli.api.urls import item
from cli.flags.command import command, words
from cli.flags.shared import name
from cli.session import Session
from cli.show.table import show


@command(usage="CONTAINER [ps OPTIONS]", interspersed=False, examples=["shoal top web", "shoal top web -o pid,comm"])
@name("CONTAINER")
@words()
@click.pass_obj
def top(session: Session, name: str, words: tuple[str, ...]) -> None:
    found = session.client.get(item("containers", name, "top"), ps_args=" ".join(words) or None)
    show([found["Titles"], *(found["Processes"] or [])])
