"""Small images for tests, made in-process from the machine's static busybox: no registry, no build."""

from __future__ import annotations

import atexit
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

BUSYBOX = Path("/bin/busybox")  # of the package busybox-static
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_PASSWD = """root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
nobody:x:65534:65534:nobody:/:/bin/false
"""
_GROUP = "root:x:0:\ndaemon:x:1:\nusers:x:100:\nnogroup:x:65534:\n"
_FOLDERS = {"bin": 0o755, "dev": 0o755, "etc": 0o755, "home": 0o755, "root": 0o700, "tmp": 0o1777, "usr": 0o755}
_FOLDERS |= {"usr/bin": 0o755, "var": 0o755, "var/tmp": 0o1777}


def layer(files: Mapping[str, bytes | str | None], *, modes: Mapping[str, int] | None = None) -> bytes:
    """A layer's tar: bytes are a file's content, a text is a symbolic link's target, None is a folder."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.mode = (modes or {}).get(name, 0o755)
            if content is None:
                info.type = tarfile.DIRTYPE
            elif isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
            else:
                info.size = len(content)
            tar.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
    return buffer.getvalue()


def archive(layers: Sequence[bytes], tags: Sequence[str], config: Mapping[str, Any] | None = None) -> bytes:
    """A docker archive (what `docker load` reads) of one image with these layers, lowest first."""
    image = {
        "architecture": "amd64",
        "os": "linux",
        "created": "2024-01-01T00:00:00Z",
        "config": {"Env": [PATH], **(config or {})},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(data).hexdigest() for data in layers]},
        "history": [{"created": "2024-01-01T00:00:00Z", "created_by": f"layer {n}"} for n in range(len(layers))],
    }
    members = {f"{number}/layer.tar": data for number, data in enumerate(layers)}
    manifest = [{"Config": "config.json", "RepoTags": list(tags), "Layers": list(members)}]
    members |= {"config.json": json.dumps(image).encode(), "manifest.json": json.dumps(manifest).encode()}
    return layer(members)


@cache
def busybox_layer() -> bytes:
    """The layer of the busybox image: applets as hard links, as the official image has them."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, mode in _FOLDERS.items():
            _add(tar, name, tarfile.DIRTYPE, mode=mode)
        _add(tar, "bin/busybox", data=BUSYBOX.read_bytes())
        for applet in subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split():
            if applet != "busybox":
                _add(tar, f"bin/{applet}", tarfile.LNKTYPE, link="bin/busybox")
        _add(tar, "usr/bin/env", tarfile.LNKTYPE, link="bin/busybox")
        _add(tar, "etc/passwd", data=_PASSWD.encode(), mode=0o644)
        _add(tar, "etc/group", data=_GROUP.encode(), mode=0o644)
    return buffer.getvalue()


@cache
def busybox_archive() -> Path:
    """A docker archive of busybox:latest (command `sh`), in a temporary folder that goes with this process."""
    folder = Path(tempfile.mkdtemp(prefix="shoal-images-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = folder / "busybox.tar"
    path.write_bytes(archive([busybox_layer()], ["busybox:latest"], {"Cmd": ["sh"]}))
    return path


def _add(
    tar: tarfile.TarFile,
    name: str,
    kind: bytes = tarfile.REGTYPE,
    *,
    mode: int = 0o755,
    data: bytes = b"",
    link: str = "",
) -> None:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.linkname, info.size = kind, mode, link, len(data)
    tar.addfile(info, io.BytesIO(data))
