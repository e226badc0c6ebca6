"""`shoal node update`, `promote` and `demote`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from cli.api.client import Client
from cli.api.urls import item
from cli.commands.node.inspect import fetch
from cli.errors import CliError
from cli.flags.command import command
from cli.flags.shared import name, names
from cli.flags.types import LABEL
from cli.session import Session
from cli.show.detail import each

Spec = dict[str, Any]


@command(
    usage="NODE",
    examples=["shoal node update --availability drain node1", "shoal node update --label-add zone=a node1"],
)
@click.option(
    "--availability", type=click.Choice(["active", "pause", "drain"]), help="Whether it takes and keeps tasks"
)
@click.option("--label-add", multiple=True, type=LABEL, help="Add or replace a label, key=value")
@click.option("--label-rm", multiple=True, help="Remove a label")
@click.option("--role", type=click.Choice(["worker", "manager"]), help="Role")
@name("NODE")
@click.pass_obj
def update(
    session: Session,
    availability: str | None,
    label_add: tuple[tuple[str, str], ...],
    label_rm: tuple[str, ...],
    role: str | None,
    name: str,
) -> None:
    def change(spec: Spec) -> None:
        labels = dict(spec.get("Labels") or {})
        for key in label_rm:
            if key not in labels:
                raise CliError(f"key {key} doesn't exist in node's labels")
            del labels[key]
        spec["Labels"] = {**labels, **dict(label_add)}
        spec["Availability"] = availability or spec["Availability"]
        spec["Role"] = role or spec["Role"]

    _change(session.client, name, change)
    print(name)


def _change(client: Client, name: str, change: Callable[[Spec], None]) -> None:
    found = fetch(client, name)
    spec = dict(found["Spec"])
    change(spec)
    client.post(item("nodes", found["ID"], "update"), spec, version=found["Version"]["Index"])


@command(usage="NODE [NODE...]")
@names("NODE")
@click.pass_obj
def promote(session: Session, names: tuple[str, ...]) -> None:
    each(names, lambda n: _set_role(session.client, n, "manager"), None)


@command(usage="NODE [NODE...]")
@names("NODE")
@click.pass_obj
def demote(session: Session, names: tuple[str, ...]) -> None:
    each(names, lambda n: _set_role(session.client, n, "worker"), None)


def _set_role(client: Client, name: str, role: str) -> None:
    if fetch(client, name)["Spec"]["Role"] == role:
        print(f"Node {name} is already a {role}.")
        return
    _change(client, name, lambda spec: spec.update(Role=role))
    print(
        f"Node {name} promoted to a manager in the swarm."
        if role == "manager"
        else f"Manager {name} demoted in the swarm."
    )
