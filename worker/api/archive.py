"""Endpoints that read and write a container's files: archive (`docker cp`), export, changes (`docker diff`) and commit.

How paths are resolved and archives applied inside a container's root is worker/images' work.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from common import http
from common.errors import InvalidArgument, NotFound
from common.model.container import ContainerConfig
from common.parse import parse_json
from worker.api.uploads import upload
from worker.engine.container import Container
from worker.engine.node import Engine
from worker.images.creation import merge_config
from worker.images.jobs import run_job, stream_job
from worker.runtime.users import lookup


def routes(engine: Engine) -> list[web.RouteDef]:
    files, whole = _Files(engine), _Whole(engine)
    return [
        web.head("/containers/{id}/archive", files.stat),
        web.get("/containers/{id}/archive", files.get, allow_head=False),
        web.put("/containers/{id}/archive", files.put),
        web.get("/containers/{id}/export", whole.export),
        web.get("/containers/{id}/changes", whole.changes),
        web.post("/commit", whole.commit),
    ]


class _Files:
    """Single paths inside a container, running or not."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def stat(self, request: web.Request) -> web.Response:
        container, path = self._target(request)
        with _naming(container):
            async with _view(self._engine, container) as view:
                status = await run_job("stat", path=path, **view)
        return web.Response(headers=_status_header(status))

    async def get(self, request: web.Request) -> web.StreamResponse:
        container, path = self._target(request)
        with _naming(container):
            async with (
                _view(self._engine, container) as view,
                stream_job("get", path=path, **view) as (status, chunks),
            ):
                return await http.stream(
                    request, chunks, "application/x-tar", headers=_status_header(status), whole=True
                )

    async def put(self, request: web.Request) -> web.Response:
        container, path = self._target(request)
        keep_kind = http.flag(request, "noOverwriteDirNonDir")
        async with _view(self._engine, container) as view:
            owner = None
            if http.flag(request, "copyUIDGID") and container.config.user:
                user = await asyncio.to_thread(lookup, Path(view["root"]), container.config.user)
                owner = (user.uid, user.gid)
            with _naming(container):
                await run_job("put", upload(request), path=path, keep_kind=keep_kind, owner=owner, **view)
        self._engine.events.publish("container", "extract-to-dir", container.id, {**container.attributes, "path": path})
        return http.empty(200)

    def _target(self, request: web.Request) -> tuple[Container, str]:
        container = self._engine.containers.get(request.match_info["id"])
        path = request.query.get("path", "")
        if not path or "\0" in path:
            raise InvalidArgument("the parameter 'path' is needed: a path inside the container")
        return container, path


class _Whole:
    """Whole root file systems."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def export(self, request: web.Request) -> web.StreamResponse:
        container = self._engine.containers.get(request.match_info["id"])
        self._engine.events.publish("container", "export", container.id, container.attributes)
        async with aclosing(self._engine.images.export(container.id)) as chunks:
            return await http.stream(request, chunks, "application/x-tar", whole=True)

    async def changes(self, request: web.Request) -> web.Response:
        container = self._engine.containers.get(request.match_info["id"])
        found = await self._engine.images.changes(container.id)
        return http.answer([{"Path": change.path, "Kind": change.kind} for change in found] or None)

    async def commit(self, request: web.Request) -> web.Response:
        container = self._engine.containers.get(request.query.get("container", ""))
        repository, tag = request.query.get("repo", ""), request.query.get("tag", "")
        override = await _optional_config(request)
        config = merge_config(container.config, request.query.getall("changes", []), override)
        async with _paused(self._engine, container, wanted=http.flag(request, "pause", True)):
            image = await self._engine.images.commit(
                container.id,
                config,
                tag=f"{repository}:{tag}" if repository and tag else repository,
                comment=request.query.get("comment", ""),
                author=request.query.get("author", ""),
            )
        attributes = {**container.attributes, "comment": request.query.get("comment", ""), "imageID": image.id}
        self._engine.events.publish("container", "commit", container.id, attributes)
        return http.answer({"Id": image.id}, 201)


async def _optional_config(request: web.Request) -> ContainerConfig | None:
    """Clients without an override send no body, or null."""
    data = await request.read()
    return None if data.strip() in (b"", b"null") else parse_json(data, ContainerConfig)


@asynccontextmanager
async def _paused(engine: Engine, container: Container, *, wanted: bool) -> AsyncIterator[None]:
    """Its processes stand still meanwhile, so that no file is half written; not seen by users as paused."""
    if not (wanted and container.running) or container.paused:
        yield
        return
    async with container.lock:
        await engine.runtime.pause(container.id)
        try:
            yield
        finally:
            await engine.runtime.resume(container.id)


@asynccontextmanager
async def _view(engine: Engine, container: Container) -> AsyncIterator[dict[str, Any]]:
    """How a child process reaches the container's files: through its first process, or mounted with its volumes."""
    if container.running and container.pid:
        yield {"root": f"/proc/{container.pid}/root"}
        return
    user = f"files-of-{container.id}"
    binds: list[dict[str, Any]] = []
    taken: list[str] = []
    try:
        async with engine.images.parts.roots.visit(container.id) as root:
            for point in container.record.mounts:
                if point.type == "tmpfs":
                    continue
                source = point.source
                if point.type == "volume":
                    taken.append(point.name)
                    source = str(await engine.volumes.acquire(point.name, user))
                bind = {"source": source, "inside": point.subpath, "target": point.destination}
                binds.append({**bind, "read_only": not point.rw})
            yield {"root": str(root), "binds": binds, "read_only": container.host.readonly_rootfs}
    finally:
        for name in taken:
            await engine.volumes.release(name, user)


@contextmanager
def _naming(container: Container) -> Iterator[None]:
    """A path that is not there is reported with its container, as Docker's clients show it."""
    try:
        yield
    except NotFound as error:
        raise NotFound(f"{error.message} in container {container.name}", ("container", container.id)) from None


def _status_header(status: dict[str, Any]) -> dict[str, str]:
    return {"X-Docker-Container-Path-Stat": base64.b64encode(msgspec.json.encode(status)).decode()}
