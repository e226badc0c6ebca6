"""Pull, push and all else that asks registries: the one object of a node that the API and the tasks use."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from common.errors import NotFound, Unavailable
from common.filters import Filters
from common.reference import Reference
from common.settings import Settings
from worker.distribution.credentials import NOBODY, Credentials
from worker.distribution.media import INDEXES
from worker.distribution.progress import Message, told
from worker.distribution.pull import Puller, read_index, read_manifest
from worker.distribution.push import Pusher
from worker.distribution.refusal import Refusal, pull_error
from worker.distribution.repository import open_repository
from worker.distribution.search import search
from worker.distribution.transport import Transport
from worker.images.config import parse_config
from worker.images.store import LocalImages

_PATIENCE, _SILENCE = 3.0, 30.0  # seconds


class Distribution:
    """Keeps no connection while nothing goes on."""

    def __init__(self, settings: Settings, images: LocalImages) -> None:
        self._images = images
        self._silent: dict[str, float] = {}  # registry → until when nobody waits for it
        self._transport = Transport(settings)
        self._puller = Puller(images, self._transport)
        self._pusher = Pusher(images, self._transport)

    def pull(
        self, reference: Reference, credentials: Credentials = NOBODY, *, platform: str = "", every_tag: bool = False
    ) -> AsyncGenerator[Message, None]:
        """Pull, giving Docker's messages; leaving early cancels, and what came stays for the next time."""
        return told(
            lambda progress: self._puller.pull(reference, credentials, progress, platform=platform, every_tag=every_tag)
        )

    async def ensure(self, reference: Reference, credentials: Credentials = NOBODY, *, platform: str = "") -> None:
        """Pull, without messages."""
        async with aclosing(self.pull(reference, credentials, platform=platform)) as messages:
            async for _ in messages:
                pass

    def push(self, reference: Reference, credentials: Credentials) -> AsyncGenerator[Message, None]:
        """Push one tag, or all of the repository's where the reference has none. Raises NotFound at once."""
        tags = self._images.parts.catalog.repository(reference.familiar_name)
        chosen = [reference] if reference.tag else tags
        if not chosen or any(str(tag) not in map(str, tags) for tag in chosen):
            if reference.tag:
                raise NotFound(f"tag does not exist: {reference.familiar}", ("image", reference.familiar))
            raise NotFound(
                f"An image does not exist locally with the tag: {reference.familiar_name}",
                ("image", reference.familiar),
            )
        return told(lambda progress: self._pusher.push(chosen, credentials, progress))

    async def describe(self, reference: Reference, credentials: Credentials) -> dict[str, Any]:
        """GET /distribution/{name}/json: what a reference means at its registry, with its platforms.

        Clients ask this for each service. Where the image is here anyway they need not wait long for a registry that is away.
        """
        reference = reference.tagged()
        patience = _PATIENCE if self._is_here(reference) else None
        if patience and time.monotonic() < self._silent.get(reference.domain, 0.0):
            raise Unavailable(f"registry {reference.domain} did not answer a moment ago: try again later")
        try:
            async with asyncio.timeout(patience):
                return await self._describe(reference, credentials)
        except (TimeoutError, Unavailable) as error:
            self._silent[reference.domain] = time.monotonic() + _SILENCE
            raise Unavailable(str(error) or f"registry {reference.domain} does not answer in time") from None

    def _is_here(self, reference: Reference) -> bool:
        try:
            return bool(self._images.find(str(reference)))
        except NotFound:
            return False

    async def _describe(self, reference: Reference, credentials: Credentials) -> dict[str, Any]:
        try:
            async with open_repository(self._transport, reference, credentials) as repository:
                found = await repository.manifest(reference.digest or reference.tag)
                if found.media_type in INDEXES:
                    offered = [entry.platform for entry in read_index(found).manifests]
                    shown = [_platform(p.os, p.architecture, p.variant) for p in offered]
                else:
                    config = parse_config(await repository.small_blob(read_manifest(found).config.digest))
                    shown = [_platform(config.os, config.architecture, config.variant)]
        except Refusal as refusal:
            raise pull_error(refusal, reference) from None
        descriptor = {"mediaType": found.media_type, "digest": found.digest, "size": len(found.data)}
        return {"Descriptor": descriptor, "Platforms": shown}

    async def search(self, term: str, credentials: Credentials, filters: Filters, limit: int) -> list[dict[str, Any]]:
        return await search(self._transport, term, credentials, filters, limit)


def _platform(os: str, architecture: str, variant: str) -> dict[str, str]:
    fields = {"architecture": architecture, "os": os, "variant": variant}
    return {key: value for key, value in fields.items() if value}
