"""`shoal rmi`."""

from __future__ import annotations

import click

from cli.api.urls import image
from cli.errors import ApiError
from cli.flags.command import command
from cli.flags.shared import names
from cli.session import Session
from cli.show.detail import each


@command(usage="IMAGE [IMAGE...]", examples=["shoal rmi web:old"])
@click.option(
    "-f", "--force", is_flag=True, help="Also one that stopped containers use; one that does not exist is no error"
)
@click.option("--no-prune", is_flag=True, help="Keep parents without names")
@names("IMAGE")
@click.pass_obj
def rm(session: Session, force: bool, no_prune: bool, names: tuple[str, ...]) -> None:
    def remove(name: str) -> None:
        try:
            removed = session.client.delete(image(name), force=force, noprune=no_prune)
        except ApiError as error:
            if not force or error.status != 404:
                raise
            click.echo(error.message, err=True)
        else:
            print_removed(removed)

    each(names, remove, None)


def print_removed(removed: list[dict[str, str]] | None) -> None:
    """The lines of the API's list of what was untagged and deleted."""
    for step in removed or []:
        for verb in ("Untagged", "Deleted"):
            if step.get(verb):
                print(f"{verb}: {step[verb]}")
