"""This node's place in a cluster: the one writer of its identity, and who tells others when it becomes another one.

Owns certificate renewal, the change between worker and manager as the managers ask for it, locking, and what follows when
the machine has another address (whereabouts.py). Becoming part of a cluster and leaving it are the steps of lifecycle.py,
which end here in `become`.
"""

from __future__ import annotations

import asyncio
import shutil
import ssl
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import aiohttp
import msgspec
import structlog
from msgspec.structs import replace

from common import wire
from common.errors import ShoalError, Unavailable
from common.identity import Identity, IdentityFile, requests
from common.identity.start import ManagerStart
from common.identity.tls import Tls
from common.identity.trust import tls_info
from common.log import of_node
from common.model.node import TLSInfo
from common.settings import Settings
from worker.membership import certificates, whereabouts
from worker.membership.base import ManagerProcess
from worker.network.own_addresses import own_addresses

log = structlog.get_logger()
RETRY = (0.2, 60.0)  # seconds: first and longest pause between two tries to renew
LOOK = 2.0  # seconds between looks at the machine's addresses
OF_MANAGERS = ("raft",)  # folders below the root that belong to a manager of one cluster
PLACE = "swarm/store"  # where that cluster's state moved to (manager/migration/places.py)


class Membership:
    """Holds the identity; `run()` keeps it good, `watch()` its address. See worker/session/membership.py for the session's view of it."""

    def __init__(self, settings: Settings, file: IdentityFile, identity: Identity, process: ManagerProcess) -> None:
        self._settings = settings
        self._file = file
        self._identity = identity
        of_node(identity.node_id)
        self._process = process
        self._tls = _tls(identity)
        self._changed = asyncio.Event()  # replaced whenever the node begins another life
        self._welcomed = asyncio.Event()  # a manager of the present life has spoken
        self._asked = asyncio.Event()
        self._told: wire.Membership | None = None
        self._refused = ""  # why the managers do not take this node in
        self._misplaced = ""  # what is wrong with its address
        self._double = False  # another machine is this manager too: none may run here
        self.changing = asyncio.Lock()  # held by whoever takes the node through several steps to another identity

    # -- what others ask

    @property
    def identity(self) -> Identity:
        return self._identity

    @property
    def node_id(self) -> str:
        return self._identity.node_id

    @property
    def alone(self) -> bool:
        """True while the node is a cluster of its own, which nobody has asked for."""
        return not self._identity.cluster_id

    @property
    def locked(self) -> bool:
        return self._identity.keys is None

    @property
    def manages(self) -> bool:
        """True where a manager runs on this node, or is about to."""
        return self._identity.role == "manager" and not self.locked and not self._double

    def state(self) -> str:
        """What GET /_ping says of the swarm."""
        return "locked" if self.locked else f"active/{self._identity.role}"

    def info(self) -> dict[str, Any]:
        """What a node knows of the swarm without a manager, in the words of GET /info."""
        return {
            "NodeID": self.node_id,
            "NodeAddr": self._identity.advertise.rpartition(":")[0].strip("[]"),
            "LocalNodeState": "locked" if self.locked else "active",
            "ControlAvailable": self.manages,
            "Error": self.trouble,
            "RemoteManagers": [{"NodeID": "", "Addr": address} for address in self._identity.managers] or None,
        }

    @property
    def trouble(self) -> str:
        """What keeps this node from its place in the cluster, as a sentence; empty where nothing does."""
        return self._misplaced or self._refused

    def refusal(self) -> str:
        """Why this node's users cannot see or change the cluster's state here; empty where they can."""
        if self.locked:
            return (
                "Swarm is encrypted and needs to be unlocked before it can be used. "
                'Please use "docker swarm unlock" to unlock it.'
            )
        if self._double:
            return self._misplaced
        if not self.manages:
            return (
                "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. "
                "Please run this command on a manager node or promote the current node to a manager."
            )
        return ""

    def managers(self) -> Sequence[str]:
        """Where sessions may be had, best first. For a copy of a manager nowhere: the first would suffer from it."""
        if self._double:
            return []
        own = [f"unix://{self._settings.manager_socket}"] if self.manages else []
        return [*own, *(address for address in self._identity.managers if address != self._identity.advertise)]

    def client_context(self) -> ssl.SSLContext | None:
        return self._tls.client if self._tls else None

    def tls_info(self) -> TLSInfo | None:
        return tls_info(self._identity)

    def data_path(self) -> str:
        """The address at which this node takes in the cluster's networks; empty where it is a cluster of its own."""
        return self._identity.data_path or self._identity.advertise.rpartition(":")[0].strip("[]")

    async def ask_managers(self, method: str, path: str, body: msgspec.Struct) -> bytes:
        """The answer of the first manager that can be asked. Raises what it raised, and Unavailable."""
        if self._tls is None:
            raise Unavailable("this node has no certificate: it is locked")
        client = self._tls.client
        return await certificates.first(
            self._identity.managers, lambda address: requests.send(method, address, path, client, body)
        )

    async def changed(self) -> None:
        await self._changed.wait()

    async def welcomed(self) -> None:
        """Return once a manager has taken this node's session in, in its present life."""
        await self._welcomed.wait()

    # -- what changes it

    async def start(self) -> None:
        """Finish what a crash cut off, and let a manager run where the identity asks for one. Once, at the daemon's start."""
        if self._identity.remains:
            await self._clear(self._identity)
        await self._look_around()
        self._run_manager()

    def refused(self, reason: str) -> None:
        """Managers do not take this node in, for this reason; empty once one does."""
        self._refused = reason

    def told(self, message: wire.Membership) -> None:
        """A manager says what the node is wanted as. What follows is done by `run`."""
        self._told = message
        self._welcomed.set()
        self._asked.set()

    async def become(
        self, identity: Identity, *, force_new: bool = False, keep_state: bool = True, unlock_key: str | None = None
    ) -> None:
        """Take `identity` on, durably, and let the manager run or end as it says.

        Without `keep_state` what a manager of the old cluster left on disk goes. `unlock_key`: by which the keys of another
        identity are sealed, as long as no manager says otherwise.
        """
        another = identity.node_id != self.node_id or identity.cluster_id != self._identity.cluster_id
        self._process.want(None)
        await self._process.stopped()  # whoever asks for the manager from now on meets the new one
        if another:
            self._file.unlock_key = unlock_key
            self._misplaced, self._double = "", False
        if keep_state:
            await asyncio.to_thread(self._file.save, identity)
        else:
            await self._clear(identity)
        self._take(identity)
        self._run_manager(force_new)
        if another:
            self._begin_anew()

    async def unlock(self, key: str) -> None:
        """Go on with the keys that the identity holds sealed; the file stays as it is. Raises Unauthorized."""
        self._take(self._file.unlock(self._identity, key))
        await self._look_around()
        self._run_manager()
        self._begin_anew()

    def _run_manager(self, force_new: bool = False) -> None:
        self._process.want(ManagerStart(self._identity, force_new) if self.manages else None)

    async def _clear(self, identity: Identity) -> None:
        """Take `identity` to the disk, and from there what a manager of the life before left: a crash in between is noted down."""
        await asyncio.to_thread(self._file.save, replace(identity, remains=True))
        await asyncio.to_thread(self._wipe)
        await asyncio.to_thread(self._file.save, identity)

    def _take(self, identity: Identity) -> None:
        self._identity = identity
        of_node(identity.node_id)
        self._tls = _tls(identity)

    def _begin_anew(self) -> None:
        self._told, self._refused = None, ""
        self._welcomed = asyncio.Event()
        self._changed.set()
        self._changed = asyncio.Event()
        self._asked.set()

    def _wipe(self) -> None:
        for name in OF_MANAGERS:
            shutil.rmtree(self._settings.root / name, ignore_errors=True)
        (self._settings.root / PLACE).unlink(missing_ok=True)

    async def let_go(self) -> None:
        """Return once other managers say that this one is none any more. Raises Unavailable where none can be asked."""
        others = [address for address in self.managers() if not address.startswith("unix://")]
        while (await certificates.renewed(self._identity, others)).role == "manager":  # noqa: ASYNC110 (others cannot tell by an event)
            await asyncio.sleep(RETRY[0])

    # -- what it does by itself

    async def run(self) -> None:
        """Follow what the managers say, and renew the certificate in time, for ever."""
        pause = RETRY[0]
        while True:
            self._asked.clear()
            try:
                async with self.changing:
                    await self._follow()
                pause, wait = RETRY[0], self._until_renewal()
            except (ShoalError, OSError, aiohttp.ClientError) as error:
                log.warning(
                    "the node does not have the certificate yet that it should have, trying again", error=str(error)
                )
                wait, pause = pause, min(pause * 2, RETRY[1])
            with suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), wait)

    async def watch(self) -> None:
        """Notice when the machine's address changes, for ever."""
        while True:
            await asyncio.sleep(LOOK)
            async with self.changing:
                await self._look_around()

    async def _look_around(self) -> None:
        if self.alone or self._tls is None:
            self._misplaced, self._double = "", False
            return
        client = self._tls.client
        interfaces = await asyncio.to_thread(own_addresses, self._settings.bridge_name)
        found = await whereabouts.look(self._identity, interfaces, lambda at: whereabouts.holder(at, client))
        if found.trouble and found.trouble != self._misplaced:
            log.error("this node is not where the others look for it", reason=found.trouble)
        before, self._misplaced, self._double = self._double, found.trouble, found.double
        if found.identity != self._identity:
            log.warning("this machine's address is another one now", address=found.identity.advertise)
            await self.become(found.identity)
        elif before != self._double:
            self._run_manager()

    def _until_renewal(self) -> float | None:
        """Seconds; None where there is nothing to renew."""
        return max(self._identity.renew_at - time.time(), 0.0) if self._tls else None

    async def _follow(self) -> None:
        told = self._told
        if self.alone or self.locked:
            return
        if told is not None:
            await self._remember(told)
        if self._identity.renew_at <= time.time() or (told is not None and _asks(told, self._identity)):
            await self._renew()
            self._check_role(told)
        if self._told is told:
            self._told = None

    async def _remember(self, told: wire.Membership) -> None:
        """Where managers are, whom to trust, and the key that locks: with all that a manager goes on as it runs."""
        known = replace(
            self._identity,
            managers=[*told.managers] or self._identity.managers,
            roots=told.roots or self._identity.roots,
        )
        if (told.unlock_key or None) != self._file.unlock_key:
            await asyncio.to_thread(self._file.lock, known, told.unlock_key)
        if known != self._identity:
            await self._keep(known)

    async def _keep(self, identity: Identity) -> None:
        """A change with which nothing has to start anew."""
        await asyncio.to_thread(self._file.save, identity)
        self._identity = identity
        if self._tls is not None:
            self._tls.reload(identity)
        self._process.update(identity)

    async def _renew(self) -> None:
        # The own manager comes last: where it was demoted it is the last to hear of it.
        wanted = await certificates.renewed(self._identity, [*reversed(self.managers())])
        log.info("the node has a new certificate", role=wanted.role)
        if wanted.role == self._identity.role:
            await self._keep(wanted)
        else:
            await self.become(wanted, keep_state=False)

    def _check_role(self, told: wire.Membership | None) -> None:
        if told is None:
            return
        if told.leaving and self._identity.role == "manager":
            raise Unavailable("this node is to be a worker, but the other managers have not let it go yet")
        if not told.leaving and told.role != self._identity.role:
            raise Unavailable(f"the managers want this node as a {told.role}, but the one asked has not heard of it")


def _tls(identity: Identity) -> Tls | None:
    return Tls(identity) if identity.certificate and identity.keys is not None else None


def _asks(told: wire.Membership, identity: Identity) -> bool:
    return told.renew or told.role != identity.role or (told.leaving and identity.role == "manager")
