"""`shoal history`."""

from __future__ import annotations

import click

from cli.api.urls import image
from cli.commands.container.ls import local_time
from cli.flags.command import command
from cli.flags.shared import list_format_option, name, no_trunc_option, quiet_option
from cli.session import Session
from cli.show.listing import Columns, print_list
from cli.show.units import ago, ellipsis, short_id, size

DEFAULT = ["ID", "CreatedSince", "CreatedBy", "Size", "Comment"]


@command(usage="IMAGE", examples=["shoal history --no-trunc web"])
@list_format_option
@click.option("-H", "--human", is_flag=True, default=True, help="Sizes and dates in words (default true)")
@no_trunc_option
@quiet_option
@name("IMAGE")
@click.pass_obj
def history(session: Session, form: str, human: bool, no_trunc: bool, quiet: bool, name: str) -> None:
    found = session.client.get(image(name, "history"))
    print_list(
        found, _columns(not no_trunc, human), DEFAULT, form=form, quiet="ID" if quiet else "", trunc=not no_trunc
    )


def _columns(trunc: bool, human: bool) -> Columns:
    return {
        "ID": ("IMAGE", lambda h: short_id(h["Id"]) if trunc else h["Id"]),
        "CreatedSince": ("CREATED", lambda h: ago(h["Created"]) if human else local_time(h["Created"])),
        "CreatedAt": ("CREATED AT", lambda h: local_time(h["Created"])),
        "CreatedBy": ("CREATED BY", lambda h: _command(h["CreatedBy"], trunc)),
        "Size": ("SIZE", lambda h: size(h["Size"], 3) if human else str(h["Size"])),
        "Comment": ("COMMENT", lambda h: h.get("Comment") or ""),
    }


def _command(text: str, trunc: bool) -> str:
    line = text.replace("\t", " ")
    return ellipsis(line, 45) if trunc else line
