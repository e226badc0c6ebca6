"""Endpoints of images: /images…; those that ask registries are registries.py's."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing

from aiohttp import ClientError, ClientSession, ClientTimeout, web

from common import http
from common.errors import InvalidArgument, Unsupported
from common.filters import Filters
from common.reference import Reference, parse_reference
from worker.api.http import version
from worker.api.registries import failing_late, line, pull
from worker.api.uploads import upload
from worker.engine.node import Engine
from worker.images.loading import Loaded, Progress
from worker.images.saving import Selection, save
from worker.images.views import LIST_FILTERS, PRUNE_FILTERS

_CHUNK = 1 << 18


def routes(engine: Engine) -> list[web.RouteDef]:
    handlers = _Images(engine)
    transfer = _Transfer(engine)
    return [
        web.get("/images/json", handlers.list),
        web.get("/images/get", transfer.save_many),
        web.post("/images/load", transfer.load),
        web.post("/images/create", transfer.create),
        web.post("/images/prune", handlers.prune),
        web.get("/images/{name:.+}/json", handlers.inspect),
        web.get("/images/{name:.+}/history", handlers.history),
        web.get("/images/{name:.+}/get", transfer.save_one),
        web.post("/images/{name:.+}/tag", handlers.tag),
        web.delete("/images/{name:.+}", handlers.remove),
    ]


class _Images:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._images = engine.images

    async def list(self, request: web.Request) -> web.Response:
        filters = Filters.parse(request.query.get("filters"), LIST_FILTERS)
        shared = http.flag(request, "shared-size")
        rows = self._images.views.rows(filters, every=http.flag(request, "all"), shared=shared)
        if version(request) >= (1, 44):
            for row in rows:
                del row["VirtualSize"]
        return http.answer(rows)

    async def inspect(self, request: web.Request) -> web.Response:
        stored = self._images.find(request.match_info["name"])
        answer = self._images.views.inspect(stored, old=version(request) < (1, 50))
        if version(request) >= (1, 44):
            del answer["VirtualSize"]
        return http.answer(answer)

    async def history(self, request: web.Request) -> web.Response:
        return http.answer(self._images.views.history(self._images.find(request.match_info["name"])))

    async def tag(self, request: web.Request) -> web.Response:
        stored = self._images.find(request.match_info["name"])
        reference = _new_name(request.query.get("repo", ""), request.query.get("tag", ""))
        if reference is None:
            raise InvalidArgument("the parameter 'repo' is needed: the new name of the image")
        self._images.tag(stored, reference)
        return http.empty(201)

    async def remove(self, request: web.Request) -> web.Response:
        outcome = await self._images.removal.remove(
            request.match_info["name"],
            force=http.flag(request, "force"),
            prune=not http.flag(request, "noprune"),
        )
        return http.answer(outcome.items)

    async def prune(self, request: web.Request) -> web.Response:
        """Dangling images; with dangling=false all that no container uses."""
        filters = Filters.parse(request.query.get("filters"), PRUNE_FILTERS)
        every = filters.flag("dangling", True) is False
        wanted = Filters({name: filters.values(name) for name in ("label", "label!", "until")})
        chosen = [
            stored
            for stored in self._images.views.select(wanted)
            if every or not self._images.parts.catalog.tags(stored.id)
        ]
        outcome = await self._images.removal.prune(iter(chosen))
        self._engine.events.publish("image", "prune", "", {"reclaimed": str(outcome.space)})
        return http.answer({"ImagesDeleted": outcome.items or None, "SpaceReclaimed": outcome.space})


class _Transfer:
    """Images as streams: load, save, import."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._images = engine.images

    async def load(self, request: web.Request) -> web.StreamResponse:
        """Progress as JSON lines. What fails before the first line is an HTTP error, later it is a line."""
        _refuse_platform(request)
        quiet = http.flag(request, "quiet")
        lines = self._load(upload(request), quiet)
        async with aclosing(lines):
            return await http.stream(request, failing_late(await anext(lines, b""), lines), whole=True)

    async def _load(self, body: AsyncIterator[bytes], quiet: bool) -> AsyncGenerator[bytes, None]:
        async with aclosing(self._images.load(body)) as steps:
            async for step in steps:
                if isinstance(step, Loaded):
                    for text in [f": {name.familiar}" for name in step.names] or [f" ID: {step.id}"]:
                        yield line(stream=f"Loaded image{text}\n")
                elif not quiet:
                    yield _progress(step)

    async def create(self, request: web.Request) -> web.StreamResponse:
        source = request.query.get("fromSrc", "")
        if request.query.get("fromImage"):
            return await pull(self._engine, request)
        _refuse_platform(request)
        if not source:
            raise InvalidArgument("one of the parameters 'fromImage' and 'fromSrc' is needed")
        reference = _new_name(request.query.get("repo", ""), request.query.get("tag", ""))
        body = upload(request) if source == "-" else _fetch(source)
        message = request.query.get("message") or f"Imported from {source}"
        changes = request.query.getall("changes", [])
        image = await self._images.import_tar(body, reference=reference, changes=changes, message=message)
        return web.Response(body=line(status=image.id), content_type="application/json")

    async def save_one(self, request: web.Request) -> web.StreamResponse:
        return await self._save(request, [request.match_info["name"]])

    async def save_many(self, request: web.Request) -> web.StreamResponse:
        names = [name for text in request.query.getall("names", []) for name in text.split(",") if name]
        if not names:
            raise InvalidArgument("the parameter 'names' is needed: the images to save")
        return await self._save(request, names)

    async def _save(self, request: web.Request, names: Sequence[str]) -> web.StreamResponse:
        _refuse_platform(request)
        selection = Selection()
        for name in names:
            self._select(selection, name)
        for image in selection.images:
            self._images.event("save", image, image)
        async with aclosing(save(self._images.parts, selection)) as chunks:
            return await http.stream(request, chunks, "application/x-tar", whole=True)

    def _select(self, selection: Selection, text: str) -> None:
        """An id is saved without names, a full name with that name, a repository's bare name with all of its tags."""
        catalog = self._images.parts.catalog
        if tags := catalog.repository(text):
            for tag in tags:
                selection.add(self._images.find(str(tag)), [tag])
            return
        stored = self._images.find(text)
        nameless = "@" in text or catalog.is_id(text, stored.id)
        selection.add(stored, [] if nameless else [parse_reference(text)])


