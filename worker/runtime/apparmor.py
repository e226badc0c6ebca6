"""AppArmor: whether the machine has it, which profiles the kernel knows, and the default profile, loaded where it is missing.

The default profile bears Docker's name and forbids what Docker's does: mounting, writing to /proc and /sys outside of a
container's own control group, reading what tells of the kernel, and signals and ptrace across the container's border.
"""

from __future__ import annotations

import asyncio
import shutil
from functools import cache
from pathlib import Path

from common.errors import InvalidArgument, ShoalError

DEFAULT = "docker-default"
UNCONFINED = "unconfined"
_PROFILES = Path("/sys/kernel/security/apparmor/profiles")
_PROFILE = f"""profile {DEFAULT} flags=(attach_disconnected,mediate_deleted) {{
  capability,
  file,
  network,
  umount,
  deny mount,

  signal (receive) peer={UNCONFINED},
  signal (send, receive) peer={DEFAULT},
  ptrace (read, readby, trace, tracedby) peer={DEFAULT},

  # Of /proc only processes' own folders and what belongs to the container's namespaces can be written.
  deny /proc/* w,
  deny /proc/{{[^1-9],[^1-9][^0-9],[^1-9s][^0-9y][^0-9s],[^1-9][^0-9][^0-9][^0-9/]*}}/** w,
  deny /proc/sys/[^k]** w,
  deny /proc/sys/kernel/{{?,??,[^s][^h][^m]**}} w,
  deny /proc/{{kcore,kmem,mem,sysrq-trigger}} rwklx,

  # Of /sys only the container's control group.
  deny /sys/[^f]*/** wklx,
  deny /sys/f[^s]*/** wklx,
  deny /sys/fs/[^c]*/** wklx,
  deny /sys/fs/c[^g]*/** wklx,
  deny /sys/fs/cg[^r]*/** wklx,
  deny /sys/{{firmware,devices/virtual/powercap,kernel/security}}/** rwklx,
}}
"""


@cache
def supported() -> bool:
    """Whether the kernel enforces profiles and the program that loads them is installed."""
    return _PROFILES.exists() and shutil.which("apparmor_parser") is not None


def loaded() -> set[str]:
    """The names of the kernel's profiles: "name (mode)" in each line."""
    try:
        return {line.rpartition(" (")[0] for line in _PROFILES.read_text().splitlines()}
    except OSError:
        return set()


async def require(profile: str) -> None:
    """Make sure that a container can be confined so. Raises InvalidArgument where the kernel has no such profile.

    Only the default one is loaded here; ShoalError where that fails, since an unconfined container is not what was asked for.
    """
    if profile == UNCONFINED or profile in loaded():
        return
    if profile != DEFAULT:
        raise InvalidArgument(
            f"the AppArmor profile {profile!r} is not loaded on this machine: load it by apparmor_parser"
        )
    process = await asyncio.create_subprocess_exec(
        "apparmor_parser", "--replace", "--skip-cache",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, complaint = await process.communicate(_PROFILE.encode())
    if process.returncode:
        reason = complaint.decode(errors="replace").strip()
        raise ShoalError(f"the AppArmor profile {DEFAULT!r} could not be loaded: {reason}")
