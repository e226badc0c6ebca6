"""`shoal service update`, and how every change of a service is sent."""

from __future__ import annotations

from typing import Any

import click

from cli.api.client import Client
from cli.api.urls import item
from cli.flags.command import command
from cli.flags.field import field
from cli.flags.shared import name
from cli.service import collections, scalars
from cli.service.collections import get
from cli.service.pinning import pin
from cli.service.references import network_id, resolve
from cli.service.scalars import CONTAINER, split_words
from cli.service.spec import changed_spec
from cli.service.watch import converge
from cli.session import Session


@command(
    usage="SERVICE",
    examples=[
        "shoal service update --image web:1.3 --update-parallelism 2 web",
        "shoal service update --env-add MODE=fast web",
    ],
)
@field(f"{CONTAINER}.Args", "--args", callback=split_words, help="The command's arguments")
@click.option("--cap-add", multiple=True, help="Add a Linux capability, or no longer drop it")
@click.option("--cap-drop", multiple=True, help="Drop a Linux capability, or no longer add it")
@click.option("-d", "--detach", is_flag=True, help="Do not wait until it has converged")
@click.option("--force", is_flag=True, help="Replace the tasks even where nothing changed")
@field(f"{CONTAINER}.Image", "--image", help="Image")
@click.option("--no-resolve-image", is_flag=True, help="Do not ask the registry for the image's digest")
@click.option("-q", "--quiet", is_flag=True, help="Do not show progress")
@click.option("--rollback", is_flag=True, help="Go back to the previous specification")
@scalars.options
@collections.update_options
@name("SERVICE")
@click.pass_obj
def update(session: Session, /, detach: bool, quiet: bool, rollback: bool, name: str, **_: object) -> None:
    client = session.client
    found = client.get(item("services", name))
    spec = found["Spec"] if rollback else _changed(client, found["Spec"])
    service_id = send(client, found, spec, rollback=rollback)
    print(name, flush=True)
    converge(client, service_id, detach=detach, quiet=quiet, rollback=rollback)


def _changed(client: Client, old: dict[str, Any]) -> dict[str, Any]:
    ctx = click.get_current_context()
    names = ctx.params["network_rm"]
    if names:
        ctx.params["network_rm"] = (*names, *(network_id(client, network) for network in names))
    added = [item for items in ctx.params["network_add"] for item in items]
    if added and get(old, "TaskTemplate.Networks"):
        for network in added:
            network["Target"] = network_id(client, network["Target"])
    spec = changed_spec(old, ctx)
    resolve(client, spec)
    if ctx.params["image"] and not ctx.params["no_resolve_image"]:
        pin(client, spec)
    return spec


def send(client: Client, found: dict[str, Any], spec: dict[str, Any], *, rollback: bool = False) -> str:
    """Replace a service's spec, if nobody else did meanwhile; returns its id."""
    answer = client.post(
        item("services", found["ID"], "update"),
        spec,
        version=found["Version"]["Index"],
        rollback="previous" if rollback else None,
    )
    for warning in (answer or {}).get("Warnings") or []:
        click.echo(f"WARNING: {warning}", err=True)
    return str(found["ID"])