def _new_name(repository: str, tag: str) -> Reference | None:
    """None where no name was given. Raises InvalidArgument on a bad one or a digest."""
    if not repository:
        return None
    reference = parse_reference(repository)
    if reference.digest:
        raise InvalidArgument(f"refusing to create a tag with a digest reference: {repository!r}")
    return parse_reference(f"{reference.name}:{tag}") if tag else reference.tagged()


def _refuse_platform(request: web.Request) -> None:
    if platform := request.query.get("platform"):
        raise Unsupported(f"choosing a platform ({platform}) is not supported: an archive's own images are taken")


async def _fetch(url: str) -> AsyncIterator[bytes]:
    """The body behind an http(s) address. Raises InvalidArgument where it cannot be had."""
    if not url.startswith(("http://", "https://")):
        raise InvalidArgument(
            f"cannot import from {url!r}: give an http or https address, or '-' and the archive as the body"
        )
    try:
        timeout = ClientTimeout(total=None, sock_connect=30, sock_read=60)
        async with ClientSession(timeout=timeout) as session, session.get(url) as response:
            if response.status != 200:
                raise InvalidArgument(f"fetching {url} failed: the server answered {response.status}")
            async for chunk in response.content.iter_chunked(_CHUNK):
                yield chunk
    except (ClientError, TimeoutError) as error:
        raise InvalidArgument(f"fetching {url} failed: {error}") from None


def _progress(step: Progress) -> bytes:
    detail = {"current": step.done, "total": step.total}
    return line(status="Loading layer", progressDetail=detail, id=step.diff_id.removeprefix("sha256:")[:12])
