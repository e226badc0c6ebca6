"""One repository of a registry, as one operation speaks to it: authenticated requests, tried again where that may help."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import aiohttp

from common.errors import InvalidArgument, ShoalError, TooLarge, Unavailable
from common.reference import Reference
from worker.distribution import challenge, retry
from worker.distribution.credentials import Credentials
from worker.distribution.endpoints import Endpoint, endpoints
from worker.distribution.media import ACCEPT
from worker.distribution.refusal import Refusal
from worker.distribution.tokens import Authorizer
from worker.distribution.transport import FAILURES, Transport, Wire
from worker.images.config import digest_of

MAX_JSON = 8 << 20  # bytes of a manifest, config or list


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


class Found(NamedTuple):
    """A manifest: verified bytes, their media type and digest."""

    data: bytes
    media_type: str
    digest: str


class Repository:
    """`actions` is what is wanted of it: "pull" or "pull,push"; `also` names a further repository to read from."""

    def __init__(self, wire: Wire, reference: Reference, credentials: Credentials, actions: str = "pull") -> None:
        self.reference = reference
        self.endpoint = wire.endpoint
        self.base = f"{wire.endpoint.url}/v2/{reference.path}"
        self.scope = f"repository:{reference.path}:{actions}"
        self._wire = wire
        self._authorizer = Authorizer(wire, credentials)

    async def send(self, method: str, url: str, *, scope: str = "", **options: Any) -> aiohttp.ClientResponse:
        """One request, with its authentication. Raises Refusal for 4xx and 5xx. The caller closes the answer."""
        scope = scope or self.scope
        for last in (False, True):
            header = self._authorizer.header(scope)
            headers = {**options.get("headers", {}), **({"Authorization": header} if header else {})}
            answer = await self._wire.plain(method, url, **{**options, "headers": headers})
            if answer.status < 400:
                return answer
            async with answer:
                told = answer.headers.getall("WWW-Authenticate", [])
                body = await answer.content.read(MAX_JSON)
            better = answer.status == 401 and not last and await self._authorizer.answer(told, scope, header)
            if better and _can_repeat(options.get("data")):
                continue
            lacks = any(found.fields.get("error") == "insufficient_scope" for found in challenge.parse(told))
            refusal = Refusal(answer.status, body, str(answer.url), scope_lacks=lacks)
            refusal.retry_after = answer.headers.get("Retry-After", "")
            raise refusal
        raise AssertionError("unreachable")

    async def ask(self, method: str, url: str, **options: Any) -> Answer:
        """A request with a short answer, tried again while its failure may pass. Raises Refusal, Unavailable."""
        attempts = Attempts(self.endpoint.host)
        while True:
            try:
                async with await self.send(method, url, **options) as answer:
                    body = await answer.content.read(-1) if (answer.content_length or 0) <= MAX_JSON else None
                    if body is None or len(body) > MAX_JSON:
                        raise TooLarge(f"the registry's answer to {url} is larger than {MAX_JSON} bytes")
                    return Answer(answer.status, answer.headers, body)
            except (Refusal, *FAILURES) as error:
                await attempts.failed(error)

    async def manifest(self, name: str) -> Found:
        """By tag or digest; what is asked by digest is that. Raises Refusal, InvalidArgument."""
        answer = await self.ask("GET", f"{self.base}/manifests/{name}", headers={"Accept": ACCEPT})
        digest = digest_of(answer.body)
        if ":" in name and digest != name:
            raise InvalidArgument(f"manifest verification failed for digest {name}: the registry sent {digest}")
        return Found(answer.body, answer.headers.get("Content-Type", "").split(";")[0].strip(), digest)

    async def manifest_digest(self, name: str) -> str:
        """What the registry says that a tag means now, without reading it; empty where it does not say."""
        answer = await self.ask("HEAD", f"{self.base}/manifests/{name}", headers={"Accept": ACCEPT})
        return answer.headers.get("Docker-Content-Digest", "")

    async def small_blob(self, digest: str) -> bytes:
        """A verified blob of a few kilobytes, as a config."""
        answer = await self.ask("GET", f"{self.base}/blobs/{digest}")
        if (found := digest_of(answer.body)) != digest:
            raise InvalidArgument(
                f"filesystem layer verification failed for digest {digest}: the registry sent {found}"
            )
        return answer.body

    async def tags(self) -> list[str]:
        """All tags, page by page."""
        import msgspec

        url, found = f"{self.base}/tags/list?n=1000", list[str]()
        for _ in range(1000):
            answer = await self.ask("GET", url)
            page = msgspec.json.decode(answer.body, type=dict[str, Any])
            found += [str(tag) for tag in page.get("tags") or []]
            link = answer.headers.get("Link", "")
            if not (link.startswith("<") and 'rel="next"' in link):
                break
            place = link[1:].partition(">")[0]
            url = place if "://" in place else f"{self.endpoint.url}{place}"
        return found


class Attempts:
    """Counts failures, waits after each that may pass, and raises the others."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._count = 0

    def progressed(self) -> None:
        self._count = 0

    async def failed(self, error: BaseException) -> None:
        """Return after a pause where trying again may help, else raise."""
        told = ""
        if isinstance(error, Refusal):
            if not retry.passes(error.status):
                raise error
            told = error.retry_after
        elif isinstance(error, aiohttp.ClientConnectorError):
            self._count += retry.ATTEMPTS - 2  # nobody listens: once more, not for long
        elif isinstance(error, ValueError):
            raise InvalidArgument(f"registry {self._host}: {error}") from None  # aiohttp.InvalidURL
        if self._count + 1 >= retry.ATTEMPTS:
            if isinstance(error, Refusal):
                raise error
            raise Unavailable(f"registry {self._host} cannot be reached: {error or 'it does not answer in time'}")
        await asyncio.sleep(retry.pause(self._count, told, spread=random.random()))
        self._count += 1


