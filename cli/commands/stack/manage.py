"""`shoal stack ls`, `ps`, `services` and `rm`."""

from __future__ import annotations

from collections import Counter
from typing import Any

import click

from cli.api.client import Client
from cli.api.urls import item
from cli.commands.service.ls import print_services
from cli.compose.deploy import members
from cli.compose.names import NAMESPACE
from cli.errors import CliError
from cli.flags.command import command
from cli.flags.shared import filter_option, list_format_option, name, names, no_trunc_option, quiet_option
from cli.session import Session
from cli.show.listing import Columns, print_list
from cli.show.tasks import Names, print_tasks

_COLUMNS: Columns = {
    "Name": ("NAME", lambda s: s["Name"]),
    "Services": ("SERVICES", lambda s: str(s["Services"])),
    "Orchestrator": ("ORCHESTRATOR", lambda s: "Swarm"),
}


@command()
@list_format_option
@click.pass_obj
def ls(session: Session, form: str) -> None:
    found = session.client.get("/services", filters={"label": [NAMESPACE]})
    counts = Counter(service["Spec"]["Labels"][NAMESPACE] for service in found)
    rows = [{"Name": stack, "Services": count} for stack, count in sorted(counts.items())]
    print_list(rows, _COLUMNS, ["Name", "Services"], form=form)


def _of_stack(filters: dict[str, list[str]], stack: str) -> dict[str, list[str]]:
    return {**filters, "label": [*filters.get("label", []), f"{NAMESPACE}={stack}"]}


@command(usage="STACK")
@filter_option("name=shop_web, mode=replicated")
@list_format_option
@quiet_option
@name("STACK")
@click.pass_obj
def services(session: Session, filters: dict[str, list[str]], form: str, quiet: bool, name: str) -> None:
    found = session.client.get("/services", filters=_of_stack(filters, name), status=True)
    if not found:
        raise CliError(f"nothing found in stack: {name}")
    print_services(found, form=form, quiet=quiet)


@command(usage="STACK")
@filter_option("name=shop_web.1, desired-state=running")
@list_format_option
@click.option("--no-resolve", is_flag=True, help="Show ids instead of names")
@no_trunc_option
@quiet_option
@name("STACK")
@click.pass_obj
def ps(
    session: Session, filters: dict[str, list[str]], form: str, no_resolve: bool, no_trunc: bool, quiet: bool, name: str
) -> None:
    found = session.client.get("/tasks", filters=_of_stack(filters, name))
    if not found:
        raise CliError(f"nothing found in stack: {name}")
    print_tasks(found, Names(session.client, not no_resolve), form=form, quiet=quiet, trunc=not no_trunc)


@command(usage="STACK [STACK...]")
@names("STACK")
@click.pass_obj
def rm(session: Session, names: tuple[str, ...]) -> None:
    missing = [stack for stack in names if not _remove(session.client, stack)]
    if missing:
        raise CliError("\n".join(f"nothing found in stack: {stack}" for stack in missing))


def _remove(client: Client, stack: str) -> bool:
    """Remove services first, then what they used; False where there was nothing."""
    found = False
    for kind in ("services", "secrets", "configs", "networks"):
        for member in members(client, f"/{kind}", stack):
            print(f"Removing {kind[:-1]} {_name(member)}", flush=True)
            client.delete(item(kind, member.get("ID") or member["Id"]))
            found = True
    return found


def _name(member: dict[str, Any]) -> str:
    return str(member["Spec"]["Name"] if "Spec" in member else member["Name"])
