"""What this machine is: the facts behind GET /info and /version."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from common.errors import Unavailable
from common.settings import Settings
from worker.runtime import apparmor
from worker.runtime.cgroups import Hierarchies, hierarchies, read
from worker.runtime.init import init_path

_WARNED = {"MemoryLimit": "memory limit", "SwapLimit": "swap limit", "CpuCfsQuota": "cpu cfs quota"}
_WARNED |= {"CPUShares": "cpu shares", "CPUSet": "cpuset", "PidsLimit": "pids limit"}
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}


def architecture() -> str:
    """The machine's architecture in OCI's words: amd64, arm64, …"""
    machine = platform.machine()
    return _ARCHITECTURES.get(machine, machine)


def memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def hostname() -> str:
    return platform.node()


@cache
def operating_system() -> str:
    """PRETTY_NAME of os-release, "Linux" where there is none."""
    for line in _lines("/etc/os-release"):
        key, _, text = line.partition("=")
        if key == "PRETTY_NAME":
            return text.strip().strip('"')
    return "Linux"


def tool_versions(settings: Settings) -> dict[str, str]:
    """The first line of `--version` of the programs that the engine stands on."""
    return {Path(program).name: _version_of(program) for program in (settings.runtime, settings.conmon)}


@cache
def _version_of(program: str) -> str:
    done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=5, check=False)
    first = (done.stdout or done.stderr).splitlines()[:1]
    return first[0].split()[-1] if first and first[0].split() else "unknown"


def info(settings: Settings, node_id: str) -> dict[str, Any]:
    """The part of GET /info that only the machine and the settings decide. Runs programs: not for the event loop."""
    limits = limits_of(hierarchies())
    tools = [f"{name} {version}" for name, version in tool_versions(settings).items()]
    return {
        "ID": node_id,
        "Driver": "overlay2",
        "DriverStatus": [["Backing Filesystem", _file_system(settings.root)]],
        "Plugins": {
            "Volume": ["local"],
            "Network": ["bridge", "host", "none", "overlay"],
            "Authorization": None,
            "Log": ["json-file", "local", "none"],
        },
        **limits,
        "IPv4Forwarding": True,
        "BridgeNfIptables": False,
        "BridgeNfIp6tables": False,
        "Debug": settings.log_level == "debug",
        "OomKillDisable": hierarchies().version == 1,
        "NFd": len(os.listdir("/proc/self/fd")),
        "NGoroutines": 1,
        "LoggingDriver": settings.log_driver,
        "CgroupDriver": "cgroupfs",
        "CgroupVersion": str(hierarchies().version),
        "KernelVersion": platform.release(),
        "OperatingSystem": operating_system(),
        "OSVersion": "",
        "OSType": "linux",
        "Architecture": platform.machine(),
        "IndexServerAddress": "https://index.docker.io/v1/",
        "RegistryConfig": _registries(settings),
        "NCPU": os.cpu_count() or 1,
        "MemTotal": memory_bytes(),
        "GenericResources": None,
        "DockerRootDir": str(settings.root),
        "HttpProxy": "",
        "HttpsProxy": "",
        "NoProxy": "",
        "Name": hostname(),
        "Labels": settings.labels,
        "ExperimentalBuild": False,
        "Runtimes": {_runtime_name(settings): {"path": shutil.which(settings.runtime) or settings.runtime}},
        "DefaultRuntime": _runtime_name(settings),
        "LiveRestoreEnabled": True,
        "Isolation": "",
        "InitBinary": _init(),
        "ContainerdCommit": {"ID": tools[1]},
        "RuncCommit": {"ID": tools[0]},
        "InitCommit": {"ID": _init()},
        "SecurityOptions": _security_options(),
        "CDISpecDirs": [],
        "Warnings": [f"WARNING: No {what} support" for fact, what in _WARNED.items() if not limits[fact]],
    }


def limits_of(where: Hierarchies) -> dict[str, bool]:
    """Which limits the machine's control groups can keep, in the words of GET /info."""
    if where.version == 2:
        controllers = set(read(where.v2 / "cgroup.controllers").split()) if where.v2 else set()
        swap = "memory" in controllers
    else:
        controllers = set(where.v1)
        swap = "memory" in controllers and (where.v1["memory"] / "memory.memsw.limit_in_bytes").exists()
    cpu = "cpu" in controllers
    return {
        "MemoryLimit": "memory" in controllers,
        "SwapLimit": swap,
        "KernelMemoryTCP": False,
        "CpuCfsPeriod": cpu,
        "CpuCfsQuota": cpu,
        "CPUShares": cpu,
        "CPUSet": "cpuset" in controllers,
        "PidsLimit": "pids" in controllers,
    }


def _init() -> str:
    """The program behind `--init`, empty where none is installed."""
    try:
        return init_path().name
    except Unavailable:
        return ""


def _runtime_name(settings: Settings) -> str:
    return Path(settings.runtime).name


def _security_options() -> list[str]:
    options = ["name=seccomp,profile=builtin"]
    if apparmor.supported():
        options.insert(0, "name=apparmor")
    return [*options, "name=cgroupns"]


def _registries(settings: Settings) -> dict[str, Any]:
    indexes = {
        name: {"Name": name, "Mirrors": [], "Secure": False, "Official": False} for name in settings.insecure_registries
    }
    indexes["docker.io"] = {"Name": "docker.io", "Mirrors": [], "Secure": True, "Official": True}
    return {"InsecureRegistryCIDRs": ["::1/128", "127.0.0.0/8"], "IndexConfigs": indexes, "Mirrors": None}


def _file_system(path: Path) -> str:
    """The type of the file system that holds `path`: the longest mount point above it."""
    found, length = "unknown", -1
    for line in _lines("/proc/self/mountinfo"):
        fields = line.split()
        point, kind = fields[4], fields[fields.index("-") + 1]
        if path.is_relative_to(point) and len(point) > length:
            found, length = kind, len(point)
    return found


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
