"""`shoal swarm init`, `join`, `leave` and `update`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from cli.flags.command import command
from cli.flags.field import Decorator, body, field, many, switch, together
from cli.flags.types import DURATION, UINT, Parsed
from cli.parse.fields import parse_fields
from cli.session import Session

AVAILABILITY = click.Choice(["active", "pause", "drain"])


def read_pem(path: str) -> str:
    """Raises ValueError."""
    try:
        with open(path, encoding="ascii") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot read {path}: {error}") from None


def parse_external_ca(text: str) -> dict[str, Any]:
    """ "protocol=cfssl,url=https://ca.example/sign" → the API's ExternalCA."""
    result: dict[str, Any] = {}
    for name, value in parse_fields(text):
        if name in ("protocol", "url"):
            result["Protocol" if name == "protocol" else "URL"] = value or ""
        elif name == "cacert":
            result["CACert"] = read_pem(value or "")
        else:
            result.setdefault("Options", {})[name] = value or ""
    if not result.get("Protocol") or not result.get("URL"):
        raise ValueError(f"invalid external CA {text!r}: write protocol=cfssl,url=URL")
    return result


def root_of_user(base: str) -> Decorator:
    """A root CA that the user brings."""
    pem = Parsed("pem-file", read_pem)
    return together(
        field(f"{base}CAConfig.SigningCACert", "--ca-cert", type=pem, help="Certificate of a root CA of your own"),
        field(f"{base}CAConfig.SigningCAKey", "--ca-key", type=pem, help="Its key, where no external CA has it"),
    )


def settings(base: str) -> Decorator:
    """Settings of the swarm that `init` and `update` have in common; `base` is the spec's place in the request."""
    return together(
        switch(
            f"{base}EncryptionConfig.AutoLockManagers",
            "--autolock",
            help="Lock managers that restart, until they get the key",
        ),
        field(f"{base}CAConfig.NodeCertExpiry", "--cert-expiry", type=DURATION, help="Life of a node's certificate"),
        field(
            f"{base}Dispatcher.HeartbeatPeriod", "--dispatcher-heartbeat", type=DURATION, help="Time between heartbeats"
        ),
        many(
            f"{base}CAConfig.ExternalCAs",
            "--external-ca",
            type=Parsed("external-ca", parse_external_ca),
            help="CA that signs certificates, protocol=cfssl,url=URL",
        ),
        field(f"{base}Raft.KeepOldSnapshots", "--max-snapshots", type=UINT, help="Further snapshots to keep"),
        field(f"{base}Raft.SnapshotInterval", "--snapshot-interval", type=UINT, help="Log entries between snapshots"),
        field(
            f"{base}Orchestration.TaskHistoryRetentionLimit", "--task-history-limit", type=int, help="Old tasks to keep"
        ),
    )


def _addresses() -> Sequence[Decorator]:
    return (
        field(
            "AdvertiseAddr", "--advertise-addr", help="Address that others reach this node by, ADDRESS|INTERFACE[:PORT]"
        ),
        field("Availability", "--availability", type=AVAILABILITY, help="Whether it takes tasks (default active)"),
        field("DataPathAddr", "--data-path-addr", help="Address or interface of the containers' traffic"),
        field(
            "ListenAddr", "--listen-addr", default="0.0.0.0:2377", help="Address to listen on (default 0.0.0.0:2377)"
        ),
    )


@command(examples=["shoal swarm init --advertise-addr 192.168.1.10"])
@together(*_addresses())
@field("DataPathPort", "--data-path-port", type=UINT, help="UDP port of the containers' traffic (default 4789)")
@many("DefaultAddrPool", "--default-addr-pool", help="Subnets that networks get theirs from")
@field(
    "SubnetSize", "--default-addr-pool-mask-length", type=UINT, help="Prefix length of a network's subnet (default 24)"
)
@switch("ForceNewCluster", "--force-new-cluster", help="Make a new swarm of one from this node's state")
@settings("Spec.")
@root_of_user("Spec.")
@click.pass_obj
def init(session: Session, /, **_: object) -> None:
    request = {"Spec": {}, **body(click.get_current_context())}
    node_id = session.client.post("/swarm/init", request)
    print(f"Swarm initialized: current node ({node_id}) is now a manager.\n")
    token = session.client.get("/swarm")["JoinTokens"]["Worker"]
    print("To add a worker to this swarm, run the following command:\n")
    print(f"    shoal swarm join --token {token} {manager_address(session)}\n")
    print("To add a manager to this swarm, run `shoal swarm join-token manager` and follow the instructions.")
    if request["Spec"].get("EncryptionConfig", {}).get("AutoLockManagers"):
        show_unlock_key(session)


def manager_address(session: Session) -> str:
    """The address that others join at."""
    swarm = session.client.get("/info")["Swarm"]
    managers = {m.get("NodeID", ""): str(m["Addr"]) for m in swarm.get("RemoteManagers") or []}
    return managers.get(swarm.get("NodeID", "")) or next(iter(managers.values()), "")


@command(usage="HOST:PORT", examples=["shoal swarm join --token SWMTKN-1-… 192.168.1.10:2377"])
@together(*_addresses())
@field("JoinToken", "--token", help="Token of the swarm, which `shoal swarm join-token` shows on a manager")
@click.argument("remote", metavar="HOST:PORT")
@click.pass_obj
def join(session: Session, /, remote: str, **_: object) -> None:
    session.client.post("/swarm/join", {"RemoteAddrs": [remote], **body(click.get_current_context())})
    info = session.client.get("/info")["Swarm"]
    print(f"This node joined a swarm as a {'manager' if info.get('ControlAvailable') else 'worker'}.")


@command()
@click.option("-f", "--force", is_flag=True, help="Also a manager, although the swarm may be lost")
@click.pass_obj
def leave(session: Session, force: bool) -> None:
    session.client.post("/swarm/leave", force=force)
    print("Node left the swarm.")


@command(examples=["shoal swarm update --task-history-limit 2"])
@settings("")
@click.pass_obj
def update(session: Session, /, **_: object) -> None:
    changes = body(click.get_current_context())
    if not changes:
        raise click.UsageError("nothing to update: give one of the flags")
    update_swarm(session, changes)
    print("Swarm updated.")
    if changes.get("EncryptionConfig", {}).get("AutoLockManagers"):
        show_unlock_key(session)


def show_unlock_key(session: Session) -> None:
    from cli.commands.swarm.keys import print_unlock_key

    print_unlock_key(session.client.get("/swarm/unlockkey")["UnlockKey"])


def update_swarm(session: Session, changes: dict[str, Any], **query: Any) -> None:
    """Merge changes into the swarm's spec, if nobody else changed it meanwhile."""
    swarm = session.client.get("/swarm")
    spec = swarm["Spec"]
    for section, values in changes.items():
        spec[section] = {**(spec.get(section) or {}), **values}
    session.client.post("/swarm/update", spec, version=swarm["Version"]["Index"], **query)
