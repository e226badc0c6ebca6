"""Bringing a stack to what its compose file says: create what is missing, update what is there, prune on demand."""

from __future__ import annotations

from typing import Any

from cli.api.client import Client
from cli.api.urls import item
from cli.compose import objects
from cli.compose.names import NAMESPACE, Names
from cli.compose.service import service_spec
from cli.errors import ApiError, CliError
from cli.service.references import resolve

_LOCAL = ("host", "bridge", "none")


def deploy(client: Client, names: Names, *, prune: bool = False) -> list[str]:
    """Returns the ids of the stack's services. Everything is translated before anything is changed."""
    specs = {name: service_spec(name, service, names) for name, service in names.compose["services"].items()}
    networks = objects.networks(names)
    files = {section: objects.files(section, names) for section in ("secrets", "configs")}
    _check_external(client, names)
    old = {service["Spec"]["Name"]: service for service in members(client, "/services", names.stack)}
    if prune:
        _prune(client, old, {spec["Name"] for spec in specs.values()})
    for section, requests in files.items():
        for request in requests:
            _file(client, section, request)
    _networks(client, networks)
    return [_service(client, spec, old) for spec in specs.values()]


def members(client: Client, path: str, stack: str) -> list[dict[str, Any]]:
    """The stack's objects of one kind ("/services", "/networks", …)."""
    found: list[dict[str, Any]] = client.get(path, filters={"label": [f"{NAMESPACE}={stack}"]})
    return found


def _check_external(client: Client, names: Names) -> None:
    for name in objects.external_networks(names):
        if name in _LOCAL:
            continue
        try:
            found = client.get(item("networks", name))
        except ApiError as error:
            if error.status != 404:
                raise
            raise CliError(
                f'network "{name}" is declared as external, but could not be found: create it first'
            ) from None
        if found.get("Scope") != "swarm":
            raise CliError(
                f'network "{name}" is declared as external, but it is not of the swarm: create it with -d overlay'
            )


def _prune(client: Client, old: dict[str, dict[str, Any]], wanted: set[str]) -> None:
    for name, service in old.items():
        if name not in wanted:
            print(f"Removing service {name}", flush=True)
            client.delete(item("services", service["ID"]))


def _file(client: Client, section: str, request: dict[str, Any]) -> None:
    """Create a secret or config, or update its labels; content cannot change under one name."""
    found = [
        f
        for f in client.get(f"/{section}", filters={"name": [request["Name"]]})
        if f["Spec"]["Name"] == request["Name"]
    ]
    if not found:
        print(f"Creating {section[:-1]} {request['Name']}", flush=True)
        client.post(f"/{section}/create", request)
        return
    try:
        client.post(item(section, found[0]["ID"], "update"), request, version=found[0]["Version"]["Index"])
    except ApiError as error:
        raise CliError(f"cannot update {section[:-1]} {request['Name']}: {error.reason}") from None


def _networks(client: Client, requests: list[dict[str, Any]]) -> None:
    there = {network["Name"] for network in client.get("/networks", filters={"scope": ["swarm"]})}
    for request in requests:
        if request["Name"] not in there:
            print(f"Creating network {request['Name']}", flush=True)
            client.post("/networks/create", request)


def _service(client: Client, spec: dict[str, Any], old: dict[str, dict[str, Any]]) -> str:
    resolve(client, spec)
    found = old.get(spec["Name"])
    if found is None:
        print(f"Creating service {spec['Name']}", flush=True)
        return str(client.post("/services/create", spec)["ID"])
    print(f"Updating service {spec['Name']} (id: {found['ID']})", flush=True)
    spec["TaskTemplate"]["ForceUpdate"] = found["Spec"]["TaskTemplate"].get("ForceUpdate") or 0
    client.post(item("services", found["ID"], "update"), spec, version=found["Version"]["Index"])
    return str(found["ID"])
