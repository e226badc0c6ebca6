"""Compiled seccomp filters, one per distinct profile, kept below the root folder.

Compiling a profile is more than half of what crun needs for a start. A container that is created once from a profile and
never started leaves the filter; every other container gets it by an annotation. Its linux.seccomp then allows nothing, so
that a runtime which ignores the annotation fails closed. Runtimes other than crun get the profile itself.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from common.ids import hex_id
from common.settings import Settings
from worker.runtime.oci import OciRuntime

_ANNOTATION = "run.oci.seccomp_bpf_data"
_DUMMY = "seccomp-"  # how the containers and folders are called that only serve to compile
_CLOSED = {"defaultAction": "SCMP_ACT_ERRNO"}


class Seccomp(NamedTuple):
    """What goes into config.json: linux.seccomp and annotations."""

    linux: dict[str, Any]
    annotations: dict[str, str]


class SeccompCache:
    """Filters by the digest of profile and runtime version."""

    def __init__(self, settings: Settings, runtime: OciRuntime) -> None:
        self._folder = settings.root / "seccomp"
        self._state = settings.state
        self._runtime = runtime
        self._filters: dict[str, str] = {}
        self._compiling = asyncio.Lock()

    async def start_up(self) -> None:
        """Take away what a daemon left that was killed while it compiled."""
        for state in self._runtime.root.glob(f"{_DUMMY}*"):
            await self._runtime.delete(state.name)
        for folder in self._state.glob(f"{_DUMMY}*"):
            shutil.rmtree(folder)

    async def resolve(self, profile: dict[str, Any]) -> Seccomp:
        """The fastest safe form of `profile` (as seccomp.profile() gives it) for this runtime."""
        text = json.dumps(profile, sort_keys=True)
        key = hashlib.sha256(f"{self._runtime.version}\n{text}".encode()).hexdigest()
        data = self._filters.get(key) or await self._load(key, profile)
        if not data:
            return Seccomp(profile, {})
        return Seccomp(_CLOSED, {_ANNOTATION: data})

    async def _load(self, key: str, profile: dict[str, Any]) -> str:
        """The filter in base64, from disk or compiled now; "" where the runtime makes none that could be kept."""
        async with self._compiling:
            if not self._runtime.is_crun or "flags" in profile:
                return ""
            if key not in self._filters:
                self._filters[key] = base64.b64encode(await self._read_or_compile(key, profile)).decode()
            return self._filters[key]

    async def _read_or_compile(self, key: str, profile: dict[str, Any]) -> bytes:
        file = self._folder / f"{key}.bpf"
        try:
            return file.read_bytes()
        except FileNotFoundError:
            data = await self._compile(profile)
            if data:
                _write(file, data)
            return data

    async def _compile(self, profile: dict[str, Any]) -> bytes:
        """Create a container that never starts and take the filter that crun left; b"" where it left none."""
        id = f"{_DUMMY}{hex_id()[:16]}"
        with TemporaryDirectory(dir=self._state, prefix=_DUMMY) as folder:
            bundle = Path(folder)
            for name in ("proc", "dev"):
                (bundle / "rootfs" / name).mkdir(parents=True)
            (bundle / "rootfs" / "none").touch(mode=0o755)
            (bundle / "config.json").write_text(json.dumps(_dummy(profile)))
            try:
                await self._runtime.call("create", "--bundle", folder, id)
                return (self._runtime.root / id / "seccomp.bpf").read_bytes()
            except FileNotFoundError:
                return b""
            finally:
                await asyncio.shield(self._runtime.delete(id))


def _dummy(profile: dict[str, Any]) -> dict[str, Any]:
    return {
        "ociVersion": "1.0.2",
        "process": {"user": {"uid": 0, "gid": 0}, "args": ["/none"], "env": [], "cwd": "/"},
        "root": {"path": "rootfs"},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
        "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}], "seccomp": profile},
    }


def _write(file: Path, data: bytes) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = file.with_suffix(".new")
    with temporary.open("wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    temporary.rename(file)
