"""The arguments of `cp`, and where a copy lands. Docker's rules, which are those of `cp -a`:

source     target does not exist      target is a file   target is a folder
file       becomes it (not for "t/")  replaced           placed in it
folder     becomes it                 refused            placed in it; its content only for "folder/."
"""

from __future__ import annotations

import os
from typing import NamedTuple

from cli.errors import CliError


class Place(NamedTuple):
    """An argument of `cp`: a path in a container, on this machine (`container` ""), or "-" for a stream."""

    container: str
    path: str

    @property
    def is_stream(self) -> bool:
        return not self.container and self.path == "-"


class Kind(NamedTuple):
    """What is at a path."""

    exists: bool
    folder: bool = False


class Landing(NamedTuple):
    """Where the copy goes: into `folder`, under `name`; "" spreads the source's content there."""

    folder: str
    name: str


def parse_place(text: str) -> Place:
    """ "web:/etc" is in a container; "./a:b", "/a:b" and names without a colon are here."""
    if text == "-" or text.startswith(("/", ".")) or ":" not in text:
        return Place("", text)
    container, _, path = text.partition(":")
    return Place(container, path if path.startswith("/") else f"/{path}")


def only_content(path: str) -> bool:
    """True for "folder/." and ".": what is in it, not itself."""
    return path == "." or path.endswith("/.")


def landing(source: str, is_folder: bool, target: str, there: Kind) -> Landing:
    """Raises CliError where the rules refuse the copy."""
    clean = os.path.normpath(target)
    if there.exists and there.folder:
        return Landing(clean, "" if is_folder and only_content(source) else base_name(source))
    if there.exists and is_folder:
        raise CliError(f"cannot copy a folder over the file {target}")
    if not is_folder and target.endswith("/"):
        raise CliError(f"the folder {target} does not exist" if not there.exists else f"{target} is not a folder")
    return Landing(os.path.dirname(clean) or ".", os.path.basename(clean))


def base_name(path: str) -> str:
    """The name that a source has in its target: "/a/b/" → "b"; that of the folder meant by "." and ".."."""
    name = os.path.basename(os.path.normpath(path))
    return name if name not in (".", "..", "") else os.path.basename(os.path.abspath(path))
