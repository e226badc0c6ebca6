"""How a child process sees a container's root: running ones through /proc/<pid>/root, others with their volumes bound.

The binds live in a mount namespace of this process alone, so that nothing is left when it ends, however it ends.
"""

from __future__ import annotations

import os
import stat
from typing import Any

from worker.images.syscalls import (
    CLONE_NEWNS,
    MS_BIND,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
    mount,
    open_in_root,
    unshare,
)

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def enter(job: dict[str, Any]) -> int:
    """A descriptor of job["root"]. job["binds"] (source, inside, target, read_only) and job["read_only"] hold for this process."""
    root, binds = job["root"], job.get("binds") or []
    if not binds and not job.get("read_only"):
        return os.open(root, _FOLDER)
    unshare(CLONE_NEWNS)
    mount("", "/", flags=MS_REC | MS_PRIVATE)
    mount(root, root, flags=MS_BIND)
    top = os.open(root, _FOLDER)
    for bind in sorted(binds, key=lambda bind: str(bind["target"]).count("/")):
        _bind(top, bind)
    if job.get("read_only"):
        mount("", root, flags=MS_BIND | MS_REMOUNT | MS_RDONLY)
    return top


def _bind(root: int, bind: dict[str, Any]) -> None:
    try:
        source = _open_source(bind)
    except FileNotFoundError:
        return  # a bind whose source is gone fails at the container's start, not here
    folder = stat.S_ISDIR(os.fstat(source).st_mode)
    target = _make_target(root, bind["target"].strip("/"), folder=folder)
    mount(f"/proc/self/fd/{source}", f"/proc/self/fd/{target}", flags=MS_BIND | MS_REC)
    os.close(target)
    os.close(source)
    if bind.get("read_only"):
        _make_read_only(root, bind["target"])


def _open_source(bind: dict[str, Any]) -> int:
    """A volume's part is resolved inside of the volume: what a container wrote there leads nowhere else."""
    source = os.open(bind["source"], os.O_PATH | os.O_CLOEXEC)
    if not bind.get("inside"):
        return source
    try:
        return open_in_root(source, bind["inside"], os.O_PATH)
    finally:
        os.close(source)


def _make_read_only(root: int, target: str) -> None:
    mounted = open_in_root(root, target, os.O_PATH)
    try:
        mount("", f"/proc/self/fd/{mounted}", flags=MS_BIND | MS_REMOUNT | MS_RDONLY)
    finally:
        os.close(mounted)


def _make_target(root: int, path: str, *, folder: bool) -> int:
    """The mount point, made where the image has none, as the container's start would make it."""
    try:
        return open_in_root(root, path, os.O_PATH)
    except FileNotFoundError:
        pass
    head, _, base = path.rpartition("/")
    parent = _make_target(root, head or ".", folder=True)
    try:
        if folder:
            os.mkdir(base, 0o755, dir_fd=parent)
        else:
            os.close(os.open(base, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o644, dir_fd=parent))
    finally:
        os.close(parent)
    return open_in_root(root, path, os.O_PATH)
