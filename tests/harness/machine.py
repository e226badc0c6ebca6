"""What a daemon may leave behind on a machine: one snapshot to compare before and after."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path


def run(*command: str, check: bool = True, timeout: float = 120, stdin: str | None = None) -> str:
    """Run a command; its standard output. AssertionError with its errors where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, input=stdin, check=False)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(command)} → {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


@dataclass(frozen=True)
class Snapshot:
    """Everything below a daemon's folders and in its network namespace that should come and go with containers."""

    mounts: frozenset[str]
    links: frozenset[str]
    nft: str
    cgroups: frozenset[str]
    processes: frozenset[str]
    folders: frozenset[str]

    def differences(self, later: Snapshot) -> list[str]:
        """One line for each thing that came or went."""
        found = []
        for name in ("mounts", "links", "cgroups", "processes", "folders"):
            before, after = getattr(self, name), getattr(later, name)
            found += [f"{name}: new {item}" for item in sorted(after - before)]
            found += [f"{name}: gone {item}" for item in sorted(before - after)]
        if self.nft != later.nft:
            found.append(f"nft:\n--- before\n{self.nft}\n--- after\n{later.nft}")
        return found


def snapshot(folders: list[Path], netns: str, cgroup: str) -> Snapshot:
    """Look at mounts below `folders`, links and nftables in `netns`, cgroups named `cgroup`, processes that use the folders."""
    names = [str(folder) for folder in folders]
    return Snapshot(
        mounts=frozenset(point for point in mount_points() if point.startswith(tuple(names))),
        links=frozenset(_links(netns)),
        nft=_ruleset(netns),
        cgroups=frozenset(str(p) for root in _cgroup_roots() for p in _below(root / cgroup.lstrip("/"))),
        processes=frozenset(_processes(names)),
        folders=frozenset(
            str(p)
            for n in names
            for sub in ("containers", "netns", "layers", "bundles")
            for p in _children(Path(n) / sub)
        ),
    )


def mount_points() -> list[str]:
    return [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]


def _links(netns: str) -> list[str]:
    return [line.split()[1].split("@")[0].rstrip(":") for line in run("ip", "-n", netns, "-o", "link").splitlines()]


def _ruleset(netns: str) -> str:
    """Table by table, whatever order they were made in."""
    text = run("nsenter", f"--net=/run/netns/{netns}", "nft", "list", "ruleset")
    tables = "\n".join(line for line in text.splitlines() if "counter" not in line).split("\ntable ")
    return "\ntable ".join(sorted(table.removeprefix("table ") for table in tables))


def _cgroup_roots() -> list[Path]:
    return [p for p in Path("/sys/fs/cgroup").iterdir() if p.is_dir() and not p.is_symlink()]


def _below(path: Path) -> list[Path]:
    """Folders that go while this looks are no error."""
    return [Path(folder) / name for folder, names, _ in os.walk(path) for name in names]


def _children(path: Path) -> list[Path]:
    try:
        return list(path.iterdir())
    except FileNotFoundError:
        return []


def _processes(names: list[str]) -> list[str]:
    """Monitors and runtimes whose command line names one of the folders; the daemons themselves do not count."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if any(n in w for n in names for w in words) and Path(words[0]).name in ("conmon", "crun", "runc"):
            found.append(f"{entry.name} {' '.join(words)[:200]}")
    return found
