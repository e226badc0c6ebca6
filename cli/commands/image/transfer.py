"""`shoal load`, `shoal save` and `shoal import`: images as tar archives."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

import click

from cli.api.urls import image as image_path
from cli.flags.command import command
from cli.flags.shared import name, names
from cli.parse.references import split_reference
from cli.session import Session
from cli.show.files import open_input, pieces, save_stream
from cli.show.progress import Bar, show_messages


@command(examples=["shoal load -i web.tar", "gzip -dc web.tar.gz | shoal load"])
@click.option("-i", "--input", "source", default="", metavar="FILE", help="Read from a file instead of standard input")
@click.option("-q", "--quiet", is_flag=True, help="Do not show progress")
@click.pass_obj
def load(session: Session, source: str, quiet: bool) -> None:
    with open_input(source, "load") as file:
        body = _sent(file, "Loading", quiet)
        with session.client.stream(
            "POST", "/images/load", query={"quiet": quiet}, body=body, kind="application/x-tar"
        ) as response:
            show_messages(response.documents(), quiet=quiet)


@command(usage="IMAGE [IMAGE...]", examples=["shoal save -o web.tar web:1.2", "shoal save web | gzip > web.tar.gz"])
@click.option("-o", "--output", default="", metavar="FILE", help="Write to a file instead of standard output")
@names("IMAGE")
@click.pass_obj
def save(session: Session, output: str, names: tuple[str, ...]) -> None:
    if len(names) == 1:
        save_stream(lambda: session.client.stream("GET", image_path(names[0], "get")), output)
    else:
        save_stream(lambda: session.client.stream("GET", "/images/get", query={"names": list(names)}), output)


@command(
    usage="FILE|- [REPOSITORY[:TAG]]", examples=["shoal import rootfs.tar base:1", "tar c . | shoal import - base"]
)
@click.option("-c", "--change", "changes", multiple=True, help="Dockerfile instruction to apply to the image")
@click.option("-m", "--message", help="Comment of the layer")
@click.option("--platform", help="Platform of the image, as linux/amd64")
@name("FILE|-", "source")
@click.argument("reference", required=False, default="")
@click.pass_obj
def import_(
    session: Session, changes: tuple[str, ...], message: str | None, platform: str | None, source: str, reference: str
) -> None:
    repository, tag = split_reference(reference)
    query = {
        "fromSrc": "-",
        "repo": repository or None,
        "tag": tag or None,
        "message": message,
        "changes": changes,
        "platform": platform,
    }
    with open_input(source, "import") as file:
        body = _sent(file, "Importing", quiet=False)
        with session.client.stream(
            "POST", "/images/create", query=query, body=body, kind="application/x-tar"
        ) as response:
            show_messages(response.documents())


def _sent(file: BinaryIO, verb: str, quiet: bool) -> Iterator[bytes]:
    """The file's bytes, with a progress bar beside where a terminal shows it."""
    total = os.fstat(file.fileno()).st_size
    with Bar(verb, total, quiet=quiet) as bar:
        for piece in pieces(file):
            bar.advance(len(piece))
            yield piece
