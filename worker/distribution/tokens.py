"""The Authorization header for one registry: Basic, or tokens that its challenge's realm gives (distribution specification)."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import aiohttp
import msgspec

from common.errors import Forbidden, Unsupported
from worker.distribution import challenge
from worker.distribution.credentials import Credentials
from worker.distribution.refusal import Refusal

CLIENT = "shoal"
_MAX = 1 << 20  # bytes of a token server's answer


class Authorizer:
    """Keeps one token for each scope. `get` and `post` of `http` go the way that the settings tell (proxies, certificates)."""

    def __init__(self, http: Any, credentials: Credentials) -> None:
        self._http = http
        self._credentials = credentials
        self._headers: dict[str, str] = {}
        self._lock = asyncio.Lock()
        if credentials.registry_token:
            self._headers[""] = f"Bearer {credentials.registry_token}"

    def header(self, scope: str) -> str:
        """What is known to work for this scope; empty where nothing is yet."""
        return self._headers.get(scope) or self._headers.get("", "")

    async def answer(self, headers: list[str], scope: str, failed: str) -> bool:
        """Answer a 401's challenges; `failed` is the header that was refused. False where there is no better one."""
        async with self._lock:
            if self.header(scope) != failed:
                return True  # somebody else was quicker
            chosen = challenge.choose(challenge.parse(headers))
            if chosen is None:
                if headers:
                    raise Unsupported(
                        f"the registry asks for authentication of a kind that is not known: {headers[0]!r}"
                    )
                return False
            if chosen.scheme == "basic":
                return self._basic(failed)
            self._headers[scope] = f"Bearer {await self._token(dict(chosen.fields), scope)}"
            return self._headers[scope] != failed

    def _basic(self, failed: str) -> bool:
        self._headers[""] = _basic(self._credentials) if self._credentials.username else ""
        return self._headers[""] not in ("", failed)

    async def _token(self, fields: dict[str, str], scope: str) -> str:
        scopes = list(dict.fromkeys([*scope.split(" "), *fields.get("scope", "").split(" ")]))
        given, realm = self._credentials, fields["realm"]
        service = fields.get("service", "")
        if given.identity_token:
            form = {"grant_type": "refresh_token", "refresh_token": given.identity_token, "service": service}
            form |= {"client_id": CLIENT, "scope": " ".join(filter(None, scopes))}
            answer = await self._http.plain("POST", realm, data=form)
        else:
            query = [("service", service), ("client_id", CLIENT), *(("scope", name) for name in scopes if name)]
            if given.username:
                query.append(("account", given.username))
            headers = {"Authorization": _basic(given)} if given.username else {}
            answer = await self._http.plain("GET", realm, params=query, headers=headers)
        return await _read_token(answer, realm)


async def _read_token(answer: aiohttp.ClientResponse, realm: str) -> str:
    async with answer:
        data = await answer.content.read(_MAX)
        if answer.status in (401, 403):
            raise Forbidden(
                f"unauthorized: incorrect username or password: {answer.url.host} gives no token ({answer.status})"
            )
        if answer.status >= 400:
            raise Refusal(answer.status, data, realm)
    try:
        found = msgspec.json.decode(data, type=dict[str, Any])
    except msgspec.MsgspecError:
        found = {}
    return str(found.get("token") or found.get("access_token") or "")


def _basic(given: Credentials) -> str:
    return "Basic " + base64.b64encode(f"{given.username}:{given.password}".encode()).decode()
