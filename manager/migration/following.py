"""The manager's life over several logs: it serves one until the cluster moves on, helps to begin the next, and serves that."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from pathlib import Path

import msgspec
import structlog

from common.errors import ShoalError, Unavailable
from common.identity import requests
from common.settings import Settings
from manager.migration.places import Place, note_place, place_of, placed, present_place
from manager.store.move import Moved

log = structlog.get_logger()
PATH = "/shoal/v1/cluster/store"
RETRY = 1.0  # seconds between attempts to begin the new log
ASKING = 3.0  # seconds between two rounds of asking the other managers


class Elsewhere(Exception):
    """Other managers serve from another place, which this one did not hear of by its own log."""

    def __init__(self, place: Place) -> None:
        super().__init__(f"the cluster's state lies in {place.store}")
        self.place = place


async def live(
    settings: Settings, node_id: str, serve: Callable[[Settings], Awaitable[None]], log_keys: Sequence[bytes] = ()
) -> None:
    """Run `serve` with the present store's settings, again after each move. Raises what `serve` raises otherwise."""
    while True:
        try:
            await serve(placed(settings))
            return
        except (Moved, Elsewhere, BaseExceptionGroup) as error:
            reason = _reason(error)
            if reason is None:
                raise
            _heed_cancellation(error)
            await _go(settings, node_id, reason, log_keys)


async def ask_others(
    settings: Settings, managers: Callable[[], Iterable[str]], context: ssl.SSLContext, lost: Callable[[], bool]
) -> None:
    """While this manager is `lost`, as one that slept through a move is (a Raft log without a leader), or one whose settings
    do not know where its cluster's state lies, ask the other managers (host:port), for ever. Raises Elsewhere."""
    own = present_place(settings)
    while True:
        await asyncio.sleep(ASKING)
        for address in managers() if lost() else ():
            place = await _asked(address, context)
            if place is not None and place.number >= own.number and place != own:
                raise Elsewhere(place)


async def _asked(address: str, context: ssl.SSLContext) -> Place | None:
    try:
        answer = await requests.send("GET", address, PATH, context)
        return msgspec.json.decode(answer, type=Place)
    except (ShoalError, msgspec.DecodeError) as error:
        log.info("a manager does not tell where the state lies", asked=address, error=str(error))
        return None


async def _go(settings: Settings, node_id: str, reason: Moved | Elsewhere, log_keys: Sequence[bytes]) -> None:
    """Begin the new log, unless another manager did; then note it, and let go of the old one's files."""
    former = present_place(settings)
    if isinstance(reason, Moved):
        await _begin(settings, node_id, reason, log_keys)
    place = place_of(reason.move) if isinstance(reason, Moved) else reason.place
    note_place(settings.root, place)
    if former.store == "raft" and place.store != "raft":
        await asyncio.to_thread(shutil.rmtree, settings.root / "raft", ignore_errors=True)
    log.info("the cluster's state moved", to=place.store, prefix=place.prefix)


async def _begin(settings: Settings, node_id: str, moved: Moved, log_keys: Sequence[bytes]) -> None:
    move, state = moved.move, await asyncio.to_thread(moved.encode)
    if move.store == "raft":
        from manager.raft.seeding import seed

        folder = Path(settings.root) / "raft"
        if node_id not in move.members:  # it became a manager later: it enters the group as any new one
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            return None
        await asyncio.to_thread(seed, folder, node_id, move.members, move.token, moved.index, state, log_keys)
        return None
    from manager.etcd.opening import etcd_client
    from manager.etcd.seeding import fill

    while True:
        try:
            async with etcd_client(settings, move.store) as client:
                return await fill(client, move.prefix, move.token, moved.index, state)
        except Unavailable as error:
            log.warning("the cluster's state cannot be written to etcd yet", error=error.message)
            await asyncio.sleep(RETRY)


def _heed_cancellation(error: BaseException) -> None:
    """A stop that came while the log ended: a TaskGroup that fails in that moment tells only of its own errors."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError from error


def _reason(error: BaseException) -> Moved | Elsewhere | None:
    return next((one for one in _flat(error) if isinstance(one, Moved | Elsewhere)), None)


def _flat(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _flat(inner)
    else:
        yield error