@asynccontextmanager
async def open_repository(
    transport: Transport,
    reference: Reference,
    credentials: Credentials,
    actions: str = "pull",
    places: Sequence[Endpoint] = (),
) -> AsyncIterator[Repository]:
    """The repository at the first of its places that answers, which the settings know. Raises Unavailable, Refusal, Forbidden."""
    places = places or endpoints(reference.domain, transport.settings, push="push" in actions)
    async with transport.use():
        yield await _first_that_answers(transport, reference, credentials, actions, places)


async def _first_that_answers(
    transport: Transport, reference: Reference, credentials: Credentials, actions: str, candidates: Sequence[Endpoint]
) -> Repository:
    failure: Exception | None = None
    for endpoint in candidates:
        account = Credentials() if endpoint.mirror else credentials
        repository = Repository(Wire(transport, endpoint), reference, account, actions)
        try:
            if await _serves(repository):
                return repository
        except (Unavailable, aiohttp.ClientSSLError) as error:
            failure = failure if isinstance(failure, aiohttp.ClientSSLError) else error
        except ShoalError:
            if not endpoint.mirror:
                raise
    raise Unavailable(f"registry {candidates[-1].host} cannot be reached: {failure or 'it does not answer'}")


async def _serves(repository: Repository) -> bool:
    """Whether a registry is there; a mirror must also have what is asked for."""
    if repository.endpoint.mirror:
        reference = repository.reference
        try:
            await repository.manifest_digest(reference.digest or reference.tag or "latest")
        except Refusal:
            return False
        return True
    try:
        await _ping(repository)
    except FAILURES as error:
        if isinstance(error, aiohttp.ClientSSLError):
            raise
        raise Unavailable(str(error) or "it does not answer in time") from None
    return True


async def _ping(repository: Repository) -> None:
    """Any HTTP answer will do: what it refuses, the real request is told better."""
    answer = await repository._wire.plain("GET", f"{repository.endpoint.url}/v2/")
    answer.release()


def _can_repeat(data: Any) -> bool:
    return data is None or isinstance(data, (bytes, dict))
