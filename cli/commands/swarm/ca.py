"""`shoal swarm ca`."""

from __future__ import annotations

import sys
import time
from typing import Any

import click

from cli.commands.swarm.member import parse_external_ca, root_of_user, update_swarm
from cli.errors import CliError
from cli.flags.command import command
from cli.flags.field import body, field, many
from cli.flags.types import DURATION, Parsed
from cli.session import Session
from cli.show.root_rotation import rotation

POLL = 0.2  # seconds


@command(
    examples=[
        "shoal swarm ca > ca.pem",
        "shoal swarm ca --rotate",
        "shoal swarm ca --rotate --ca-cert ca.pem --ca-key ca-key.pem",
    ]
)
@root_of_user("")
@field("CAConfig.NodeCertExpiry", "--cert-expiry", type=DURATION, help="Life of a node's certificate")
@click.option("-d", "--detach", is_flag=True, help="Do not wait until all nodes have followed")
@many(
    "CAConfig.ExternalCAs",
    "--external-ca",
    type=Parsed("external-ca", parse_external_ca),
    help="CA that signs certificates, protocol=cfssl,url=URL",
)
@click.option("-q", "--quiet", is_flag=True, help="Do not show progress")
@click.option("--rotate", is_flag=True, help="Take a new root CA; one is made where none is given")
@click.pass_obj
def ca(session: Session, /, detach: bool, quiet: bool, rotate: bool, **_: object) -> None:
    changes = body(click.get_current_context())
    if not rotate:
        if changes:
            raise click.UsageError("these flags need --rotate")
        print(_trust_root(session), end="")
        return
    config = changes.setdefault("CAConfig", {})
    if "SigningCAKey" in config and "SigningCACert" not in config:
        raise click.UsageError("--ca-key needs --ca-cert")
    config["ForceRotate"] = _next_rotation(session)
    update_swarm(session, changes)
    if not detach:
        _wait(session, quiet)
        print(_trust_root(session), end="")


def _trust_root(session: Session) -> str:
    root = session.client.get("/swarm").get("TLSInfo", {}).get("TrustRoot", "")
    if not root:
        raise CliError("No CA information available: `shoal swarm init` makes the CA")
    return str(root)


def _next_rotation(session: Session) -> int:
    config: dict[str, Any] = session.client.get("/swarm")["Spec"].get("CAConfig") or {}
    return int(config.get("ForceRotate") or 0) + 1


def _wait(session: Session, quiet: bool) -> None:
    """Until all nodes that are there have followed; shows how far they are."""
    shown: list[str] = []
    try:
        while not (now := rotation(session.client.get("/swarm"), session.client.get("/nodes"))).over:
            if not quiet and now.lines != shown:
                shown = _draw(now.lines, shown)
            time.sleep(POLL)
        if not quiet and now.lines != shown:
            _draw(now.lines, shown)
    except KeyboardInterrupt:
        raise CliError("The change of the root CA continues in the background.", 130) from None


def _draw(lines: list[str], before: list[str]) -> list[str]:
    """Over the lines before on a terminal, elsewhere only what is new; the certificate alone goes to stdout."""
    terminal = sys.stderr.isatty()
    up = f"\033[{len(before)}A\033[J" if terminal and before else ""
    new = lines if terminal else [line for line in lines if line not in before]
    sys.stderr.write(up + "".join(f"{line}\n" for line in new))
    sys.stderr.flush()
    return lines
