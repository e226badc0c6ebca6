"""`shoal ps`."""

from __future__ import annotations

import json
import time
from datetime import datetime
from typing import Any

import click

from cli.flags.command import command
from cli.flags.shared import filter_option, filters_query, list_format_option, no_trunc_option, quiet_option
from cli.session import Session
from cli.show.listing import Columns, labels_text, print_list
from cli.show.ports import ports_text
from cli.show.units import ago, ellipsis, short_id, size

DEFAULT = ["ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names"]


@command(examples=["shoal ps -a", "shoal ps -f status=exited -q", "shoal ps --format 'table {{.Names}}\\t{{.Status}}'"])
@click.option("-a", "--all", "everything", is_flag=True, help="Also those that do not run")
@filter_option("status=running, name=web, label=tier=front, health=healthy")
@list_format_option
@click.option("-n", "--last", type=int, default=-1, help="The newest so many, in any state")
@click.option("-l", "--latest", is_flag=True, help="The newest one, in any state")
@no_trunc_option
@quiet_option
@click.option("-s", "--size", "sizes", is_flag=True, help="Show what they take on disk")
@click.pass_obj
def ls(
    session: Session,
    everything: bool,
    filters: dict[str, list[str]],
    form: str,
    last: int,
    latest: bool,
    no_trunc: bool,
    quiet: bool,
    sizes: bool,
) -> None:
    limit = 1 if latest else last if last > 0 else None
    sizes = sizes or ".Size" in form
    found = session.client.get(
        "/containers/json", all=everything or limit is not None, limit=limit, size=sizes, filters=filters_query(filters)
    )
    shown = [*DEFAULT, "Size"] if sizes else DEFAULT
    print_list(found, columns(not no_trunc), shown, form=form, quiet="ID" if quiet else "", trunc=not no_trunc)


def columns(trunc: bool) -> Columns:
    """The fields of a container in lists."""
    return {
        "ID": ("CONTAINER ID", lambda c: short_id(c["Id"]) if trunc else c["Id"]),
        "Image": (
            "IMAGE",
            lambda c: short_id(c["Image"]) if c["Image"].startswith("sha256:") and trunc else c["Image"],
        ),
        "Command": (
            "COMMAND",
            lambda c: json.dumps(ellipsis(c["Command"], 20) if trunc else c["Command"], ensure_ascii=False),
        ),
        "RunningFor": ("CREATED", lambda c: ago(c["Created"])),
        "Status": ("STATUS", lambda c: c["Status"]),
        "Ports": ("PORTS", lambda c: ports_text(c.get("Ports") or [])),
        "Names": ("NAMES", lambda c: _names(c, trunc)),
        "Size": ("SIZE", _size),
        "State": ("STATE", lambda c: c["State"]),
        "CreatedAt": ("CREATED AT", lambda c: local_time(c["Created"])),
        "Labels": ("LABELS", lambda c: labels_text(c.get("Labels"))),
        "Mounts": ("MOUNTS", lambda c: ",".join(_mount(m, trunc) for m in c.get("Mounts") or [])),
        "LocalVolumes": (
            "LOCAL VOLUMES",
            lambda c: str(sum(m.get("Driver") == "local" for m in c.get("Mounts") or [])),
        ),
        "Networks": ("NETWORKS", lambda c: ",".join((c.get("NetworkSettings") or {}).get("Networks") or {})),
    }


def local_time(moment: float) -> str:
    """A UNIX time as the local date and time with its zone."""
    return (
        datetime.fromtimestamp(moment).astimezone().strftime("%Y-%m-%d %H:%M:%S %z ") + time.localtime(moment).tm_zone
    )


def _names(container: dict[str, Any], trunc: bool) -> str:
    names = [name.removeprefix("/") for name in container.get("Names") or []]
    return ",".join(name for name in names if not trunc or "/" not in name)


def _mount(mount: dict[str, Any], trunc: bool) -> str:
    name = mount.get("Name") or mount.get("Source") or ""
    return ellipsis(name, 15) if trunc else name


def _size(container: dict[str, Any]) -> str:
    written, whole = container.get("SizeRw") or 0, container.get("SizeRootFs") or 0
    return f"{size(written, 3)} (virtual {size(whole, 3)})" if whole else size(written, 3)
