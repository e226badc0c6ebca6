"""`shoal system df`."""

from __future__ import annotations

from typing import Any

import click

from cli.commands.container.ls import columns as container_columns
from cli.commands.image.ls import columns as image_columns
from cli.commands.image.ls import names_of
from cli.commands.volume.manage import COLUMNS as VOLUME_COLUMNS
from cli.flags.command import command
from cli.flags.shared import list_format_option
from cli.session import Session
from cli.show.listing import Columns, print_list
from cli.show.units import size


@command(examples=["shoal system df", "shoal system df -v"])
@list_format_option
@click.option("-v", "--verbose", is_flag=True, help="Show every object")
@click.pass_obj
def df(session: Session, form: str, verbose: bool) -> None:
    usage = session.client.get("/system/df")
    if verbose and not form:
        _print_all(usage)
    else:
        print_list(summary(usage), _COLUMNS, list(_COLUMNS), form=form)


_COLUMNS: Columns = {
    "Type": ("TYPE", lambda r: r["Type"]),
    "TotalCount": ("TOTAL", lambda r: str(r["Total"])),
    "Active": ("ACTIVE", lambda r: str(r["Active"])),
    "Size": ("SIZE", lambda r: size(r["Size"])),
    "Reclaimable": ("RECLAIMABLE", lambda r: _reclaimable(r["Size"], r["Reclaimable"])),
}


def summary(usage: dict[str, Any]) -> list[dict[str, Any]]:
    """One row per kind of object: how many there are, are in use, and what they take."""
    images = usage.get("Images") or []
    used = sum(i["Size"] - max(i.get("SharedSize", 0), 0) for i in images if i.get("Containers", 0) > 0)
    layers = usage.get("LayersSize") or 0
    containers = usage.get("Containers") or []
    volumes = usage.get("Volumes") or []
    return [
        _row("Images", images, sum(i.get("Containers", 0) > 0 for i in images), layers, max(layers - used, 0)),
        _measured("Containers", containers, lambda c: c["State"] in ("running", "paused", "restarting"), _written),
        _measured("Local Volumes", volumes, lambda v: _volume(v, "RefCount") > 0, lambda v: _volume(v, "Size")),
        _measured("Build Cache", usage.get("BuildCache") or [], lambda b: b["InUse"], lambda b: b["Size"]),
    ]


def _measured(kind: str, items: list[Any], active: Any, measure: Any) -> dict[str, Any]:
    free = sum(measure(item) for item in items if not active(item))
    return _row(kind, items, sum(bool(active(i)) for i in items), sum(measure(i) for i in items), free)


def _row(kind: str, items: list[Any], active: int, whole: int, free: int) -> dict[str, Any]:
    return {"Type": kind, "Total": len(items), "Active": active, "Size": whole, "Reclaimable": free}


def _written(container: dict[str, Any]) -> int:
    return int(container.get("SizeRw") or 0)


def _volume(volume: dict[str, Any], name: str) -> int:
    return max(int((volume.get("UsageData") or {}).get(name, 0)), 0)


def _reclaimable(whole: int, free: int) -> str:
    return f"{size(free)} ({100 * free // whole}%)" if whole else size(free)


def _print_all(usage: dict[str, Any]) -> None:
    images = [named for image in usage.get("Images") or [] for named in names_of(image)]
    print("Images space usage:\n")
    shown = ["Repository", "Tag", "ID", "CreatedSince", "Size", "SharedSize", "Containers"]
    print_list(images, image_columns(True), shown)
    print("\nContainers space usage:\n")
    shown = ["ID", "Image", "Command", "LocalVolumes", "Size", "RunningFor", "Status", "Names"]
    print_list(usage.get("Containers") or [], container_columns(True), shown)
    print("\nLocal Volumes space usage:\n")
    print_list(usage.get("Volumes") or [], VOLUME_COLUMNS, ["Name", "Links", "Size"])
