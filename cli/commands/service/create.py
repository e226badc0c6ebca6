"""`shoal service create`."""

from __future__ import annotations

import click

from cli.flags.command import command, words
from cli.flags.field import field
from cli.service import collections, scalars
from cli.service.pinning import pin
from cli.service.references import resolve
from cli.service.spec import MODES, new_spec
from cli.service.watch import converge
from cli.session import Session


@command(
    usage="IMAGE [COMMAND] [ARG...]",
    interspersed=False,
    examples=[
        "shoal service create --name web --replicas 3 -p 8080:80 nginx",
        "shoal service create --name api --secret db-password --update-order start-first api:1.4",
    ],
)
@click.option("--cap-add", multiple=True, help="Add a Linux capability")
@click.option("--cap-drop", multiple=True, help="Drop a Linux capability")
@click.option("-d", "--detach", is_flag=True, help="Do not wait until it has converged")
@click.option("--env-file", multiple=True, metavar="FILE", help="File of environment variables")
@click.option(
    "--mode", type=click.Choice(MODES), default="replicated", help="How many tasks, and where (default replicated)"
)
@field("Name", "--name", help="Name of the service")
@click.option("--no-resolve-image", is_flag=True, help="Do not ask the registry for the image's digest")
@click.option("-q", "--quiet", is_flag=True, help="Do not show progress")
@scalars.options
@collections.create_options
@click.argument("image", metavar="IMAGE")
@words()
@click.pass_obj
def create(session: Session, /, detach: bool, quiet: bool, no_resolve_image: bool, **_: object) -> None:
    spec = new_spec(click.get_current_context())
    resolve(session.client, spec)
    if not no_resolve_image:
        pin(session.client, spec)
    created = session.client.post("/services/create", spec)
    for warning in created.get("Warnings") or []:
        click.echo(f"WARNING: {warning}", err=True)
    print(created["ID"], flush=True)
    converge(session.client, created["ID"], detach=detach, quiet=quiet)
