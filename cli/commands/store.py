"""`shoal secret` and `shoal config`: the same commands over two kinds of stored files."""

from __future__ import annotations

import base64
from typing import Any

import click

from cli.api.client import Client
from cli.api.urls import item
from cli.flags.command import command
from cli.flags.field import body, field, many, pairs
from cli.flags.shared import filter_option, filters_query, format_option, list_format_option, name, names, quiet_option
from cli.flags.types import LABEL
from cli.session import Session
from cli.show.detail import each, print_objects
from cli.show.files import open_input
from cli.show.listing import Columns, labels_text, print_list
from cli.show.units import ago_text

COLUMNS: Columns = {
    "ID": ("ID", lambda s: s["ID"]),
    "Name": ("NAME", lambda s: s["Spec"]["Name"]),
    "Driver": ("DRIVER", lambda s: (s["Spec"].get("Driver") or {}).get("Name", "")),
    "CreatedAt": ("CREATED", lambda s: ago_text(s["CreatedAt"])),
    "UpdatedAt": ("UPDATED", lambda s: ago_text(s["UpdatedAt"])),
    "Labels": ("LABELS", lambda s: labels_text(s["Spec"].get("Labels"))),
}
_SECRET_SHOWN = ["ID", "Name", "Driver", "CreatedAt", "UpdatedAt"]
_CONFIG_SHOWN = ["ID", "Name", "CreatedAt", "UpdatedAt"]


@command(
    usage="SECRET [FILE|-]",
    examples=["shoal secret create db-password ./password.txt", "openssl rand -hex 16 | shoal secret create key -"],
)
@field("Driver.Name", "-d", "--driver", help="Driver")
@many("Labels", "-l", "--label", type=LABEL, shape=pairs, help="Label, key=value")
@field("Templating.Name", "--template-driver", help="Template driver")
@name("SECRET")
@click.argument("source", metavar="[FILE|-]", required=False, default="")
@click.pass_obj
def secret_create(session: Session, /, name: str, source: str, **_: object) -> None:
    _create(session.client, "secrets", name, source)


@command(usage="CONFIG FILE|-", examples=["shoal config create nginx.conf ./nginx.conf"])
@many("Labels", "-l", "--label", type=LABEL, shape=pairs, help="Label, key=value")
@field("Templating.Name", "--template-driver", help="Template driver, golang")
@name("CONFIG")
@click.argument("source", metavar="FILE|-")
@click.pass_obj
def config_create(session: Session, /, name: str, source: str, **_: object) -> None:
    _create(session.client, "configs", name, source)


def _create(client: Client, kind: str, name: str, source: str) -> None:
    request: dict[str, Any] = {"Name": name, "Labels": {}, **body(click.get_current_context())}
    if source or "Driver" not in request:
        with open_input(source, f"the content of {name}") as file:
            request["Data"] = base64.b64encode(file.read()).decode()
    print(client.post(f"/{kind}/create", request)["ID"])


@command(usage="SECRET [SECRET...]")
@format_option
@click.option("--pretty", is_flag=True, help="In words")
@names("SECRET")
@click.pass_obj
def secret_inspect(session: Session, form: str, pretty: bool, names: tuple[str, ...]) -> None:
    _inspect(session.client, "secrets", names, form, pretty)


@command(usage="CONFIG [CONFIG...]")
@format_option
@click.option("--pretty", is_flag=True, help="In words, with its content")
@names("CONFIG")
@click.pass_obj
def config_inspect(session: Session, form: str, pretty: bool, names: tuple[str, ...]) -> None:
    _inspect(session.client, "configs", names, form, pretty)


def _inspect(client: Client, kind: str, names: tuple[str, ...], form: str, pretty: bool) -> None:
    if pretty:
        each(names, lambda n: print(*_lines(client.get(item(kind, n))), sep="\n"), None)
    else:
        print_objects(names, lambda n: client.get(item(kind, n)), form)


def _lines(found: dict[str, Any]) -> list[str]:
    spec = found["Spec"]
    lines = [
        f"ID:\t\t{found['ID']}",
        f"Name:\t\t{spec['Name']}",
        f"Labels:\t\t{labels_text(spec.get('Labels'))}",
        f"Created at:\t{found['CreatedAt']}",
        f"Updated at:\t{found['UpdatedAt']}",
    ]
    if spec.get("Data"):
        lines += ["Data:", base64.b64decode(spec["Data"]).decode(errors="replace")]
    return lines


@command()
@filter_option("name=db-password, label=key")
@list_format_option
@quiet_option
@click.pass_obj
def secret_ls(session: Session, filters: dict[str, list[str]], form: str, quiet: bool) -> None:
    _list(session.client, "/secrets", _SECRET_SHOWN, filters, form, quiet)


@command()
@filter_option("name=nginx.conf, label=key")
@list_format_option
@quiet_option
@click.pass_obj
def config_ls(session: Session, filters: dict[str, list[str]], form: str, quiet: bool) -> None:
    _list(session.client, "/configs", _CONFIG_SHOWN, filters, form, quiet)


def _list(client: Client, path: str, shown: list[str], filters: dict[str, list[str]], form: str, quiet: bool) -> None:
    found = sorted(client.get(path, filters=filters_query(filters)), key=lambda s: s["Spec"]["Name"])
    print_list(found, COLUMNS, shown, form=form, quiet="ID" if quiet else "")


@command(usage="SECRET [SECRET...]")
@names("SECRET")
@click.pass_obj
def secret_rm(session: Session, names: tuple[str, ...]) -> None:
    each(names, lambda n: session.client.delete(item("secrets", n)))


@command(usage="CONFIG [CONFIG...]")
@names("CONFIG")
@click.pass_obj
def config_rm(session: Session, names: tuple[str, ...]) -> None:
    each(names, lambda n: session.client.delete(item("configs", n)))
