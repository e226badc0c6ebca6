"""How a manager becomes a member: it asks any other one, is sent on to the leader, and asks until it is a voter."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence

import aiohttp
import msgspec
import structlog
from aiohttp import web

from common import http
from common.errors import Forbidden
from common.identity.tls import SERVER_NAME
from manager.raft.log import RaftLog

JOIN = "/shoal/v1/raft/join"
MISDIRECTED = 421  # the status of an answer that names the leader
PAUSE = 0.5  # seconds before another round of asking
ANSWER = aiohttp.ClientTimeout(total=None, sock_connect=2.0)  # catching up takes as long as it takes

log = structlog.get_logger()


class Request(msgspec.Struct, frozen=True):
    """Where the manager listens, and the birth of its disk (RaftLog.birth)."""

    address: str
    birth: str = ""


class Answer(msgspec.Struct, frozen=True):
    """`leader`: whom to ask, host:port, where it was not asked; `message`: what is in the way."""

    leader: str = ""
    message: str = ""


def route(raft: RaftLog, identify: Callable[[web.Request], str | None]) -> web.RouteDef:
    """The endpoint; `identify` tells which manager asks, by its certificate."""

    async def join(request: web.Request) -> web.Response:
        id, wish = identify(request), await http.body(request, Request)
        if id is None:
            raise Forbidden("a manager's certificate is needed to join the managers")
        if raft.is_leader():
            await raft.add(id, wish.address, wish.birth)
            return http.answer(Answer())
        leader = next((member.address for member in raft.members() if member.leader), "")
        return http.answer(Answer(leader, "this manager does not lead: ask the leader"), MISDIRECTED)

    return web.post(JOIN, join)


async def become_member(
    raft: RaftLog,
    address: str,
    managers: Callable[[], Sequence[str]],
    context: Callable[[], ssl.SSLContext | None],
) -> None:
    """Ask `managers` (host:port) until `raft` is a voter that is known to listen at `address`; at once where it is so."""
    joining = asyncio.ensure_future(raft.joined(address))
    try:
        async with aiohttp.ClientSession(timeout=ANSWER) as session:
            while not joining.done():
                await _round(session, Request(address, raft.birth), list(managers()), context, joining)
        await joining
    finally:
        joining.cancel()


async def _round(
    session: aiohttp.ClientSession,
    wish: Request,
    managers: list[str],
    context: Callable[[], ssl.SSLContext | None],
    joining: asyncio.Future[None],
) -> None:
    """Ask one after the other, a leader that one names next; return when joined, or after a pause."""
    asked = set()
    while managers and not joining.done():
        manager = managers.pop(0)
        if manager in asked or manager == wish.address:
            continue
        asked.add(manager)
        asking = asyncio.ensure_future(_ask(session, wish, manager, context()))
        await asyncio.wait((asking, joining), return_when=asyncio.FIRST_COMPLETED)
        asking.cancel()
        await asyncio.wait((asking,))
        if not asking.cancelled() and (leader := asking.result()):
            managers.insert(0, leader)
    await asyncio.wait((joining,), timeout=PAUSE)


async def _ask(session: aiohttp.ClientSession, wish: Request, manager: str, context: ssl.SSLContext | None) -> str:
    """Returns whom to ask in place of `manager`, "" for nobody."""
    url = f"{'https' if context else 'http'}://{manager}{JOIN}"
    try:
        async with session.post(
            url,
            data=msgspec.json.encode(wish),
            headers={"Content-Type": "application/json"},
            ssl=context or False,
            server_hostname=SERVER_NAME if context else None,
        ) as response:
            answer = msgspec.json.decode(await response.read(), type=Answer)
    except (aiohttp.ClientError, OSError, TimeoutError, msgspec.MsgspecError) as error:
        log.info("a manager cannot be asked to join", manager=manager, reason=str(error) or type(error).__name__)
        return ""
    if response.status not in (200, MISDIRECTED):
        log.warning("not a member of the managers yet", manager=manager, reason=answer.message)
    return answer.leader
