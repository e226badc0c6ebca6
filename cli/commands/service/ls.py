"""`shoal service ls`."""

from __future__ import annotations

from typing import Any

import click

from cli.flags.command import command
from cli.flags.shared import filter_option, filters_query, list_format_option, quiet_option
from cli.session import Session
from cli.show.listing import Columns, print_list
from cli.show.units import short_id

SHOWN = ["ID", "Name", "Mode", "Replicas", "Image", "Ports"]


@command(examples=["shoal service ls -f mode=global"])
@filter_option("name=web, mode=replicated, label=key")
@list_format_option
@quiet_option
@click.pass_obj
def ls(session: Session, filters: dict[str, list[str]], form: str, quiet: bool) -> None:
    found = session.client.get("/services", filters=filters_query(filters), status=True)
    print_services(found, form=form, quiet=quiet)


def print_services(found: list[dict[str, Any]], *, form: str, quiet: bool) -> None:
    """The list of services, by name."""
    found = sorted(found, key=lambda s: s["Spec"]["Name"])
    print_list(found, COLUMNS, SHOWN, form=form, quiet="ID" if quiet else "")


def mode_of(service: dict[str, Any]) -> str:
    """ "replicated", "global", "replicated job", "global job"."""
    names = {"Global": "global", "ReplicatedJob": "replicated job", "GlobalJob": "global job"}
    mode = service["Spec"].get("Mode") or {}
    return next((name for key, name in names.items() if mode.get(key) is not None), "replicated")


def replicas_text(service: dict[str, Any]) -> str:
    """ "2/3", with what else limits it: "2/3 (max 1 per node)"."""
    status = service.get("ServiceStatus") or {}
    running, desired = status.get("RunningTasks", 0), status.get("DesiredTasks", 0)
    job = (service["Spec"].get("Mode") or {}).get("ReplicatedJob")
    if job is not None or "job" in mode_of(service):
        completed = status.get("CompletedTasks", 0)
        total = (job or {}).get("TotalCompletions") or desired + completed
        return f"{running}/{desired} ({completed}/{total} completed)"
    most = ((service["Spec"].get("TaskTemplate") or {}).get("Placement") or {}).get("MaxReplicas")
    return f"{running}/{desired}" + (f" (max {most} per node)" if most else "")


def ports_text(service: dict[str, Any]) -> str:
    ports = (service.get("Endpoint") or {}).get("Ports") or []
    return ", ".join(
        f"*:{p['PublishedPort']}->{p['TargetPort']}/{p['Protocol']}" for p in ports if p.get("PublishMode") != "host"
    )


def image_of(spec: dict[str, Any]) -> str:
    """The image's name without its digest."""
    container = (spec.get("TaskTemplate") or spec).get("ContainerSpec") or {}
    return str(container.get("Image", "")).partition("@")[0]


COLUMNS: Columns = {
    "ID": ("ID", lambda s: short_id(s["ID"])),
    "Name": ("NAME", lambda s: s["Spec"]["Name"]),
    "Mode": ("MODE", mode_of),
    "Replicas": ("REPLICAS", replicas_text),
    "Image": ("IMAGE", lambda s: image_of(s["Spec"])),
    "Ports": ("PORTS", ports_text),
}
