"""`shoal images`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from cli.commands.container.ls import local_time
from cli.flags.command import command
from cli.flags.shared import filter_option, filters_query, list_format_option, no_trunc_option, quiet_option
from cli.parse.references import split_reference
from cli.session import Session
from cli.show.listing import Columns, print_list
from cli.show.units import ago, short_id, size

_NONE = "<none>"


@command(
    usage="[REPOSITORY[:TAG]]", examples=["shoal images", "shoal images -f dangling=true -q", "shoal images 'web*'"]
)
@click.option("-a", "--all", "everything", is_flag=True, help="Also intermediate images")
@click.option("--digests", is_flag=True, help="Show digests")
@filter_option("dangling=true, label=key, before=IMAGE, since=IMAGE, reference=PATTERN")
@list_format_option
@no_trunc_option
@quiet_option
@click.argument("reference", required=False, default="")
@click.pass_obj
def ls(
    session: Session,
    everything: bool,
    digests: bool,
    filters: dict[str, list[str]],
    form: str,
    no_trunc: bool,
    quiet: bool,
    reference: str,
) -> None:
    if reference:
        filters.setdefault("reference", []).append(reference)
    digests = digests or ".Digest" in form
    found = session.client.get("/images/json", all=everything, digests=digests, filters=filters_query(filters))
    names = sorted((name for image in found for name in names_of(image, digests)), key=lambda i: -i["Created"])
    if quiet:
        names = list({image["Id"]: image for image in names}.values())
    shown = ["Repository", "Tag", *(["Digest"] if digests else []), "ID", "CreatedSince", "Size"]
    print_list(names, columns(not no_trunc), shown, form=form, quiet="ID" if quiet else "", trunc=not no_trunc)


def names_of(image: dict[str, Any], digests: bool = False) -> Iterator[dict[str, Any]]:
    """The image once per name, with Repository, Tag and Digest set."""
    found = {split_reference(name) for name in image.get("RepoTags") or [] if not name.startswith(_NONE)}
    by_repository = dict(split_reference(name) for name in image.get("RepoDigests") or [])
    if not found:
        found = {(repository, _NONE) for repository in by_repository if repository != _NONE} or {(_NONE, _NONE)}
    for repository, tag in sorted(found):
        digest = by_repository.get(repository, _NONE) if digests else _NONE
        yield {**image, "Repository": repository, "Tag": tag, "Digest": digest}


def columns(trunc: bool) -> Columns:
    """The fields of an image in lists."""
    return {
        "Repository": ("REPOSITORY", lambda i: i["Repository"]),
        "Tag": ("TAG", lambda i: i["Tag"]),
        "Digest": ("DIGEST", lambda i: i["Digest"]),
        "ID": ("IMAGE ID", lambda i: short_id(i["Id"]) if trunc else i["Id"]),
        "CreatedSince": ("CREATED", lambda i: ago(i["Created"])),
        "CreatedAt": ("CREATED AT", lambda i: local_time(i["Created"])),
        "Size": ("SIZE", lambda i: size(i["Size"], 3)),
        "Containers": ("CONTAINERS", lambda i: "N/A" if i.get("Containers", -1) < 0 else str(i["Containers"])),
        "SharedSize": ("SHARED SIZE", lambda i: "N/A" if i.get("SharedSize", -1) < 0 else size(i["SharedSize"], 3)),
        "UniqueSize": ("UNIQUE SIZE", lambda i: "N/A"),
    }
