"""`shoal network ls`, `inspect`, `rm` and `prune`."""

from __future__ import annotations

import click

from cli.api.urls import item
from cli.flags.command import command
from cli.flags.shared import (
    filter_option,
    filters_query,
    force_option,
    format_option,
    list_format_option,
    names,
    no_trunc_option,
    quiet_option,
)
from cli.session import Session
from cli.show.detail import each_unless_missing, print_objects
from cli.show.listing import Columns, labels_text, print_list
from cli.show.prompt import agree
from cli.show.units import short_id


@command(examples=["shoal network ls -f driver=bridge"])
@filter_option("driver=bridge, name=front, label=key, scope=local, type=custom")
@list_format_option
@no_trunc_option
@quiet_option
@click.pass_obj
def ls(session: Session, filters: dict[str, list[str]], form: str, no_trunc: bool, quiet: bool) -> None:
    found = sorted(session.client.get("/networks", filters=filters_query(filters)), key=lambda n: n["Name"])
    shown = ["ID", "Name", "Driver", "Scope"]
    print_list(found, columns(not no_trunc), shown, form=form, quiet="ID" if quiet else "", trunc=not no_trunc)


def columns(trunc: bool) -> Columns:
    """The fields of a network in lists."""
    return {
        "ID": ("NETWORK ID", lambda n: short_id(n["Id"]) if trunc else n["Id"]),
        "Name": ("NAME", lambda n: n["Name"]),
        "Driver": ("DRIVER", lambda n: n["Driver"]),
        "Scope": ("SCOPE", lambda n: n["Scope"]),
        "IPv4": ("IPV4", lambda n: str(n.get("EnableIPv4", True)).lower()),
        "IPv6": ("IPV6", lambda n: str(n.get("EnableIPv6", False)).lower()),
        "Internal": ("INTERNAL", lambda n: str(n.get("Internal", False)).lower()),
        "Labels": ("LABELS", lambda n: labels_text(n.get("Labels"))),
        "CreatedAt": ("CREATED AT", lambda n: n["Created"]),
    }


@command(usage="NETWORK [NETWORK...]")
@format_option
@click.option("-v", "--verbose", is_flag=True, help="Also the tasks of services that use it")
@names("NETWORK")
@click.pass_obj
def inspect(session: Session, form: str, verbose: bool, names: tuple[str, ...]) -> None:
    print_objects(names, lambda n: session.client.get(item("networks", n), verbose=verbose or None), form)


@command(usage="NETWORK [NETWORK...]")
@click.option("-f", "--force", is_flag=True, help="One that does not exist is no error")
@names("NETWORK")
@click.pass_obj
def rm(session: Session, force: bool, names: tuple[str, ...]) -> None:
    each_unless_missing(names, lambda n: session.client.delete(item("networks", n)), force)


@command()
@filter_option("until=24h, label=key", "--filter")
@force_option
@click.pass_obj
def prune(session: Session, filters: dict[str, list[str]], force: bool) -> None:
    agree(force, "This will remove all custom networks not used by at least one container.")
    report = session.client.post("/networks/prune", filters=filters_query(filters))
    if report.get("NetworksDeleted"):
        print("Deleted Networks:", *report["NetworksDeleted"], sep="\n")
