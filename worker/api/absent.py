"""What Docker's API has and this engine has not: empty lists where that is the truth, refusals with a sentence elsewhere."""

from __future__ import annotations

from aiohttp import web

from common import http
from common.errors import NotFound, Unsupported

_BUILD = "building images is not supported yet: use `docker import` or `docker load`"
_PLUGINS = "plugins are not supported: the drivers of volumes, networks and logs are built in"
_REFUSED = (
    ("POST", "/build", _BUILD),
    ("POST", "/session", _BUILD),
    ("POST", "/grpc", _BUILD),
    ("GET", "/images/{name:.+}/attestations", "attestations of images are not supported"),
    ("GET", "/plugins/privileges", _PLUGINS),
    ("POST", "/plugins/pull", _PLUGINS),
    ("POST", "/plugins/create", _PLUGINS),
)
_PLUGIN = (
    ("GET", "json"),
    ("POST", "enable"),
    ("POST", "disable"),
    ("POST", "upgrade"),
    ("POST", "push"),
    ("POST", "set"),
)


def routes() -> list[web.RouteDef]:
    """To be added before the images' own, whose names match almost everything."""
    return [
        *[web.route(method, path, _refuse(sentence)) for method, path, sentence in _REFUSED],
        *[web.route(method, f"/plugins/{{name:.+}}/{verb}", _no_plugin) for method, verb in _PLUGIN],
        web.delete("/plugins/{name:.+}", _no_plugin),
        web.get("/plugins", _plugins),
        web.post("/build/prune", _prune),
    ]


def _refuse(sentence: str) -> http.Handler:
    async def refuse(_: web.Request) -> web.StreamResponse:
        raise Unsupported(sentence)

    return refuse


async def _plugins(_: web.Request) -> web.Response:
    return http.answer([])


async def _no_plugin(request: web.Request) -> web.Response:
    name = request.match_info["name"]
    raise NotFound(f'plugin "{name}" not found', ("plugin", name))


async def _prune(_: web.Request) -> web.Response:
    """There is no build cache, so nothing of it is left: `docker system prune` asks for this too."""
    return http.answer({"CachesDeleted": [], "SpaceReclaimed": 0})
