"""Kernel parameters of a container: only those that belong to a namespace the container has of its own."""

from __future__ import annotations

from common.errors import InvalidArgument
from common.model.container import HostConfig
from worker.engine.namespaces import joined

_IPC = (
    "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax", "kernel.shmmni",
    "kernel.shm_rmid_forced",
)  # fmt: skip
_UTS = ("kernel.domainname",)


def check_sysctls(host: HostConfig) -> None:
    """Raises InvalidArgument for a parameter of the whole machine, or of a namespace that is shared."""
    for name in host.sysctls:
        plain = name.replace("/", ".")
        if plain.startswith("net."):
            _refuse_shared(name, "network", host.network_mode)
        elif plain in _IPC or plain.startswith("fs.mqueue."):
            _refuse_shared(name, "IPC", host.ipc_mode)
        elif plain in _UTS:
            _refuse_shared(name, "UTS", host.uts_mode)
        else:
            raise InvalidArgument(
                f"sysctl '{name}' is not allowed: it is not namespaced, so it would change the whole machine"
            )


def _refuse_shared(name: str, kind: str, mode: str) -> None:
    if mode == "host" or joined(mode):
        raise InvalidArgument(
            f"sysctl '{name}' is not allowed in the {kind} namespace of {mode}: it is not the container's own"
        )
