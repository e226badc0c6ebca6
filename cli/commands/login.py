"""`shoal login` and `shoal logout`."""

from __future__ import annotations

import getpass
import sys

import click

from cli.credentials import HUB, Accounts
from cli.errors import CliError
from cli.flags.command import command
from cli.session import Session


@command(
    usage="[SERVER]", examples=["shoal login registry.example.com", "shoal login -u me --password-stdin < password"]
)
@click.option("-u", "--username", default="", help="User name")
@click.option(
    "-p", "--password", default="", help="Password or token; --password-stdin keeps it out of the shell's history"
)
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input")
@click.argument("server", required=False, default="")
@click.pass_obj
def login(session: Session, username: str, password: str, password_stdin: bool, server: str) -> None:
    """The account is kept in ~/.docker/config.json, or by the credential helper that is named there."""
    if password and password_stdin:
        raise click.UsageError("--password and --password-stdin are mutually exclusive")
    if password_stdin and not username:
        raise click.UsageError("must provide --username with --password-stdin")
    server = server or HUB
    accounts = Accounts()
    if not username:
        username = _ask("Username: ") or accounts.get(server).get("username", "")
    if password_stdin:
        password = sys.stdin.read().rstrip("\r\n")
    password = password or _secret()
    account = {"username": username, "password": password, "serveraddress": server}
    answer = session.client.post("/auth", account) or {}
    if token := answer.get("IdentityToken"):
        account |= {"identitytoken": token, "password": ""}
    place = accounts.keep(server, account)
    if place.endswith(".json"):
        click.echo(f"WARNING! The password is stored unencrypted in {place}. Name a credential helper there.", err=True)
    print(answer.get("Status") or "Login Succeeded")


@command(usage="[SERVER]", examples=["shoal logout registry.example.com"])
@click.argument("server", required=False, default="")
def logout(server: str) -> None:
    server = server or HUB
    if Accounts().forget(server):
        print(f"Removing login credentials for {server}")
    else:
        print(f"Not logged in to {server}")


def _ask(prompt: str) -> str:
    if not sys.stdin.isatty():
        raise CliError("cannot ask for the user name: standard input is no terminal; give --username")
    return input(prompt).strip()


def _secret() -> str:
    if not sys.stdin.isatty():
        raise CliError("cannot ask for the password: standard input is no terminal; give --password-stdin")
    return getpass.getpass("Password: ")
