"""`shoal node inspect`."""

from __future__ import annotations

from typing import Any

import click

from cli.api.client import Client
from cli.api.urls import item
from cli.flags.command import command
from cli.flags.shared import format_option, names
from cli.session import Session
from cli.show.detail import each, print_objects
from cli.show.listing import labels_text
from cli.show.units import binary_size


@command(usage="self|NODE [NODE...]", examples=["shoal node inspect self --pretty"])
@format_option
@click.option("--pretty", is_flag=True, help="In words")
@names("NODE")
@click.pass_obj
def inspect(session: Session, form: str, pretty: bool, names: tuple[str, ...]) -> None:
    if pretty and form:
        raise click.UsageError("conflicting options: --format and --pretty")
    if pretty:
        each(names, lambda n: print(*_lines(fetch(session.client, n)), sep="\n"), None)
    else:
        print_objects(names, lambda n: fetch(session.client, n), form)


def fetch(client: Client, name: str) -> Any:
    """A node by name or id; "self" is the one that answers."""
    return client.get(item("nodes", own_id(client) if name == "self" else name))


def own_id(client: Client) -> str:
    return str(client.get("/info")["Swarm"].get("NodeID") or "self")


def _lines(node: dict[str, Any]) -> list[str]:
    description = node["Description"]
    resources = description.get("Resources") or {}
    platform = description.get("Platform") or {}
    lines = [
        f"ID:\t\t\t{node['ID']}",
        f"Labels:\t\t\t{labels_text(node['Spec'].get('Labels'))}",
        f"Hostname:\t\t{description['Hostname']}",
        f"Role:\t\t\t{node['Spec']['Role']}",
        "Status:",
        f" State:\t\t\t{node['Status']['State'].capitalize()}",
        f" Availability:\t\t{node['Spec']['Availability'].capitalize()}",
        f" Address:\t\t{node['Status'].get('Addr', '')}",
        "Platform:",
        f" Operating System:\t{platform.get('OS', '')}",
        f" Architecture:\t\t{platform.get('Architecture', '')}",
        "Resources:",
        f" CPUs:\t\t\t{resources.get('NanoCPUs', 0) / 1e9:g}",
        f" Memory:\t\t{binary_size(resources.get('MemoryBytes', 0))}",
    ]
    manager = node.get("ManagerStatus")
    if manager:
        leader = "Yes" if manager.get("Leader") else "No"
        lines += ["Manager Status:", f" Address:\t\t{manager.get('Addr', '')}"]
        lines += [f" Raft Status:\t\t{manager.get('Reachability', '').capitalize()}", f" Leader:\t\t{leader}"]
    engine = description.get("Engine") or {}
    lines.append(f"Engine Version:\t\t{engine.get('EngineVersion', '')}")
    lines += (
        ["Engine Labels:", *(f" - {k}={v}" for k, v in sorted(engine["Labels"].items()))]
        if engine.get("Labels")
        else []
    )
    return lines
