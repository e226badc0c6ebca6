"""`shoal swarm join-token`, `unlock-key` and `unlock`."""

from __future__ import annotations

import getpass
import sys

import click

from cli.commands.swarm.member import manager_address, update_swarm
from cli.errors import CliError
from cli.flags.command import command
from cli.session import Session


@command(
    usage="worker|manager", examples=["shoal swarm join-token worker", "shoal swarm join-token --rotate -q manager"]
)
@click.option("-q", "--quiet", is_flag=True, help="Only show the token")
@click.option("--rotate", is_flag=True, help="Make a new token; the old one is good for nothing then")
@click.argument("role", type=click.Choice(["worker", "manager"]))
@click.pass_obj
def join_token(session: Session, quiet: bool, rotate: bool, role: str) -> None:
    if rotate:
        name = "rotateWorkerToken" if role == "worker" else "rotateManagerToken"
        update_swarm(session, {}, **{name: True})
        if not quiet:
            print(f"Successfully rotated {role} join token.\n")
    token = (session.client.get("/swarm").get("JoinTokens") or {}).get(role.capitalize())
    if not token:
        raise CliError("This node has no swarm that others could join yet: make one by `shoal swarm init`.")
    if quiet:
        print(token)
        return
    print(f"To add a {role} to this swarm, run the following command:\n")
    print(f"    shoal swarm join --token {token} {manager_address(session)}\n")


@command()
@click.option("-q", "--quiet", is_flag=True, help="Only show the key")
@click.option("--rotate", is_flag=True, help="Make a new key")
@click.pass_obj
def unlock_key(session: Session, quiet: bool, rotate: bool) -> None:
    if rotate:
        update_swarm(session, {}, rotateManagerUnlockKey=True)
    key = session.client.get("/swarm/unlockkey")["UnlockKey"]
    if not key:
        raise CliError("no unlock key is set")
    if quiet:
        print(key)
    else:
        print_unlock_key(key)


def print_unlock_key(key: str) -> None:
    print(
        "To unlock a swarm manager after it restarts, run the `shoal swarm unlock` command and provide the following key:\n"
    )
    print(f"    {key}\n")
    print("Keep it in a safe place: without it a manager that restarts is lost.")


@command()
@click.pass_obj
def unlock(session: Session) -> None:
    _check_locked(session.client.get("/info")["Swarm"]["LocalNodeState"])
    key = getpass.getpass("Please enter unlock key: ") if sys.stdin.isatty() else sys.stdin.readline()
    session.client.post("/swarm/unlock", {"UnlockKey": key.strip()})


def _check_locked(state: str) -> None:
    """Before anybody types a key in vain."""
    if state == "inactive":
        raise CliError("Error: This node is not part of a swarm")
    if state != "locked":
        raise CliError("Error: swarm is not locked")
