"""`shoal commit`."""

from __future__ import annotations

import click

from cli.flags.command import command
from cli.flags.shared import name
from cli.parse.references import split_reference
from cli.session import Session


@command(usage="CONTAINER [REPOSITORY[:TAG]]", examples=["shoal commit -m 'with curl' web web:curl"])
@click.option("-a", "--author", default="", help="Author, as 'Ann Smith <ann@example.com>'")
@click.option("-c", "--change", "changes", multiple=True, help="Dockerfile instruction to apply to the image")
@click.option("-m", "--message", default="", help="Comment of the new layer")
@click.option("-p", "--pause", is_flag=True, default=True, help="Pause the container meanwhile (default true)")
@name("CONTAINER")
@click.argument("reference", required=False, default="")
@click.pass_obj
def commit(
    session: Session, author: str, changes: tuple[str, ...], message: str, pause: bool, name: str, reference: str
) -> None:
    repository, tag = split_reference(reference)
    created = session.client.post(
        "/commit",
        {},
        container=name,
        repo=repository or None,
        tag=tag or None,
        author=author,
        comment=message,
        changes=changes,
        pause=pause,
    )
    print(created["Id"])
