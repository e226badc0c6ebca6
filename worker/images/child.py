"""The child process that does file work for the daemon: `python -m worker.images.child '<job as JSON>'`.

Answers with one JSON line on standard output: {"ok": …} or {"error": code, "message": …}; the jobs "get" and "export"
go on with a tar. A hostile archive can at worst make this process end; it dies with the daemon.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from common.errors import InvalidArgument, ShoalError
from worker.images import containerpath, members
from worker.images.applier import Options
from worker.images.compression import decompress
from worker.images.layerwork import apply_stream, first_bytes, follow, make_layer, read_chunks, read_layer
from worker.images.packer import Packer, pack
from worker.images.rootview import enter
from worker.images.syscalls import die_with_parent
from worker.images.tarread import Source

Job = dict[str, Any]
_STDIN, _STDOUT = 0, 1


def _layer(job: Job) -> Any:
    options = Options(max_bytes=job["max_bytes"])
    return make_layer(read_chunks(_STDIN), Path(job["folder"]), Path(job["blob"]), options)._asdict()


def _pulled(job: Job) -> Any:
    options = Options(max_bytes=job["max_bytes"])
    return read_layer(follow(Path(job["blob"]), _STDIN), Path(job["folder"]), options)._asdict()


def _commit(job: Job) -> Any:
    chunks = pack(Packer(whiteouts=True).tree(_open_folder(job["upper"]), ""))
    return make_layer(chunks, Path(job["folder"]), Path(job["blob"]), Options())._asdict()


def _members(job: Job) -> Any:
    return members.split(read_chunks(_STDIN), Path(job["folder"]), job["max_bytes"])


def _copy(job: Job) -> Any:
    """A folder's content into another, empty one, with the folder's own owner and mode."""
    chunks = pack(Packer().tree(_open_folder(job["path"]), "."))
    apply_stream(chunks, Path(job["folder"]), Options(whiteouts=False), new=False)
    return None


def _stat(job: Job) -> Any:
    return containerpath.describe(enter(job), job["path"])


def _put(job: Job) -> Any:
    options = Options(whiteouts=False, owner=_owner(job), keep_kind=job["keep_kind"])
    root = enter(job)
    chunks = read_chunks(_STDIN)
    containerpath.put(root, job["path"], Source(decompress(first_bytes(chunks), chunks)), options)
    return None


def _owner(job: Job) -> tuple[int, int] | None:
    return tuple(job["owner"]) if job.get("owner") else None


_JOBS: dict[str, Callable[[Job], Any]] = {
    "layer": _layer,
    "pulled": _pulled,
    "commit": _commit,
    "members": _members,
    "copy": _copy,
    "stat": _stat,
    "put": _put,
}


def _get(job: Job) -> tuple[Any, Iterator[bytes]]:
    root = enter(job)
    return containerpath.describe(root, job["path"]), containerpath.get(root, job["path"])


def _export(job: Job) -> tuple[Any, Iterator[bytes]]:
    return None, pack(Packer().tree(enter(job), ""))


_STREAMS: dict[str, Callable[[Job], tuple[Any, Iterator[bytes]]]] = {"get": _get, "export": _export}


def _open_folder(path: str) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def _run(job: Job) -> None:
    if stream := _STREAMS.get(job["do"]):
        head, chunks = stream(job)
        _say({"ok": head})
        for chunk in chunks:
            _write(chunk)
    else:
        _say({"ok": _JOBS[job["do"]](job)})


def _say(answer: Job) -> None:
    _write(json.dumps(answer).encode() + b"\n")


def _write(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(_STDOUT, view) :]


def _code(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "no_space"
    if error.errno == errno.EROFS:
        return "forbidden"
    return InvalidArgument.code if error.errno in (errno.ELOOP, errno.ENAMETOOLONG) else ShoalError.code


def _sentence(error: OSError) -> str:
    if error.errno == errno.EROFS:
        return (
            f"cannot write {error.filename!r}: the container's root file system, or what is mounted there, is read-only"
        )
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "no space left on the disk: remove what is not needed (shoal system prune)"
    return f"{error.strerror or error}: {error.filename}" if error.filename else str(error)


def _attempt(job: Job) -> int:
    try:
        _run(job)
    except BrokenPipeError:
        raise
    except ShoalError as error:
        _say({"error": error.code, "message": error.message})
    except OSError as error:
        _say({"error": _code(error), "message": _sentence(error)})
    else:
        return 0
    return 1


def main() -> int:
    job = json.loads(sys.argv[1])
    die_with_parent(signal.SIGKILL)
    if os.getppid() != job["parent"]:
        return 1  # the daemon died before the line above took hold
    os.umask(0)
    try:
        return _attempt(job)
    except BrokenPipeError:
        return 1  # the daemon has stopped listening: its client went away


if __name__ == "__main__":
    sys.exit(main())
