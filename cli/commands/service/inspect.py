"""`shoal service inspect`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from cli.api.urls import item
from cli.commands.service.ls import image_of, mode_of
from cli.flags.command import command
from cli.flags.shared import format_option, names
from cli.session import Session
from cli.show.detail import each, print_objects
from cli.show.listing import labels_text
from cli.show.units import binary_size, nanoseconds


@command(usage="SERVICE [SERVICE...]", examples=["shoal service inspect --pretty web"])
@format_option
@click.option("--pretty", is_flag=True, help="In words")
@names("SERVICE")
@click.pass_obj
def inspect(session: Session, form: str, pretty: bool, names: tuple[str, ...]) -> None:
    if pretty and form:
        raise click.UsageError("conflicting options: --format and --pretty")
    if pretty:
        each(names, lambda n: print(*pretty_lines(session.client.get(item("services", n))), sep="\n"), None)
    else:
        print_objects(names, lambda n: session.client.get(item("services", n)), form)


def pretty_lines(service: dict[str, Any]) -> Iterator[str]:
    """A service in words, line by line."""
    spec = service["Spec"]
    yield from _fields("", ID=service["ID"], Name=spec["Name"], Labels=labels_text(spec.get("Labels")))
    yield from _fields("", **{"Service Mode": mode_of(service).capitalize()})
    replicated = (spec.get("Mode") or {}).get("Replicated")
    if replicated is not None:
        yield from _fields(" ", Replicas=replicated.get("Replicas", 0))
    yield from _section("UpdateStatus", _update_status(service.get("UpdateStatus") or {}))
    yield from _section("Placement", _placement((spec["TaskTemplate"].get("Placement")) or {}))
    yield from _section("UpdateConfig", _rollout(spec.get("UpdateConfig") or {}))
    yield from _section("RollbackConfig", _rollout(spec.get("RollbackConfig") or {}))
    yield from _section("ContainerSpec", _container(spec))
    yield from _section("Resources", _resources(spec["TaskTemplate"].get("Resources") or {}))
    yield from _section("Networks", {"": " ".join(n["Target"] for n in spec["TaskTemplate"].get("Networks") or [])})
    endpoint = service.get("Endpoint") or {}
    yield from _fields("", **{"Endpoint Mode": (endpoint.get("Spec") or {}).get("Mode")})
    for port in endpoint.get("Ports") or []:
        published = f"PublishedPort = {port.get('PublishedPort', 0)}"
        yield f"Ports: {published} Protocol = {port['Protocol']} TargetPort = {port['TargetPort']} PublishMode = {port['PublishMode']}"


def _section(title: str, values: dict[str, Any]) -> Iterator[str]:
    lines = list(_fields(" ", **values))
    if lines:
        yield f"{title}:"
        yield from lines


def _fields(indent: str, **values: Any) -> Iterator[str]:
    for name, value in values.items():
        if value not in (None, "", [], {}):
            yield f"{indent}{name + ':' if name else ''}\t{value}" if name else f"{indent}{value}"


def _update_status(status: dict[str, Any]) -> dict[str, Any]:
    return {
        "State": status.get("State"),
        "Started": status.get("StartedAt"),
        "Completed": status.get("CompletedAt"),
        "Message": status.get("Message"),
    }


def _placement(placement: dict[str, Any]) -> dict[str, Any]:
    preferences = [p["Spread"]["SpreadDescriptor"] for p in placement.get("Preferences") or []]
    return {
        "Constraints": ", ".join(placement.get("Constraints") or []),
        "Preferences": ", ".join(f"spread={descriptor}" for descriptor in preferences),
        "Max Replicas Per Node": placement.get("MaxReplicas"),
    }


def _rollout(config: dict[str, Any]) -> dict[str, Any]:
    if not config:
        return {}
    return {
        "Parallelism": config.get("Parallelism"),
        "Delay": nanoseconds(config.get("Delay") or 0) if config.get("Delay") else None,
        "On failure": config.get("FailureAction"),
        "Monitoring Period": nanoseconds(config.get("Monitor") or 0),
        "Max failure ratio": config.get("MaxFailureRatio", 0),
        "Update order": config.get("Order"),
    }


def _container(spec: dict[str, Any]) -> dict[str, Any]:
    container = spec["TaskTemplate"].get("ContainerSpec") or {}
    return {
        "Image": image_of(spec),
        "Command": " ".join(container.get("Command") or []),
        "Args": " ".join(container.get("Args") or []),
        "Env": " ".join(container.get("Env") or []),
        "Dir": container.get("Dir"),
        "User": container.get("User"),
        "Mounts": ", ".join(
            f"{m.get('Source', '')} -> {m['Target']} ({m['Type']})" for m in container.get("Mounts") or []
        ),
        "Secrets": " ".join(s["SecretName"] for s in container.get("Secrets") or []),
        "Configs": " ".join(c["ConfigName"] for c in container.get("Configs") or []),
    }


def _resources(resources: dict[str, Any]) -> dict[str, Any]:
    lines = {}
    for kind, key in (("Reservations", "Reservations"), ("Limits", "Limits")):
        found = resources.get(key) or {}
        cpu, memory = found.get("NanoCPUs"), found.get("MemoryBytes")
        parts = ([f"{cpu / 1e9:g} CPU"] if cpu else []) + ([f"{binary_size(memory)} memory"] if memory else [])
        lines[kind] = ", ".join(parts)
    return lines
