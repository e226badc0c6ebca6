"""What a host may hold of containers, looked at from inside, before and after; and what its daemons complain of."""

from __future__ import annotations

from examples.lab.host import Host

_LOOK = r"""
cut -d' ' -f5 /proc/self/mountinfo | sed 's/^/mount /'
ls /sys/class/net | sed 's/^/link /'
nft list ruleset | grep -v -e counter -e 'type .* hook' | sed 's/^[[:space:]]*/nft /'
for folder in containers bundles netns layers/work; do ls /var/lib/shoal/$folder /run/shoal/$folder 2>/dev/null | sed "s/^/$folder /"; done
for one in /proc/[0-9]*; do tr '\0' ' ' <$one/cmdline 2>/dev/null | grep -o -e '^[^ ]*conmon' -e '^sleep 100000' | sed 's/^/process /'; done
"""


def look(host: Host) -> set[str]:
    """One line for each mount, link, rule, folder and process of containers in a host."""
    return {line for line in host.run("sh", "-c", _LOOK).splitlines() if not line.endswith(":") and line.strip("nft }")}


def containers(host: Host) -> set[str]:
    """Ids of all containers that its daemon knows."""
    return set(host.docker("ps", "--all", "--quiet", "--no-trunc").split())


def complaints(host: Host) -> list[str]:
    """Errors and uncaught exceptions that its daemons tell of, but for those that are a fault's own: kills and full disks."""
    lines = host.log.read_text(errors="replace").splitlines()
    found = [
        line for line in lines if "Traceback" in line or '"level": "error"' in line or '"level": "critical"' in line
    ]
    killed = [line for line in found if "the manager ended" in line and '"code": -9' in line]
    return [line for line in found if line not in killed and "No space left on device" not in line]
