"""The project's tree as a small read-only disk, made at every start: machines run what the working tree has now."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from examples.lab.processes import run
from examples.lab.vms.image import GUEST, PROJECT

_PACKAGES = ("shoal", "cli", "common", "manager", "worker")
_SIZE = "32M"


def pack(disk: Path, hosts: str) -> None:
    """Write the disk; `hosts` are lines for /etc/hosts.

    Modules are compiled here, as the machines' processors are slow (in vain where the Pythons differ).
    """
    with tempfile.TemporaryDirectory(prefix="shoal-tree-") as folder:
        tree = Path(folder)
        for package in _PACKAGES:
            shutil.copytree(PROJECT / package, tree / package)
        shutil.copytree(GUEST, tree / "guest")
        (tree / "guest/hosts").write_text(hosts)
        run(sys.executable, "-m", "compileall", "-q", str(tree))
        tree.chmod(0o755)
        disk.unlink(missing_ok=True)
        run(
            "mke2fs",
            "-q",
            "-t",
            "ext4",
            "-O",
            "^has_journal",
            "-E",
            "root_owner=0:0",
            "-d",
            str(tree),
            str(disk),
            _SIZE,
        )
