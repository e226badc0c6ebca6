"""Memory (PSS) of the daemons: idle, and what each container adds beside its own processes."""

from __future__ import annotations

import time
from pathlib import Path

from bench.figure import Figure
from bench.peers import IMAGE, Peer, docker, shoal

CONTAINERS = 50
SETTLED = 0.02  # a figure that changes less than this share in a second has settled


def main() -> list[Figure]:
    with shoal() as (ours, _), docker() as theirs:
        idle, each = measure(ours)
        if theirs is None:
            return [
                Figure(name="idle_pss_mb", value=idle, unit="MB"),
                Figure(name="per_container_mb", value=each, unit="MB"),
            ]
        theirs.swarm()
        their_idle, their_each = measure(theirs)
        return [
            Figure(name="idle_pss_mb", value=idle, unit="MB", peer="docker", peer_value=their_idle),
            Figure(name="per_container_mb", value=each, unit="MB", peer="docker", peer_value=their_each),
        ]


def measure(peer: Peer) -> tuple[float, float]:
    """(MB idle, MB that one running container adds to daemons and monitors)."""
    idle = settled(peer)
    ids = [start(peer) for _ in range(CONTAINERS)]
    loaded = settled(peer)
    for id in ids:
        peer.client.delete(f"/containers/{id}?force=1")
    return idle, (loaded - idle) / CONTAINERS


def start(peer: Peer) -> str:
    id: str = peer.client.post("/containers/create", {"Image": IMAGE, "Cmd": ["sleep", "100000"]})["Id"]
    peer.client.post(f"/containers/{id}/start")
    return id


def settled(peer: Peer) -> float:
    before = total(peer)
    while True:
        time.sleep(1)
        now = total(peer)
        if abs(now - before) < SETTLED * before:
            return now
        before = now


def total(peer: Peer) -> float:
    """PSS in MB of the daemon, its children and its containers' monitors; not of the containers' own processes."""
    mine = [pid for pid in _pids() if _belongs(pid, peer) and not _contained(pid)]
    return sum(map(_pss, mine)) / 1e6


def _pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _belongs(pid: int, peer: Peer) -> bool:
    """Daemons and monitors carry the peer's folder in their command line; other children are found by their ancestors."""
    folder = str(peer.socket.parent.parent if peer.name == "shoal" else peer.socket.parent)
    seen: set[int] = set()
    while pid > 1 and pid not in seen:
        seen.add(pid)
        if pid == peer.main_pid or folder in _read(pid, "cmdline"):
            return True
        pid = _parent(pid)
    return False


def _contained(pid: int) -> bool:
    """A container's own process: it has another pid namespace than this one."""
    try:
        return Path(f"/proc/{pid}/ns/pid").readlink() != Path("/proc/self/ns/pid").readlink()
    except OSError:
        return True


def _parent(pid: int) -> int:
    stat = _read(pid, "stat")
    return int(stat.rpartition(")")[2].split()[1]) if stat else 0


def _pss(pid: int) -> int:
    """Bytes."""
    lines = _read(pid, "smaps_rollup").splitlines()
    return next((int(text.split()[1]) * 1024 for text in lines if text.startswith("Pss:")), 0)


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text(errors="replace")
    except OSError:
        return ""
