"""Checking credentials against a registry, for POST /auth (`docker login`).

The distribution specification's token authentication: GET /v2/ answers 401 with a challenge; Basic is answered at once,
Bearer with a token that the challenge's realm gives for the credentials.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from typing import Any

import aiohttp
from msgspec import field

from common.errors import InvalidArgument, Unauthorized, Unavailable, Unsupported
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
    """Return when the registry accepts the credentials; `insecure` ones may lack TLS, or a known CA.

    Raises Unauthorized, Unavailable, InvalidArgument, Unsupported.
    """
    if credentials.identity_token or credentials.registry_token:
        raise Unsupported("logging in with a token is not supported: use a user name and a password")
    if not credentials.username:
        raise InvalidArgument("a user name is needed to log in: give it with --username")
    registry = _host(credentials.server_address)
    auth = aiohttp.BasicAuth(credentials.username, credentials.password)
    failure = ""
    async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
        for base, verify in _bases(registry, insecure):
            try:
                await _log_in(_Registry(session, base, verify), auth)
            except (aiohttp.ClientError, TimeoutError) as error:
                failure = str(error) or "it does not answer"
            else:
                return
    raise Unavailable(f"registry {registry} cannot be reached: {failure}")


def _host(address: str) -> str:
    address = re.sub(r"^https?://", "", address).split("/")[0]
    return _HUB if address in ("", "index.docker.io", "docker.io") else address


def _bases(registry: str, insecure: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """(address, whether its certificate must be good) in the order in which they are tried."""
    if registry in insecure or _is_loopback(registry):
        yield f"https://{registry}/v2/", False
        yield f"http://{registry}/v2/", False
    else:
        yield f"https://{registry}/v2/", True


def _is_loopback(registry: str) -> bool:
    host = re.sub(r":\d+$", "", registry).strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Registry:
    """Requests to one registry. `base`: its /v2/."""

    def __init__(self, session: aiohttp.ClientSession, base: str, verify: bool) -> None:
        self.base = base
        self._session = session
        self._verify = verify

    def get(self, url: str, **options: Any) -> aiohttp.client._RequestContextManager:
        return self._session.get(url, ssl=self._verify, **options)


async def _log_in(registry: _Registry, auth: aiohttp.BasicAuth) -> None:
    async with registry.get(registry.base) as answer:
        if answer.status == 200:
            return
        challenge = answer.headers.get("WWW-Authenticate", "")
    scheme, _, rest = challenge.partition(" ")
    fields = dict(re.findall(r'(\w+)="([^"]*)"', rest))
    if scheme.lower() == "basic":
        header = auth.encode()
    elif scheme.lower() == "bearer" and "realm" in fields:
        header = f"Bearer {await _token(registry, auth, fields)}"
    else:
        raise Unsupported(f"{registry.base} asks for authentication of a kind that is not known: {challenge!r}")
    async with registry.get(registry.base, headers={"Authorization": header}) as answer:
        _expect_ok(answer)


async def _token(registry: _Registry, auth: aiohttp.BasicAuth, challenge: dict[str, str]) -> str:
    query = {"service": challenge.get("service", ""), "account": auth.login, "client_id": "shoal"}
    async with registry.get(challenge["realm"], auth=auth, params=query) as answer:
        _expect_ok(answer)
        found = await answer.json(content_type=None)
    return str(found.get("token") or found.get("access_token") or "")


def _expect_ok(answer: aiohttp.ClientResponse) -> None:
    if answer.status in (401, 403):
        raise Unauthorized(f"the registry refused the user name or password ({answer.status} from {answer.url.host})")
    if answer.status >= 400:
        raise Unavailable(f"the registry answered {answer.status} to a log-in at {answer.url}: try again later")
