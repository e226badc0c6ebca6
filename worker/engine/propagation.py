"""Whether the host's mount below a bind lets mounts through, as a bind's propagation asks of it. Nothing else would tell."""

from __future__ import annotations

import os
from pathlib import Path

from common.errors import InvalidArgument
from worker.engine.record import MountPoint

_NEEDS = {
    "shared": ("shared:",),
    "slave": ("shared:", "master:"),
}  # optional fields of mountinfo, one of which is needed


def check_propagation(point: MountPoint) -> None:
    """Raises InvalidArgument, in Docker's words, where nothing could ever propagate."""
    needed = _NEEDS.get(point.propagation.removeprefix("r"))
    if needed is None:
        return
    mount, fields = mount_of(os.path.realpath(point.source), Path("/proc/self/mountinfo").read_text())
    if not any(field.startswith(needed) for field in fields):
        kind = "shared mount" if len(needed) == 1 else "shared or slave mount"
        raise InvalidArgument(f"path {point.source} is mounted on {mount} but it is not a {kind}")


def mount_of(path: str, mountinfo: str) -> tuple[str, list[str]]:
    """The mount point that `path` lies on, and its optional fields. Of several at one place the last lies on top."""
    found: tuple[str, list[str]] = ("/", [])
    for line in mountinfo.splitlines():
        fields = line.split(" ")
        place = fields[4].encode().decode("unicode_escape")
        inside = path == place or path.startswith(place.rstrip("/") + "/")
        if inside and len(place) >= len(found[0]):
            found = (place, fields[6 : fields.index("-")])
    return found
