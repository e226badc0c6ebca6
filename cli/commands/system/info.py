"""`shoal info`."""

from __future__ import annotations

from typing import Any

import click

from cli.flags.command import command
from cli.flags.shared import format_option
from cli.session import Session
from cli.show.detail import print_object
from cli.show.units import binary_size
from common.version import VERSION


@command(examples=["shoal info", "shoal info -f '{{.Swarm.LocalNodeState}}'"])
@format_option
@click.pass_obj
def info(session: Session, form: str) -> None:
    found = session.client.get("/info")
    if form:
        print_object(found, form)
        return
    print(f"Client:\n Version: {VERSION}\n Host: {session.endpoint.url}\n\nServer:")
    for name, value in fields(found):
        print(f" {name}: {value}".rstrip())
    for warning in found.get("Warnings") or []:
        click.echo(f"WARNING: {warning}", err=True)


def fields(found: dict[str, Any]) -> list[tuple[str, Any]]:
    """The lines of GET /info; two more spaces stand before what belongs to the line above."""
    return [
        ("Containers", found.get("Containers", 0)),
        (" Running", found.get("ContainersRunning", 0)),
        (" Paused", found.get("ContainersPaused", 0)),
        (" Stopped", found.get("ContainersStopped", 0)),
        ("Images", found.get("Images", 0)),
        ("Server Version", found.get("ServerVersion", "")),
        ("Storage Driver", found.get("Driver", "")),
        ("Logging Driver", found.get("LoggingDriver", "")),
        ("Cgroup Driver", found.get("CgroupDriver", "")),
        ("Cgroup Version", found.get("CgroupVersion", "")),
        *[(f"{kind} Plugins", " ".join(names)) for kind, names in (found.get("Plugins") or {}).items() if names],
        *_swarm(found.get("Swarm") or {}),
        ("Runtimes", " ".join(found.get("Runtimes") or {})),
        ("Default Runtime", found.get("DefaultRuntime", "")),
        ("Security Options", " ".join(found.get("SecurityOptions") or [])),
        ("Kernel Version", found.get("KernelVersion", "")),
        ("Operating System", found.get("OperatingSystem", "")),
        ("OSType", found.get("OSType", "")),
        ("Architecture", found.get("Architecture", "")),
        ("CPUs", found.get("NCPU", 0)),
        ("Total Memory", binary_size(found.get("MemTotal", 0))),
        ("Name", found.get("Name", "")),
        ("ID", found.get("ID", "")),
        ("Root Dir", found.get("DockerRootDir", "")),
        *[("Label", label) for label in found.get("Labels") or []],
    ]


def _swarm(swarm: dict[str, Any]) -> list[tuple[str, Any]]:
    lines: list[tuple[str, Any]] = [("Swarm", swarm.get("LocalNodeState", "inactive"))]
    if swarm.get("Error"):
        lines.append((" Error", swarm["Error"]))
    if swarm.get("NodeID"):
        lines += [(" NodeID", swarm["NodeID"]), (" Is Manager", str(swarm.get("ControlAvailable", False)).lower())]
    if swarm.get("Cluster"):
        lines += [(" ClusterID", swarm["Cluster"].get("ID", "")), (" Managers", swarm.get("Managers", 0))]
        lines += [(" Nodes", swarm.get("Nodes", 0))]
    return lines
