"""`shoal pull`, `shoal push` and `shoal search`."""

from __future__ import annotations

import click

from cli.api.client import Client
from cli.api.urls import image as image_path
from cli.credentials import image_headers
from cli.flags.command import command
from cli.flags.shared import filter_option, filters_query, list_format_option, name, no_trunc_option
from cli.parse.references import split_reference
from cli.session import Session
from cli.show.layers import show_transfer
from cli.show.listing import Columns, print_list
from cli.show.units import ellipsis


@command(
    usage="NAME[:TAG|@DIGEST]",
    examples=[
        "shoal pull nginx",
        "shoal pull --platform linux/arm64 registry.example.com/web:1.2",
        "shoal pull -a web",
    ],
)
@click.option("-a", "--all-tags", is_flag=True, help="All tags of the repository")
@click.option("--platform", help="Platform of the image, as linux/arm64")
@click.option("-q", "--quiet", is_flag=True, help="Only print the image's name")
@name("NAME[:TAG|@DIGEST]", "image")
@click.pass_obj
def pull(session: Session, all_tags: bool, platform: str | None, quiet: bool, image: str) -> None:
    repository, tag = _chosen(image, all_tags=all_tags, quiet=quiet)
    fetch(session.client, repository, tag, platform=platform, quiet=quiet)
    print(repository if all_tags else f"{repository}{'@' if ':' in tag else ':'}{tag}")


def _chosen(image: str, *, all_tags: bool, quiet: bool) -> tuple[str, str]:
    """The repository and the tag that a user means; no tag where all are meant."""
    repository, tag = split_reference(image)
    if all_tags and tag:
        raise click.UsageError("tag can't be used with --all-tags/-a")
    if not tag and not all_tags:
        tag = "latest"
        if not quiet:
            print(f"Using default tag: {tag}")
    return repository, tag


def fetch(client: Client, repository: str, tag: str, *, platform: str | None = None, quiet: bool = False) -> None:
    """Pull with progress; it goes to stderr where `quiet` is False and stdout is kept for others. Raises ApiError."""
    query = {"fromImage": repository, "tag": tag or None, "platform": platform}
    headers = image_headers(repository)
    with client.stream("POST", "/images/create", query=query, headers=headers) as response:
        show_transfer(response.documents(), quiet=quiet)


@command(usage="NAME[:TAG]", examples=["shoal push registry.example.com/web:1.2", "shoal push -a localhost:5000/web"])
@click.option("-a", "--all-tags", is_flag=True, help="All tags of the repository")
@click.option("-q", "--quiet", is_flag=True, help="Do not show progress")
@name("NAME[:TAG]", "image")
@click.pass_obj
def push(session: Session, all_tags: bool, quiet: bool, image: str) -> None:
    repository, tag = _chosen(image, all_tags=all_tags, quiet=quiet)
    path = image_path(repository, "push")
    with session.client.stream("POST", path, query={"tag": tag or None}, headers=image_headers(repository)) as response:
        show_transfer(response.documents(), quiet=quiet)
    if quiet:
        print(f"{repository}:{tag}" if tag else repository)


@command(usage="TERM", examples=["shoal search nginx", "shoal search --limit 5 -f is-official=true python"])
@filter_option("is-official=true, stars=3")
@list_format_option
@click.option("--limit", type=int, help="At most so many (default 25)")
@no_trunc_option
@name("TERM", "term")
@click.pass_obj
def search(
    session: Session, filters: dict[str, list[str]], form: str, limit: int | None, no_trunc: bool, term: str
) -> None:
    query = {"term": term, "limit": limit, "filters": filters_query(filters)}
    with session.client.stream("GET", "/images/search", query=query, headers=image_headers(term)) as response:
        found = response.json()
    found.sort(key=lambda row: -row["star_count"])
    print_list(found, _columns(not no_trunc), ["Name", "Description", "StarCount", "IsOfficial"], form=form)


def _columns(trunc: bool) -> Columns:
    return {
        "Name": ("NAME", lambda r: r["name"]),
        "Description": ("DESCRIPTION", lambda r: _line(r["description"], trunc)),
        "StarCount": ("STARS", lambda r: str(r["star_count"])),
        "IsOfficial": ("OFFICIAL", lambda r: "[OK]" if r["is_official"] else ""),
    }


def _line(text: str, trunc: bool) -> str:
    line = " ".join(text.split())
    return ellipsis(line, 45) if trunc else line
