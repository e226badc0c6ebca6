"""The options of the local driver: what a volume mounts when it is used (type, device, o), checked at its creation."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path

from common.errors import InvalidArgument, ShoalError, Unsupported

_NEEDS = {"device": ("type",), "type": ("device",), "o": ("device", "type")}
_TYPE = re.compile(r"[a-z0-9][a-z0-9_.-]*")


def check_options(options: Mapping[str, str]) -> dict[str, str]:
    """The options as they are kept. Raises InvalidArgument with Docker's sentences; what is not known is refused."""
    if "size" in options:
        raise Unsupported(
            "the volume option 'size' needs project quotas, which are not supported: use type=tmpfs with o=size=…"
        )
    for name, value in options.items():
        if name not in _NEEDS:
            raise InvalidArgument(f'invalid option: "{name}"')
        for other in _NEEDS[name]:
            if not options.get(other):
                raise InvalidArgument(f'missing required option: "{other}"')
        if "\0" in value:
            raise InvalidArgument(f"the volume option {name!r} contains a zero byte")
    if options and not _TYPE.fullmatch(options["type"]):
        raise InvalidArgument(f"invalid volume type {options['type']!r}")
    return dict(options)


def mount_command(options: Mapping[str, str]) -> list[str]:
    """mount(8) without its target. It wants NFS's server before the path, where Docker has it in `addr=`."""
    device, words = options["device"], [word for word in options.get("o", "").split(",") if word]
    if options["type"] in ("nfs", "nfs4") and device.startswith(":"):
        server = next((word.removeprefix("addr=") for word in words if word.startswith("addr=")), "")
        device = (f"[{server}]" if ":" in server else server) + device
        words = [word for word in words if not word.startswith("addr=")]
    return ["mount", "-t", options["type"], *(["-o", ",".join(words)] if words else []), "--", device]


async def mount_volume(options: Mapping[str, str], target: Path) -> None:
    """Mount what the options say at `target`; mount(8) knows every file system's own words. Raises ShoalError with its reason."""
    process = await asyncio.create_subprocess_exec(
        *mount_command(options), str(target),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, complaint = await process.communicate()
    if process.returncode:
        reason = complaint.decode(errors="replace").partition("\n")[0] or f"mount ended with {process.returncode}"
        raise ShoalError(f"failed to mount local volume: {reason}")
