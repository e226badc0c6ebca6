"""`shoal context`: named daemons."""

from __future__ import annotations

import os
from typing import Any

import click

from cli import contexts
from cli.endpoint import DEFAULT_HOST, context_name, parse
from cli.errors import CliError
from cli.flags.command import command
from cli.flags.shared import format_option, list_format_option, name, names
from cli.flags.types import Parsed
from cli.parse.fields import boolean, parse_fields
from cli.session import Session
from cli.show.detail import print_objects
from cli.show.listing import Columns, print_list

_KEYS = ("from", "host", "ca", "cert", "key", "skip-tls-verify")


def parse_endpoint(text: str) -> dict[str, str]:
    """ "host=tcp://h:2376,ca=…,cert=…,key=…"."""
    return {key: value or "" for key, value in parse_fields(text, _KEYS)}


_DOCKER = click.option(
    "--docker",
    "endpoint",
    type=Parsed("host=…", parse_endpoint),
    help="host=ADDRESS[,ca=FILE,cert=FILE,key=FILE,skip-tls-verify=true]",
)
_DESCRIPTION = click.option("--description", help="What it is")


@command(
    usage="CONTEXT",
    examples=['shoal context create lab --docker "host=tcp://10.0.0.5:2376,ca=ca.pem,cert=cert.pem,key=key.pem"'],
)
@_DESCRIPTION
@_DOCKER
@click.option("--from", "source", help="Take the settings of another context")
@name("CONTEXT")
@click.pass_obj
def create(
    session: Session, description: str | None, endpoint: dict[str, str] | None, source: str | None, name: str
) -> None:
    contexts.check_name(name)
    if name in contexts.names():
        raise CliError(f'context "{name}" already exists: change it by `shoal context update`')
    base = source or (endpoint or {}).get("from") or ""
    made = contexts.load(base) if base else _empty(session)
    contexts.save(_changed(made, name, description, endpoint))
    print(f'{name}\nSuccessfully created context "{name}"')


@command(usage="CONTEXT")
@_DESCRIPTION
@_DOCKER
@name("CONTEXT")
def update(description: str | None, endpoint: dict[str, str] | None, name: str) -> None:
    contexts.save(_changed(contexts.load(name), name, description, endpoint))
    print(f'{name}\nSuccessfully updated context "{name}"')


def _empty(session: Session) -> dict[str, Any]:
    return {"Metadata": {"Description": ""}, "Endpoints": {"docker": {"Host": session.endpoint.url}}}


def _changed(
    context: dict[str, Any], name: str, description: str | None, endpoint: dict[str, str] | None
) -> dict[str, Any]:
    docker = dict(context["Endpoints"]["docker"])
    given = dict(endpoint or {})
    given.pop("from", None)
    if given.get("host"):
        parse(given["host"])
        docker["Host"] = given["host"]
    if "skip-tls-verify" in given:
        docker["SkipTLSVerify"] = boolean("skip-tls-verify", given["skip-tls-verify"] or None)
    files = {key: _absolute(given[key]) for key in ("ca", "cert", "key") if given.get(key)}
    if files:
        docker["TLS"] = {**docker.get("TLS", {}), **files}
    text = context["Metadata"]["Description"] if description is None else description
    return {"Name": name, "Metadata": {"Description": text}, "Endpoints": {"docker": docker}}


def _absolute(path: str) -> str:
    found = os.path.abspath(os.path.expanduser(path))
    if not os.path.isfile(found):
        raise CliError(f"no such file: {found}")
    return found


@command()
@list_format_option
@click.option("-q", "--quiet", is_flag=True, help="Only show names")
@click.pass_obj
def ls(session: Session, form: str, quiet: bool) -> None:
    current = _current(session)
    rows = [_row(found, current) for found in (_default(), *(contexts.load(name) for name in contexts.names()))]
    print_list(rows, COLUMNS, ["Marked", "Description", "Endpoint"], form=form, quiet="Name" if quiet else "")


COLUMNS: Columns = {
    "Marked": ("NAME", lambda r: r["Name"] + (" *" if r["Current"] else "")),
    "Name": ("NAME", lambda r: r["Name"]),
    "Current": ("CURRENT", lambda r: str(r["Current"]).lower()),
    "Description": ("DESCRIPTION", lambda r: r["Description"]),
    "Endpoint": ("DOCKER ENDPOINT", lambda r: r["Endpoint"]),
}


def _row(context: dict[str, Any], current: str) -> dict[str, Any]:
    return {
        "Name": context["Name"],
        "Current": context["Name"] == current,
        "Description": context["Metadata"]["Description"],
        "Endpoint": context["Endpoints"]["docker"]["Host"],
    }


def _default() -> dict[str, Any]:
    host = os.environ.get("SHOAL_HOST") or os.environ.get("DOCKER_HOST") or DEFAULT_HOST
    about = "The environment's daemon, or the one of this machine"
    return {"Name": contexts.DEFAULT, "Metadata": {"Description": about}, "Endpoints": {"docker": {"Host": host}}}


def _current(session: Session) -> str:
    host = session.choice.host or os.environ.get("SHOAL_HOST") or os.environ.get("DOCKER_HOST") or ""
    return context_name(session.choice.context, host)


@command()
@click.pass_obj
def show(session: Session) -> None:
    print(_current(session))


@command(usage="CONTEXT")
@name("CONTEXT")
@click.pass_obj
def use(session: Session, name: str) -> None:
    contexts.use(name)
    print(f'{name}\nCurrent context is now "{name}"')
    if _current(session) != name:
        click.echo(
            "Warning: SHOAL_HOST or DOCKER_HOST is set and overrides the context. Unset it to use the context.",
            err=True,
        )


@command(usage="[CONTEXT...]")
@format_option
@names("CONTEXT", required=False)
@click.pass_obj
def inspect(session: Session, form: str, names: tuple[str, ...]) -> None:
    def fetch(name: str) -> dict[str, Any]:
        return _default() if name == contexts.DEFAULT else contexts.load(name)

    print_objects(names or (_current(session),), fetch, form)


@command(usage="CONTEXT [CONTEXT...]")
@click.option("-f", "--force", is_flag=True, help="Also the one in use")
@names("CONTEXT")
def rm(force: bool, names: tuple[str, ...]) -> None:
    for context in names:
        if context == contexts.DEFAULT:
            raise CliError('context "default" cannot be removed')
        if context == contexts.current():
            if not force:
                raise CliError(f'context "{context}" is in use, set -f flag to force remove')
            contexts.use(contexts.DEFAULT)
        contexts.remove(context)
        print(context)
