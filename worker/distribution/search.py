"""`docker search`: the Hub's version 1 search, which other registries may have too."""

from __future__ import annotations

from typing import Any

import msgspec
from yarl import URL

from common.errors import InvalidArgument, NotFound
from common.filters import Filters
from common.reference import Reference
from worker.distribution.credentials import Credentials
from worker.distribution.endpoints import HUB, Endpoint, endpoints
from worker.distribution.refusal import Refusal, plain_error
from worker.distribution.repository import Repository, open_repository
from worker.distribution.transport import Transport

_INDEX = "index.docker.io"
FILTERS = ("is-automated", "is-official", "stars")


async def search(
    transport: Transport, term: str, credentials: Credentials, filters: Filters, limit: int
) -> list[dict[str, Any]]:
    """Rows in Docker's shape. A term may begin with its registry: localhost:5000/app. Raises InvalidArgument, NotFound."""
    if not 0 <= limit <= 100:
        raise InvalidArgument(f"limit {limit} is outside the range of [1, 100]")
    domain, words = _split(term)
    reference = Reference(domain, words)
    async with open_repository(transport, reference, credentials, places=_places(transport, domain)) as repository:
        rows = await _ask(repository, words, limit or 25)
    return [row for row in rows if _fits(row, filters)]


def _split(term: str) -> tuple[str, str]:
    first, slash, rest = term.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return first, rest
    return "docker.io", term.removeprefix("library/")


def _places(transport: Transport, domain: str) -> list[Endpoint]:
    found = endpoints(domain, transport.settings, push=True)
    return [Endpoint(f"https://{_INDEX}", True) if place.host == HUB else place for place in found]


async def _ask(repository: Repository, words: str, limit: int) -> list[dict[str, Any]]:
    url = str(URL(f"{repository.endpoint.url}/v1/search").with_query({"q": words, "n": str(limit)}))
    try:
        answer = await repository.ask("GET", url)
        found = msgspec.json.decode(answer.body, type=dict[str, Any])
    except Refusal as refusal:
        if refusal.status == 404:
            raise NotFound(f"registry {repository.endpoint.host} has no search: it has no /v1/search") from None
        raise plain_error(refusal) from None
    except msgspec.MsgspecError:
        raise NotFound(f"registry {repository.endpoint.host} has no search: what it answers is no JSON") from None
    return [_row(row) for row in found.get("results") or []]


def _row(found: dict[str, Any]) -> dict[str, Any]:
    return {
        "star_count": int(found.get("star_count") or 0),
        "is_official": bool(found.get("is_official")),
        "name": str(found.get("name", "")),
        "is_automated": bool(found.get("is_automated")),
        "description": str(found.get("description") or ""),
    }


def _fits(row: dict[str, Any], filters: Filters) -> bool:
    official, automated = filters.flag("is-official"), filters.flag("is-automated")
    stars = [int(text) for text in filters.values("stars") if text.isdecimal()]
    return (
        (official is None or row["is_official"] is official)
        and (automated is None or row["is_automated"] is automated)
        and all(row["star_count"] >= least for least in stars)
    )
