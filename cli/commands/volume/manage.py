"""`shoal volume`."""

from __future__ import annotations

import click

from cli.api.urls import item
from cli.flags.command import command
from cli.flags.field import body, field, many, pairs
from cli.flags.shared import filter_option, filters_query, force_option, format_option, list_format_option, names
from cli.flags.types import LABEL, PAIR
from cli.session import Session
from cli.show.detail import each_unless_missing, print_objects
from cli.show.listing import Columns, labels_text, print_list
from cli.show.prompt import agree
from cli.show.units import size


@command(
    usage="[VOLUME]",
    examples=["shoal volume create data", "shoal volume create -o type=tmpfs -o device=tmpfs -o o=size=64m scratch"],
)
@field("Driver", "-d", "--driver", default="local", help="Driver (default local)")
@many("Labels", "--label", type=LABEL, shape=pairs, help="Label, key=value")
@many("DriverOpts", "-o", "--opt", type=PAIR, shape=pairs, help="Option of the driver: type, device, o")
@click.argument("name", required=False, default="", metavar="[VOLUME]")
@click.pass_obj
def create(session: Session, /, name: str, **_: object) -> None:
    request = body(click.get_current_context())
    if name:
        request["Name"] = name
    print(session.client.post("/volumes/create", request)["Name"])


@command(examples=["shoal volume ls -f dangling=true -q"])
@filter_option("dangling=true, driver=local, label=key, name=data")
@list_format_option
@click.option("-q", "--quiet", is_flag=True, help="Only show names")
@click.pass_obj
def ls(session: Session, filters: dict[str, list[str]], form: str, quiet: bool) -> None:
    answer = session.client.get("/volumes", filters=filters_query(filters))
    for warning in answer.get("Warnings") or []:
        click.echo(f"WARNING: {warning}", err=True)
    found = sorted(answer.get("Volumes") or [], key=lambda v: v["Name"])
    print_list(found, COLUMNS, ["Driver", "Name"], form=form, quiet="Name" if quiet else "")


def _usage(volume: dict[str, dict[str, int]], name: str) -> int:
    return (volume.get("UsageData") or {}).get(name, -1)


COLUMNS: Columns = {
    "Driver": ("DRIVER", lambda v: v["Driver"]),
    "Name": ("VOLUME NAME", lambda v: v["Name"]),
    "Scope": ("SCOPE", lambda v: v["Scope"]),
    "Mountpoint": ("MOUNTPOINT", lambda v: v["Mountpoint"]),
    "Labels": ("LABELS", lambda v: labels_text(v.get("Labels"))),
    "Links": ("LINKS", lambda v: "N/A" if _usage(v, "RefCount") < 0 else str(_usage(v, "RefCount"))),
    "Size": ("SIZE", lambda v: "N/A" if _usage(v, "Size") < 0 else size(_usage(v, "Size"), 3)),
}


@command(usage="VOLUME [VOLUME...]")
@format_option
@names("VOLUME")
@click.pass_obj
def inspect(session: Session, form: str, names: tuple[str, ...]) -> None:
    print_objects(names, lambda n: session.client.get(item("volumes", n)), form)


@command(usage="VOLUME [VOLUME...]")
@click.option("-f", "--force", is_flag=True, help="One that does not exist is no error")
@names("VOLUME")
@click.pass_obj
def rm(session: Session, force: bool, names: tuple[str, ...]) -> None:
    each_unless_missing(names, lambda n: session.client.delete(item("volumes", n), force=force), force)


@command(examples=["shoal volume prune -af"])
@click.option("-a", "--all", "everything", is_flag=True, help="Also those with a name that was given")
@filter_option("label=key", "--filter")
@force_option
@click.pass_obj
def prune(session: Session, everything: bool, filters: dict[str, list[str]], force: bool) -> None:
    agree(
        force,
        f"This will remove {'all' if everything else 'anonymous'} local volumes not used by at least one container.",
    )
    if everything:
        filters["all"] = ["true"]
    report = session.client.post("/volumes/prune", filters=filters_query(filters))
    if report.get("VolumesDeleted"):
        print("Deleted Volumes:", *report["VolumesDeleted"], "", sep="\n")
    print(f"Total reclaimed space: {size(report.get('SpaceReclaimed') or 0)}")
