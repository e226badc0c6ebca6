"""HTTP to registries: connections shared by all that goes on at a time, proxies from the environment, redirects, TLS."""

from __future__ import annotations

import os
import ssl
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from yarl import URL

from common.errors import Unavailable
from common.settings import Settings
from common.version import VERSION
from worker.distribution.endpoints import Endpoint, is_insecure, tls

_HOPS = 10
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=15, sock_read=60)
_REDIRECTS = (301, 302, 303, 307, 308)
FAILURES = (aiohttp.ClientError, TimeoutError, ConnectionError)


class Transport:
    """One pool of connections; it is there only while somebody uses it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._session: aiohttp.ClientSession | None = None
        self._users = 0

    @asynccontextmanager
    async def use(self) -> AsyncIterator[None]:
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            if not self._users and self._session is not None:
                session, self._session = self._session, None
                await session.close()

    @property
    def session(self) -> aiohttp.ClientSession:
        if self._session is None:
            agent = {"User-Agent": f"shoal/{VERSION}"}
            connector = aiohttp.TCPConnector(limit_per_host=16)
            self._session = aiohttp.ClientSession(
                connector=connector, timeout=_TIMEOUT, headers=agent, auto_decompress=False
            )
        return self._session


class Wire:
    """Requests to one endpoint and wherever it redirects to."""

    def __init__(self, transport: Transport, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._transport = transport
        self._tls = tls(endpoint, transport.settings.registry_certs)

    async def plain(self, method: str, url: str, **options: Any) -> aiohttp.ClientResponse:
        """One request with its redirects; credentials stay with the host that they are for. The caller closes the answer."""
        target = URL(url, encoded=True)
        for _ in range(_HOPS):
            answer = await self._transport.session.request(
                method, target, ssl=self._security(target), proxy=proxy(target), allow_redirects=False, **options
            )
            place = answer.headers.get("Location", "")
            if answer.status not in _REDIRECTS or not place or method not in ("GET", "HEAD"):
                return answer
            answer.release()
            before, target = target, target.join(URL(place, encoded=True))
            options.pop("params", None)
            if target.origin() != before.origin():
                options["headers"] = {k: v for k, v in options.get("headers", {}).items() if k != "Authorization"}
        raise Unavailable(f"the registry at {url} redirects more than {_HOPS} times")

    def _security(self, target: URL) -> ssl.SSLContext | bool:
        host = target.authority.rpartition("@")[2]
        if host == self.endpoint.host:
            return self._tls
        settings = self._transport.settings
        other = Endpoint(f"{target.scheme}://{host}", not is_insecure(host, settings.insecure_registries))
        return tls(other, settings.registry_certs)


def proxy(target: URL) -> str | None:
    """The proxy that HTTP_PROXY, HTTPS_PROXY and NO_PROXY (also in lower case) name for an address."""
    if not any(os.environ.get(name) for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")):
        return None
    if urllib.request.proxy_bypass(target.host or ""):
        return None
    return urllib.request.getproxies_environment().get(target.scheme) or None
