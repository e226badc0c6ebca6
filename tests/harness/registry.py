"""Registries for tests: one in the test's own process that can be told to misbehave, and Debian's docker-registry."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import zstandard
from aiohttp import web

from tests.harness.daemon import Daemon
from tests.harness.machine import run
from tests.harness.wait import until

OCI = "application/vnd.oci.image."
ACCOUNT = "Basic " + base64.b64encode(b"me:right").decode()
Fault = Callable[[web.Request, bytes], web.StreamResponse | None]


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Registry:
    """Serves `blobs` and `manifests` (by tag and digest). `faults` see each GET of a blob first, and may answer it."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, tuple[str, bytes]] = {}
        self.faults: list[Fault] = []
        self.token = ""  # asked for as Bearer where it is set
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.host = ""

    def put(self, data: bytes) -> dict[str, Any]:
        self.blobs[digest_of(data)] = data
        return {"digest": digest_of(data), "size": len(data)}

    def image(
        self, tag: str, layers: Sequence[bytes], *, pack: str = "gzip", architecture: str = "amd64"
    ) -> dict[str, Any]:
        """An OCI image of these tars; its descriptor."""
        packed = [{"gzip": gzip.compress, "zstd": zstandard.compress, "": bytes}[pack](data) for data in layers]
        config = {
            "architecture": architecture,
            "os": "linux",
            "config": {"Cmd": ["sh"]},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(data) for data in layers]},
        }
        kind = f"{OCI}layer.v1.tar" + (f"+{pack}" if pack else "")
        return self.manifest(
            tag,
            f"{OCI}manifest.v1+json",
            {
                "config": {"mediaType": f"{OCI}config.v1+json", **self.put(json.dumps(config).encode())},
                "layers": [{"mediaType": kind, **self.put(data)} for data in packed],
            },
        )

    def manifest(self, tag: str, kind: str, content: dict[str, Any]) -> dict[str, Any]:
        data = json.dumps({"schemaVersion": 2, "mediaType": kind, **content}).encode()
        self.manifests[tag] = self.manifests[digest_of(data)] = (kind, data)
        return {"mediaType": kind, "digest": digest_of(data), "size": len(data)}

    def layers(self, tag: str) -> list[str]:
        """The digests of an image's layers."""
        return [layer["digest"] for layer in json.loads(self.manifests[tag][1])["layers"]]

    def gets(self, digest: str) -> list[dict[str, str]]:
        """The headers of each GET of a blob."""
        return [headers for method, path, headers in self.requests if method == "GET" and path.endswith(digest)]

    async def _manifest(self, request: web.Request) -> web.StreamResponse:
        if (found := self.manifests.get(request.match_info["name"])) is None:
            return _refuse(404, "MANIFEST_UNKNOWN", "manifest unknown")
        kind, data = found
        return web.Response(body=data, headers={"Content-Type": kind, "Docker-Content-Digest": digest_of(data)})

    async def _blob(self, request: web.Request) -> web.StreamResponse:
        data = self.blobs.get(request.match_info["name"])
        if data is None:
            return _refuse(404, "BLOB_UNKNOWN", "blob unknown")
        for fault in self.faults:
            if (answer := fault(request, data)) is not None:
                return answer
        start = int(request.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        headers = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if start else {}
        return web.Response(body=data[start:], status=206 if start else 200, headers=headers)

    async def _token(self, request: web.Request) -> web.Response:
        good = request.headers.get("Authorization") == ACCOUNT
        return web.json_response({"token": self.token if good else "anonymous"})

    @web.middleware
    async def _door(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.requests.append((request.method, request.path, dict(request.headers)))
        if self.token and request.path != "/token" and request.headers.get("Authorization") != f"Bearer {self.token}":
            error = ',error="insufficient_scope"' if "Authorization" in request.headers else ""
            challenge = f'Bearer realm="http://{self.host}/token",service="test"{error}'
            return _refuse(401, "UNAUTHORIZED", "authentication required", {"WWW-Authenticate": challenge})
        answer: web.StreamResponse = await handler(request)
        return answer

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        """On a free port of loopback; its host:port."""
        app = web.Application(middlewares=[self._door])
        app.add_routes(
            [
                web.get("/v2/", _empty),
                web.get("/token", self._token),
                web.get("/v1/search", _search),
                web.get("/v2/{repository:.+}/manifests/{name}", self._manifest),
                web.get("/v2/{repository:.+}/blobs/{name}", self._blob),
            ]
        )
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.host = "{}:{}".format(*runner.addresses[0][:2])
        try:
            yield self.host
        finally:
            await runner.cleanup()


async def _empty(_: web.Request) -> web.Response:
    return web.json_response({})


async def _search(request: web.Request) -> web.Response:
    found = [{"name": f"{request.query['q']}-{n}", "star_count": n, "is_official": n == 1} for n in range(3)]
    return web.json_response({"results": found[: int(request.query["n"])]})


def _refuse(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> web.Response:
    errors = {"errors": [{"code": code, "message": message}]}
    return web.json_response(errors, status=status, headers=headers)


@contextmanager
def docker_registry(
    shoald: Daemon, port: int, *, account: tuple[str, str] | None = None, tls: tuple[Path, Path] | None = None
) -> Iterator[Path]:
    """Debian's docker-registry on loopback in the daemon's namespace; its data folder. `tls`: certificate and key."""
    folder = Path(tempfile.mkdtemp(prefix="shoal-registry-", dir="/dev/shm"))
    http: dict[str, Any] = {"addr": f"127.0.0.1:{port}"}
    config: dict[str, Any] = {"version": 0.1, "log": {"level": "error"}, "http": http}
    config["storage"] = {"filesystem": {"rootdirectory": str(folder / "data")}}
    if account:
        (folder / "htpasswd").write_text(run("htpasswd", "-nbB", "-C", "4", *account))
        config["auth"] = {"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}}
    if tls:
        http["tls"] = {"certificate": str(tls[0]), "key": str(tls[1])}
    (folder / "config.yml").write_text(json.dumps(config))
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            shoald.inside("docker-registry", "serve", str(folder / "config.yml")), stdout=log, stderr=log
        )
    try:
        until(lambda: _listens(shoald, port), "the registry listens")
        yield folder / "data"
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder)


def _listens(shoald: Daemon, port: int) -> bool:
    probe = ["bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{port}"]
    return subprocess.run(shoald.inside(*probe), capture_output=True, check=False).returncode == 0
