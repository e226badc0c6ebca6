"""Checking credentials against a registry, for POST /auth (`docker login`).

The distribution specification's token authentication: GET /v2/ answers 401 with a challenge; Basic is answered at once,
Bearer with a token that the challenge's realm gives for the credentials.
"""

from __future__ import annotations

import re
import ssl
from typing import Any

import aiohttp
from yarl import URL

from common.errors import InvalidArgument, Unauthorized, Unavailable, Unsupported
from common.settings import Settings
from worker.distribution.credentials import Credentials
from worker.distribution.endpoints import endpoints, host_of, tls
from worker.distribution.transport import proxy

_TIMEOUT = aiohttp.ClientTimeout(total=30)


async def check(credentials: Credentials, settings: Settings) -> None:
    """Return when the registry accepts the credentials.

    Raises Unauthorized, Unavailable, InvalidArgument, Unsupported.
    """
    if credentials.identity_token or credentials.registry_token:
        raise Unsupported("logging in with a token is not supported: use a user name and a password")
    if not credentials.username:
        raise InvalidArgument("a user name is needed to log in: give it with --username")
    registry = host_of(credentials.server_address)
    auth = aiohttp.BasicAuth(credentials.username, credentials.password)
    failure = ""
    async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
        for endpoint in endpoints(registry, settings, push=True):
            security = tls(endpoint, settings.registry_certs)
            try:
                await _log_in(_Registry(session, f"{endpoint.url}/v2/", security), auth)
            except (aiohttp.ClientError, TimeoutError) as error:
                failure = str(error) or "it does not answer"
            else:
                return
    raise Unavailable(f"registry {registry} cannot be reached: {failure}")


class _Registry:
    """Requests to one registry. `base`: its /v2/."""

    def __init__(self, session: aiohttp.ClientSession, base: str, security: ssl.SSLContext | bool) -> None:
        self.base = base
        self._session = session
        self._security = security

    def get(self, url: str, **options: Any) -> aiohttp.client._RequestContextManager:
        return self._session.get(url, ssl=self._security, proxy=proxy(URL(url)), **options)


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
