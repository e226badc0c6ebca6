"""`shoal inspect`: any object by its name or id."""

from __future__ import annotations

from typing import Any

import click

from cli.api.client import Client
from cli.api.urls import image, item
from cli.errors import ApiError
from cli.flags.command import command
from cli.flags.shared import format_option, names
from cli.session import Session
from cli.show.detail import print_objects

_PATHS = {
    "container": lambda name: item("containers", name, "json"),
    "image": lambda name: image(name, "json"),
    "network": lambda name: item("networks", name),
    "volume": lambda name: item("volumes", name),
    "service": lambda name: item("services", name),
    "task": lambda name: item("tasks", name),
    "node": lambda name: item("nodes", name),
    "secret": lambda name: item("secrets", name),
    "config": lambda name: item("configs", name),
}
_ABSENT = (404, 400, 406, 503)  # answers of an endpoint that does not know the name, or is not in a swarm


@command(
    usage="NAME|ID [NAME|ID...]",
    examples=["shoal inspect web", "shoal inspect --type volume -f '{{.Mountpoint}}' data"],
)
@format_option
@click.option("-s", "--size", "sizes", is_flag=True, help="Show what containers take on disk")
@click.option("--type", "kind", type=click.Choice(list(_PATHS)), help="Only objects of this kind")
@names("NAME|ID")
@click.pass_obj
def inspect(session: Session, form: str, sizes: bool, kind: str | None, names: tuple[str, ...]) -> None:
    kinds = [kind] if kind else list(_PATHS)
    print_objects(names, lambda n: _find(session.client, n, kinds, sizes), form)


def _find(client: Client, name: str, kinds: list[str], sizes: bool) -> Any:
    """The first object of that name; the last endpoint's refusal counts where only one was asked."""
    for kind in kinds:
        query = {"size": True} if sizes and kind == "container" else {}
        try:
            return client.get(_PATHS[kind](name), **query)
        except ApiError as error:
            if error.status not in _ABSENT or len(kinds) == 1:
                raise
    raise ApiError(404, f"no such object: {name}")
