"""`shoal swarm ca`."""

from __future__ import annotations

import time
from typing import Any

import click

from cli.commands.swarm.member import parse_external_ca, update_swarm
from cli.errors import CliError
from cli.flags.command import command
from cli.flags.field import body, field, many
from cli.flags.types import DURATION, Parsed
from cli.session import Session

POLL = 0.2  # seconds


def _read(text: str) -> str:
    try:
        with open(text, encoding="ascii") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot read {text}: {error}") from None


@command(examples=["shoal swarm ca > ca.pem", "shoal swarm ca --rotate"])
@field("CAConfig.SigningCACert", "--ca-cert", type=Parsed("pem-file", _read), help="Certificate of the new root CA")
@field("CAConfig.SigningCAKey", "--ca-key", type=Parsed("pem-file", _read), help="Its key")
@field("CAConfig.NodeCertExpiry", "--cert-expiry", type=DURATION, help="Life of a node's certificate")
@click.option("-d", "--detach", is_flag=True, help="Do not wait until all nodes have followed")
@many(
    "CAConfig.ExternalCAs",
    "--external-ca",
    type=Parsed("external-ca", parse_external_ca),
    help="CA that signs certificates",
)
@click.option("-q", "--quiet", is_flag=True, help="Do not show progress")
@click.option("--rotate", is_flag=True, help="Take a new root CA; one is made where none is given")
@click.pass_obj
def ca(session: Session, /, detach: bool, quiet: bool, rotate: bool, **_: object) -> None:
    changes = body(click.get_current_context())
    if not rotate:
        if changes:
            raise click.UsageError("these flags need --rotate")
        print(session.client.get("/swarm")["TLSInfo"]["TrustRoot"])
        return
    config = changes.setdefault("CAConfig", {})
    config["ForceRotate"] = _next_rotation(session)
    update_swarm(session, changes)
    if not detach:
        _wait(session, quiet)
        print(session.client.get("/swarm")["TLSInfo"]["TrustRoot"])


def _next_rotation(session: Session) -> int:
    config: dict[str, Any] = session.client.get("/swarm")["Spec"].get("CAConfig") or {}
    return int(config.get("ForceRotate") or 0) + 1


def _wait(session: Session, quiet: bool) -> None:
    while session.client.get("/swarm").get("RootRotationInProgress"):
        if not quiet:
            click.echo("waiting until all nodes have taken the new root CA", err=True)
            quiet = True
        time.sleep(POLL)
    for node in session.client.get("/nodes"):
        if node["Status"]["State"] == "unknown":
            raise CliError(f"node {node['ID']} did not follow to the new root CA")
