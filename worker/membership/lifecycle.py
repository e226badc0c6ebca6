"""The steps by which a node founds a cluster, joins one, restores one, leaves it, and is unlocked. Each ends in Membership.become.

A step that fails leaves the node what it was; one that is cut off by a crash is finished or may be asked for again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec
from msgspec.structs import replace

from common import backup
from common.errors import Conflict, InvalidArgument, NotAcceptable, ShoalError, Unavailable
from common.identity import Identity, Keys, requests
from common.identity.identity import first_identity, new_key
from common.identity.requests import Certified, JoinRequest, Prepared
from common.settings import Settings
from worker import host
from worker.api.cluster import Manager
from worker.membership import addresses, certificates
from worker.membership.addresses import Place
from worker.membership.membership import Membership
from worker.network.own_addresses import own_addresses

WELCOME = 20.0  # seconds until a join goes on in the background, as Docker's does
READY = 30.0  # seconds that a manager may take to come up
LOOK = 0.05  # seconds between looks
FAREWELL = 10.0  # seconds that the other managers may take to let one go

ANYWHERE = f"0.0.0.0:{addresses.PORT}"  # what `docker swarm init` says where its user said nothing

PART_OF_ONE = 'This node is already part of a swarm. Use "docker swarm leave" to leave this swarm and join another one.'


class Lifecycle:
    """One step at a time, under Membership.changing."""

    def __init__(self, settings: Settings, membership: Membership, manager: Manager) -> None:
        self._settings = settings
        self._membership = membership
        self._manager = manager

    # -- found

    async def found(self, wish: dict[str, Any]) -> str:
        """`wish` is Docker's body of /swarm/init. Returns the node's id."""
        async with self._membership.changing:
            if wish.get("ForceNewCluster") and not self._membership.alone:
                return await self._force(wish)
            if not self._membership.alone:
                raise Unavailable(PART_OF_ONE)
            return await self._found(wish)

    async def _found(self, wish: Mapping[str, Any]) -> str:
        place = await self._place(
            *(str(wish.get(name) or "") for name in ("ListenAddr", "AdvertiseAddr", "DataPathAddr"))
        )
        await self._begun()
        key, csr = await asyncio.to_thread(requests.make_key)
        order = {**wish, "ListenAddr": place.listen, "AdvertiseAddr": place.advertise, "CSR": csr}
        answer = msgspec.json.decode(await self._manager.ask("POST", "/swarm/init", order), type=Certified)
        now = self._membership.identity
        placed = replace(certificates.placed(now, place), managers=[place.advertise])
        locked_by = msgspec.json.decode(await self._manager.ask("GET", "/swarm/unlockkey"))["UnlockKey"] or None
        await self._membership.become(certificates.certified(placed, answer, key), unlock_key=locked_by)
        await self._ready()
        return now.node_id

    async def _begun(self) -> None:
        """Return once a node that has only just started has its cluster of one."""
        with suppress(TimeoutError):
            async with asyncio.timeout(READY):
                while True:
                    try:
                        await self._manager.ask("GET", "/swarm")
                        return
                    except NotAcceptable:
                        await asyncio.sleep(LOOK)

    async def _force(self, wish: Mapping[str, Any]) -> str:
        """After the loss of the quorum: go on as the only manager, with all that this one knows."""
        now = self._membership.identity
        if now.role != "manager":
            raise Unavailable(self._membership.refusal())
        listen, advertise = (str(wish.get(name) or "") for name in ("ListenAddr", "AdvertiseAddr"))
        listen = now.listen if listen in ("", ANYWHERE) else listen
        place = await self._place(listen, advertise or addresses.moved(now.advertise, listen), now.data_path)
        now = certificates.placed(now, place)
        await self._membership.become(replace(now, managers=[now.advertise]), force_new=True)
        await self._ready()
        await self._manager.ask("POST", "/shoal/v1/members/forced")
        return now.node_id

    # -- join

    async def join(
        self,
        remotes: Sequence[str],
        token: str,
        *,
        listen: str,
        advertise: str,
        data_path: str,
        availability: str,
    ) -> None:
        async with self._membership.changing:
            if not self._membership.alone:
                raise Unavailable(PART_OF_ONE)
            await self._refuse_with_services()
            if not remotes:
                raise InvalidArgument("at least 1 remote address is required to join: give a manager's HOST:PORT")
            towards = "" if advertise else await self._address_towards(remotes[0])
            place = await self._place(listen, advertise, data_path, towards)
            await self._membership.become(await self._joined(remotes, token, availability, place), keep_state=False)
        await self._welcomed()

    async def _refuse_with_services(self, step: str = "joining") -> None:
        """A node's own services would be lost without a word."""
        services = msgspec.json.decode(await self._manager.ask("GET", "/services"))
        if services:
            raise Conflict(
                f"this node runs {len(services)} services of its own, which {step} would end: remove them first "
                '("docker service rm"), or give them up by "docker swarm leave --force"'
            )

    async def _address_towards(self, remote: str) -> str:
        """This node's host address on the way to a manager: what others reach it by where the user says nothing."""
        ip, port = addresses.split(remote)
        return await asyncio.to_thread(addresses.towards, ip, port)

    async def _joined(self, remotes: Sequence[str], token: str, availability: str, place: Place) -> Identity:
        key, csr = await asyncio.to_thread(requests.make_key)
        wish = JoinRequest(token=token, csr=csr, hostname=host.hostname(), availability=availability)
        return await certificates.joined(remotes, token, wish, key, place)

    async def _welcomed(self) -> None:
        try:
            async with asyncio.timeout(WELCOME):
                await self._membership.welcomed()
                if self._membership.manages:
                    await self._ready()
        except TimeoutError:
            raise Unavailable(
                "Timeout was reached before node joined. The attempt to join the swarm will continue in the background. "
                'Use the "docker info" command to see the current swarm status of your node.'
            ) from None

    # -- restore

    async def restore(self, data: bytes, listen: str, advertise: str, data_path: str) -> str:
        """Become the only manager of the cluster of which `data` is an unsealed backup. Returns the node's id."""
        async with self._membership.changing:
            if not self._membership.alone:
                raise Unavailable(PART_OF_ONE)
            backup.head_of(data)
            await self._refuse_with_services("restoring")
            place = await self._place(listen, advertise, data_path)
            key, csr = await asyncio.to_thread(requests.make_key)
            keys = Keys(log=new_key())
            order = backup.Order(address=place.advertise, csr=csr, log_key=keys.log, backup=data)
            asked = await self._manager.ask("POST", backup.RESTORE, msgspec.msgpack.encode(order))
            answer = msgspec.json.decode(asked, type=Prepared)
            now = self._membership.identity
            placed = replace(certificates.placed(now, place), keys=keys)
            await self._membership.become(
                certificates.certified(placed, answer.certified, key), unlock_key=answer.unlock_key
            )
            await self._ready()
            return now.node_id

    # -- leave

    async def leave(self, *, force: bool) -> None:
        async with self._membership.changing:
            if self._membership.alone:
                await self._begin_anew(force=force)
                return
            if self._membership.identity.role == "manager" and not force:
                await self._refuse_to_leave()
            if self._membership.manages:
                await self._say_farewell()
            await self._membership.become(first_identity(), keep_state=False)
            await self._ready()

    async def _begin_anew(self, *, force: bool) -> None:
        if not force:
            raise Unavailable("This node is not part of a swarm")
        await self._manager.ask("POST", "/swarm/leave")

    async def _refuse_to_leave(self) -> None:
        warning = "You are attempting to leave the swarm on a node that is participating as a manager. "
        managers = await self._manager.get("/nodes", [], filters='{"role":["manager"]}')
        if len(managers) == 1:
            warning += "Removing the last manager erases all current state of the swarm. "
        raise Unavailable(warning + "Use `--force` to ignore this message.")

    async def _say_farewell(self) -> None:
        """The other managers should go on with one less; where they cannot be asked, the user has forced it."""
        try:
            async with asyncio.timeout(FAREWELL):
                await self._manager.ask("POST", "/shoal/v1/members/farewell", wait=False)
                await self._membership.let_go()
        except (ShoalError, TimeoutError):
            pass

    # -- unlock

    async def unlock(self, key: str) -> None:
        async with self._membership.changing:
            if not self._membership.locked:
                raise Conflict("swarm is not locked")
            await self._membership.unlock(key)
        await self._ready()

    # -- both

    async def _place(self, listen: str, advertise: str, data_path: str, best: str = "") -> Place:
        found = await asyncio.to_thread(own_addresses, self._settings.bridge_name)
        return addresses.place(listen, advertise, data_path, found, best=best)

    async def _ready(self) -> None:
        """Return once this node's manager answers."""
        try:
            async with asyncio.timeout(READY):
                await self._manager.up()
        except TimeoutError:
            raise Unavailable(
                f"the step is done, but this node's manager does not answer within {READY:.0f} seconds: the daemon's log says why"
            ) from None
