"""Checking credentials against a registry, for POST /auth (`docker login`).

The distribution specification's token authentication: GET /v2/ answers 401 with a challenge; Basic is answered at once,
Bearer by asking the realm for a token.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Sequence

import aiohttp
from msgspec import field

from common.errors import InvalidArgument, ShoalError, Unauthorized, Unavailable
from common.model.base import EngineSpec

_TIMEOUT = aiohttp.ClientTimeout(total=30)
_HUB = "registry-1.docker.io"


class Credentials(EngineSpec, frozen=True, kw_only=True):
    """The body of POST /auth; its names are in lower case on the wire."""

    username: str = ""
    password: str = ""
    auth: str = ""
    email: str = ""
    server_address: str = field(default="", name="serveraddress")
    identity_token: str = field(default="", name="identitytoken")
    registry_token: str = field(default="", name="registrytoken")


async def check(credentials: Credentials, insecure: Sequence[str]) -> None:
    """Return when the registry accepts the credentials. Raises Unauthorized, Unavailable, InvalidArgument."""
    if not credentials.username:
        raise InvalidArgument("a user name is needed to log in: give it with --username")
    registry = _host(credentials.server_address)
    auth = aiohttp.BasicAuth(credentials.username, credentials.password)
    try:
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
            await _log_in(session, _base(registry, insecure), auth)
    except (aiohttp.ClientError, TimeoutError, ssl.SSLError) as error:
        raise Unavailable(f"registry {registry} cannot be reached: {error}") from None


def _host(address: str) -> str:
    address = re.sub(r"^https?://", "", address).split("/")[0]
    return _HUB if address in ("", "index.docker.io", "docker.io") else address


def _base(registry: str, insecure: Sequence[str]) -> str:
    plain = registry in insecure or registry.split(":")[0] in ("localhost", "127.0.0.1", "[::1]")
    return f"{'http' if plain else 'https'}://{registry}/v2/"


async def _log_in(session: aiohttp.ClientSession, base: str, auth: aiohttp.BasicAuth) -> None:
    async with session.get(base) as answer:
        if answer.status == 200:
            return
        challenge = answer.headers.get("WWW-Authenticate", "")
    scheme, _, rest = challenge.partition(" ")
    if scheme.lower() == "basic":
        await _expect_ok(session, base, auth, {})
        return
    fields = dict(re.findall(r'(\w+)="([^"]*)"', rest))
    if scheme.lower() != "bearer" or "realm" not in fields:
        raise ShoalError(f"the registry at {base} asks for authentication of a kind that is not known: {challenge!r}")
    query = {"service": fields.get("service", ""), "account": auth.login, "client_id": "shoal"}
    await _expect_ok(session, fields["realm"], auth, query)


async def _expect_ok(session: aiohttp.ClientSession, url: str, auth: aiohttp.BasicAuth, query: dict[str, str]) -> None:
    async with session.get(url, auth=auth, params=query) as answer:
        if answer.status in (401, 403):
            raise Unauthorized(f"the registry refused the user name or password ({answer.status} from {url})")
        if answer.status >= 400:
            raise Unavailable(f"the registry answered {answer.status} to a log-in at {url}: try again later")
