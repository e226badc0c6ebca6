"""`shoal cluster backup` and `restore`: sealed here, by a passphrase that no daemon sees."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from cli.api.client import Client
from cli.errors import CliError
from cli.flags.command import command
from cli.session import Session
from cli.show.files import open_input
from common import backup as files
from common.durable import write_file
from common.errors import ShoalError

RESTORE = "/shoal/v1/cluster/restore"
_PASSPHRASE = click.option(
    "--passphrase-file",
    default="",
    metavar="FILE",
    help="File whose first line is the passphrase; asked for by default",
)


@command(
    usage="FILE",
    examples=[
        "shoal cluster backup cluster.backup",
        "shoal cluster backup --passphrase-file /root/passphrase /backups/$(date +%F)",
    ],
)
@_PASSPHRASE
@click.option("--unsealed", is_flag=True, help="Write it without a passphrase: whoever reads the file has all secrets")
@click.argument("file", metavar="FILE")
@click.pass_obj
def backup(session: Session, file: str, passphrase_file: str, unsealed: bool) -> None:
    """It holds all services, networks, secrets, configs and nodes at one moment, and the keys of the cluster: it is as
    secret as a manager's disk."""
    path = Path(file)
    if path.is_dir() or not path.parent.is_dir():
        raise CliError(f"invalid path {file!r}: the name of a file in an existing folder is needed")
    if unsealed and passphrase_file:
        raise click.UsageError("--unsealed and --passphrase-file exclude each other")
    passphrase = b"" if unsealed else _passphrase(passphrase_file, confirm=True)
    data = _fetch(session.client)
    try:
        head = files.head_of(data)
        write_file(path, data if unsealed else files.seal(data, passphrase))
    except ShoalError as error:
        raise CliError(error.message) from None
    except OSError as error:
        raise CliError(f"cannot write {file}: {error.strerror or error}") from None
    if unsealed:
        click.echo(
            f"WARNING! {file} is not sealed: it holds the cluster's keys and secrets for everyone who reads it.",
            err=True,
        )
    print(f"Cluster {head.cluster_id} as it was at {head.made} is in {file}.")


@command(
    usage="FILE",
    examples=["shoal cluster restore cluster.backup", "shoal cluster restore --advertise-addr 10.0.0.1 cluster.backup"],
)
@_PASSPHRASE
@click.option(
    "--listen-addr", default="", help="Where the manager listens, ADDRESS or ADDRESS:PORT (default 0.0.0.0:2377)"
)
@click.option("--advertise-addr", default="", help="Where other nodes reach it: best where a manager was before")
@click.option("--data-path-addr", default="", help="Address or interface of the containers' traffic")
@click.argument("file", metavar="FILE")
@click.pass_obj
def restore(
    session: Session, file: str, passphrase_file: str, listen_addr: str, advertise_addr: str, data_path_addr: str
) -> None:
    """This node becomes the cluster's only manager. Its managers of before must be gone, or be stopped: one that comes back
    is a worker."""
    with open_input(file, "a backup") as stream:
        data = stream.read()
    try:
        head = files.head_of(data)
        if head.sealing is not None:
            data = files.unseal(data, _passphrase(passphrase_file))
    except ShoalError as error:
        raise CliError(f"{file}: {error.message}") from None
    query = {"listen": listen_addr, "advertise": advertise_addr, "dataPath": data_path_addr}
    with session.client.stream("POST", RESTORE, query=query, body=data, kind="application/octet-stream") as response:
        node = response.json()
    print(f"Cluster {head.cluster_id} is as it was at {head.made}; node {node} is its only manager.")


def _fetch(client: Client) -> bytes:
    with client.stream("GET", files.BACKUP) as response:
        return response.read()


def _passphrase(file: str, *, confirm: bool = False) -> bytes:
    """Raises CliError where there is none."""
    if file:
        with open_input(file, "the passphrase") as stream:
            found = stream.readline().rstrip(b"\r\n")
    elif not sys.stdin.isatty():
        raise CliError("a passphrase is needed: give a file with it by --passphrase-file")
    else:
        found = os.fsencode(
            click.prompt("Passphrase of the backup", hide_input=True, confirmation_prompt=confirm, err=True)
        )
    if not found:
        raise CliError("the passphrase is empty")
    return found
