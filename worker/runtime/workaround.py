"""The one place that knows crun's trouble with hybrid cgroups.

crun 1.8 takes a hybrid hierarchy (v1 controllers, v2 mounted at "unified") for a mistake when any controller is left on
the v2 side. The cure is a wrapper that hides the v2 side's list of controllers in a private mount namespace: it has no
effect outside of that crun process. Hosts with pure v1 or v2 never see it.
"""

from __future__ import annotations

import shlex
from pathlib import Path

_CONTROLLERS = Path("/sys/fs/cgroup/unified/cgroup.controllers")


def needed() -> bool:
    """Whether this machine's cgroups are hybrid with a controller on the v2 side."""
    try:
        return bool(_CONTROLLERS.read_text().strip())
    except OSError:
        return False


def wrap(binary: Path, state: Path) -> Path:
    """Write the wrapper for `binary` below `state`; return its path."""
    script = state / "crun-hybrid"
    inner = f'mount --bind /dev/null {_CONTROLLERS} && exec {shlex.quote(str(binary))} "$@"'
    text = f'#!/bin/sh\nexec unshare --mount --propagation slave sh -c {shlex.quote(inner)} crun "$@"\n'
    temporary = script.with_suffix(".new")
    temporary.write_text(text)
    temporary.chmod(0o755)
    temporary.rename(script)
    return script
