"""Streams to and from files: archives written aside and renamed, archives read in pieces."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import BinaryIO

from cli.api.response import Response
from cli.errors import CliError

PIECE = 256 * 1024


def save_stream(fetch: Callable[[], Response], output: str) -> None:
    """Write an answer's body to the file `output`, or to standard output; a file appears only once it is complete."""
    if not output:
        if sys.stdout.isatty():
            raise CliError("cowardly refusing to save to a terminal. Use the -o flag or redirect")
        with fetch() as response:
            _copy(response.chunks(), sys.stdout.buffer)
        return
    if os.path.isdir(output) or not os.path.isdir(os.path.dirname(output) or "."):
        raise CliError(f"invalid output path {output!r}: the name of a file in an existing folder is needed")
    if os.path.exists(output) and not os.path.isfile(output):
        with fetch() as response, open(output, "wb") as file:
            _copy(response.chunks(), file)
        return
    _save_aside(fetch, output)


def _save_aside(fetch: Callable[[], Response], output: str) -> None:
    aside = f"{output}.{os.getpid()}.part"
    try:
        with fetch() as response, open(aside, "wb") as file:
            _copy(response.chunks(), file)
        os.replace(aside, output)
    except OSError as error:
        raise CliError(f"cannot write {output}: {error.strerror or error}") from None
    finally:
        with suppress(FileNotFoundError):
            os.unlink(aside)


def pieces(file: BinaryIO) -> Iterator[bytes]:
    """The rest of a file, piece by piece."""
    return iter(lambda: file.read(PIECE), b"")


def open_input(path: str, what: str) -> BinaryIO:
    """The file `path`, or standard input for "" and "-" where that is no terminal."""
    if path in ("", "-"):
        if sys.stdin.isatty():
            raise CliError(f"requested {what} from a terminal: name a file, or redirect one")
        return sys.stdin.buffer
    try:
        return open(path, "rb")
    except OSError as error:
        raise CliError(f"cannot open {path}: {error.strerror or error}") from None


def _copy(chunks: Iterator[bytes], file: BinaryIO) -> None:
    for chunk in chunks:
        file.write(chunk)
    file.flush()
