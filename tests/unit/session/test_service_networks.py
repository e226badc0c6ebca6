"""What is programmed of the cluster's networks, in which order, and what a failure holds up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from common.errors import Conflict
from common.model import Network, NetworkSpec
from common.wire import Assignments, Peer, ServiceEndpoint
from tests.harness.wait import eventually
from worker.session import services
from worker.session.services import ServiceNetworks

WEB = ServiceEndpoint(service_id="web", service_name="web", network_id="n1", vip="10.0.0.2")


def assignments(*networks: str) -> Assignments:
    return Assignments(
        networks={id: Network(id=id, spec=NetworkSpec(name=id, driver="overlay")) for id in networks},
        endpoints={WEB.id: WEB},
    )


class SlowNetworks:
    """A ClusterNetworks that programs when `open` says so. `broken`: networks that cannot come. `room`: for how many there is."""

    def __init__(self, room: int = 9) -> None:
        self.room = room
        self.open = asyncio.Event()
        self.open.set()
        self.broken: set[str] = set()
        self.known: list[str] = []
        self.programmed: list[ServiceEndpoint] = []

    def guests(self) -> Sequence[str]:
        return []

    async def ensure(self, network: Network) -> None:
        if network.id in self.broken or (network.id not in self.known and len(self.known) >= self.room):
            raise Conflict("its subnet is in use")
        if network.id not in self.known:
            self.known.append(network.id)

    async def forget_idle(self, needed: Callable[[], set[str]]) -> None:
        self.known = [id for id in self.known if id in needed()]

    async def reach(self, peers: list[Peer]) -> None: ...

    async def program(self, endpoints: list[ServiceEndpoint]) -> None:
        await self.open.wait()
        self.programmed = endpoints


async def test_catching_up_means_that_all_updates_so_far_are_programmed() -> None:
    networks = SlowNetworks()
    networks.open.clear()
    async with asyncio.TaskGroup() as group:
        followed = ServiceNetworks(networks, set)
        running = group.create_task(followed.run())
        await followed.caught_up()
        followed.update(assignments("n1"))
        waiting = group.create_task(followed.caught_up())
        await eventually(lambda: networks.known == ["n1"])
        assert not waiting.done()
        networks.open.set()
        await waiting
        assert networks.programmed == [WEB]
        running.cancel()


async def test_one_network_that_fails_holds_nothing_up_and_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "RETRY", 0.001)
    networks = SlowNetworks()
    networks.broken = {"n1"}
    async with asyncio.TaskGroup() as group:
        followed = ServiceNetworks(networks, set)
        running = group.create_task(followed.run())
        followed.update(assignments("n1", "n2"))
        await followed.caught_up()
        assert (networks.known, networks.programmed) == (["n2"], [WEB])
        networks.broken = set()
        await eventually(lambda: networks.known == ["n2", "n1"])
        running.cancel()


async def test_a_network_goes_once_nothing_needs_it() -> None:
    networks, in_use = SlowNetworks(), {"n1"}
    async with asyncio.TaskGroup() as group:
        followed = ServiceNetworks(networks, lambda: in_use)
        running = group.create_task(followed.run())
        followed.update(assignments("n1"))
        followed.update(Assignments())
        await followed.caught_up()
        followed.update(assignments("n1"))
        await followed.caught_up()
        followed.update(Assignments())
        await followed.caught_up()
        assert networks.known == ["n1"]
        in_use.clear()
        followed.look_again()
        await eventually(lambda: networks.known == [])
        running.cancel()


async def test_a_network_takes_the_place_of_one_that_nothing_needs() -> None:
    networks = SlowNetworks(room=1)
    async with asyncio.TaskGroup() as group:
        followed = ServiceNetworks(networks, set)
        running = group.create_task(followed.run())
        for id in ("n1", "n2"):
            followed.update(assignments(id))
            await followed.caught_up()
            assert networks.known == [id]
        running.cancel()
