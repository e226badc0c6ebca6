"""How long an image of 8 layers takes from a registry on loopback to runnable, beside skopeo on the same tmpfs."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import zstandard

from bench.figure import Figure, medians
from bench.peers import shoal
from tests.harness.daemon import Daemon
from tests.harness.images import archive, layer
from tests.harness.machine import run
from tests.harness.registry import docker_registry

ROUNDS, LAYERS = 3, 8
_FILES, _BYTES = 24_500, 376 << 20
_FAST = Path("/dev/shm")
_PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, 6),
    "zstd": lambda data: zstandard.compress(data, 3),
}


def main() -> list[Figure]:
    tars = _tars()
    with shoal() as (_, daemon), docker_registry(daemon, 5000):
        return [_measure(daemon, kind, tars) for kind in _PACK]


def _measure(daemon: Daemon, kind: str, tars: list[bytes]) -> Figure:
    name = f"localhost:5000/{kind}:1"
    _publish(daemon, name, _packed(archive(tars, [name]), _PACK[kind]))
    with _skopeo_folder() as folder:
        ours, theirs = medians(ROUNDS, lambda: _pull(daemon, name), lambda: _skopeo(daemon, name, folder))
    return Figure(name=f"pull_{LAYERS}_layers_{kind}", value=ours, unit="s", peer="skopeo", peer_value=theirs)


def _pull(daemon: Daemon, name: str) -> float:
    repository, _, tag = name.rpartition(":")
    begin = time.perf_counter()
    said = daemon.curl(f"/images/create?fromImage={repository}&tag={tag}", "-X", "POST")
    took = time.perf_counter() - begin
    assert "Downloaded newer image" in said, said[-500:]
    daemon.docker("rmi", name)
    return took


def _skopeo(daemon: Daemon, name: str, folder: Path) -> float:
    store = f"containers-storage:[overlay@{folder}/root+{folder}/run]app:1"
    command = ["skopeo", "--insecure-policy", "copy", "-q", "--src-tls-verify=false", f"docker://{name}", store]
    begin = time.perf_counter()
    run(*daemon.inside(*command))
    took = time.perf_counter() - begin
    run("skopeo", "delete", store)
    return took


@contextmanager
def _skopeo_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="shoal-skopeo-", dir=_FAST))
    try:
        yield folder
    finally:
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            if (point := line.split()[4]).startswith(f"{folder}/"):
                run("umount", "-l", point, check=False)
        shutil.rmtree(folder)


def _publish(daemon: Daemon, name: str, data: bytes) -> None:
    path = daemon.folder / "image.tar"
    path.write_bytes(data)
    run(*daemon.inside("docker", "-H", daemon.url, "load", "-q", "-i", str(path)))
    path.unlink()
    daemon.docker("push", "-q", name)
    daemon.docker("rmi", name)


def _packed(data: bytes, pack: Callable[[bytes], bytes]) -> bytes:
    """The archive with its layers compressed, which the store keeps as they are."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        members = {info.name: tar.extractfile(info) for info in tar.getmembers()}
        contents = {name: file.read() for name, file in members.items() if file is not None}
    assert json.loads(contents["manifest.json"])
    return layer({name: pack(data) if name.endswith("layer.tar") else data for name, data in contents.items()})


def _tars() -> list[bytes]:
    """Files of this machine's /usr, about as many and as large as those of a common image, in equal layers."""
    layers: list[dict[str, bytes | str | None]] = [{} for _ in range(LAYERS)]
    count = size = 0
    for path in _files():
        if count >= _FILES or size >= _BYTES:
            break
        data = path.read_bytes()
        layers[size * LAYERS // _BYTES % LAYERS][str(path)[1:]] = data
        count, size = count + 1, size + len(data)
    return [layer(files) for files in layers if files]


def _files() -> Iterator[Path]:
    """Many small files among some large ones, the same each time on one machine."""
    for folder, _, names in os.walk("/usr"):
        for name in sorted(names):
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink() and path.stat().st_size < (4 << 20):
                yield path
