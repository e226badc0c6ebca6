"""Names of secrets, configs and networks in a spec become the ids that the API wants."""

from __future__ import annotations

from typing import Any

from cli.api.client import Client
from cli.api.urls import item
from cli.errors import CliError
from cli.service.collections import get
from cli.service.scalars import CONTAINER


def resolve(client: Client, spec: dict[str, Any]) -> None:
    """Fill in missing ids, in place. Raises CliError naming what does not exist."""
    for kind in ("Secret", "Config"):
        missing = [r for r in get(spec, f"{CONTAINER}.{kind}s") or [] if not r.get(f"{kind}ID")]
        if missing:
            _fill(client, kind, missing)
    for network in get(spec, "TaskTemplate.Networks") or []:
        network["Target"] = network_id(client, network["Target"])


def _fill(client: Client, kind: str, references: list[dict[str, Any]]) -> None:
    names = [reference[f"{kind}Name"] for reference in references]
    found = client.get(f"/{kind.lower()}s", filters={"name": names})
    ids = {entry["Spec"]["Name"]: entry["ID"] for entry in found}
    for reference in references:
        name = reference[f"{kind}Name"]
        if name not in ids:
            raise CliError(f"{kind.lower()} not found: {name}. Create it by `shoal {kind.lower()} create {name} FILE`")
        reference[f"{kind}ID"] = ids[name]


def network_id(client: Client, name: str) -> str:
    return str(client.get(item("networks", name))["Id"])
