"""`shoal node ls`."""

from __future__ import annotations

from typing import Any

import click

from cli.flags.command import command
from cli.flags.shared import filter_option, filters_query, list_format_option, quiet_option
from cli.session import Session
from cli.show.listing import Columns, print_list

SHOWN = ["ID", "Hostname", "Status", "Availability", "ManagerStatus", "EngineVersion"]


@command(examples=["shoal node ls -f role=manager"])
@filter_option("name=node1, role=manager, membership=accepted, node.label=key")
@list_format_option
@quiet_option
@click.pass_obj
def ls(session: Session, filters: dict[str, list[str]], form: str, quiet: bool) -> None:
    found = sorted(session.client.get("/nodes", filters=filters_query(filters)), key=_hostname)
    own = "" if quiet else (session.client.get("/info").get("Swarm") or {}).get("NodeID", "")
    shown = ["IDMark" if name == "ID" else name for name in SHOWN]
    print_list(found, _columns(own), shown, form=form, quiet="ID" if quiet else "")


def _hostname(node: dict[str, Any]) -> str:
    return str((node.get("Description") or {}).get("Hostname", ""))


def _manager_status(node: dict[str, Any]) -> str:
    status = node.get("ManagerStatus") or {}
    return "Leader" if status.get("Leader") else str(status.get("Reachability", "")).capitalize()


def _columns(own: str) -> Columns:
    """`own`: the id of the node that answered, which is marked by a star."""
    return {
        "ID": ("ID", lambda n: n["ID"]),
        "IDMark": ("ID", lambda n: n["ID"] + (" *" if n["ID"] == own else "")),
        "Hostname": ("HOSTNAME", _hostname),
        "Status": ("STATUS", lambda n: n["Status"]["State"].capitalize()),
        "Availability": ("AVAILABILITY", lambda n: n["Spec"]["Availability"].capitalize()),
        "ManagerStatus": ("MANAGER STATUS", _manager_status),
        "EngineVersion": ("ENGINE VERSION", lambda n: (n["Description"].get("Engine") or {}).get("EngineVersion", "")),
        "Self": ("SELF", lambda n: str(n["ID"] == own).lower()),
    }
