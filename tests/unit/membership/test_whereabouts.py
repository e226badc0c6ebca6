"""A node whose machine has another address, and a copy of a node."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address

import pytest

from common.identity import Identity
from worker.membership.addresses import CHOSEN, FOREIGN, OWN, Interfaces
from worker.membership.whereabouts import Finding, look

OLD = {"eth0": [ip_address("192.0.2.7")]}
NEW = {"eth0": [ip_address("192.0.2.8")]}
TWO = {**NEW, "eth1": [ip_address("198.51.100.7")]}


def _identity(kind: str, role: str = "manager", advertise: str = "192.0.2.7:4000") -> Identity:
    managers = ["192.0.2.1:2377", advertise]
    return Identity(node_id="n1", role=role, advertise=advertise, address_kind=kind, managers=managers)


def _look(identity: Identity, interfaces: Interfaces, holder: str = "") -> Finding:
    async def found(_: str) -> str:
        return holder

    return asyncio.run(look(identity, interfaces, found))


@pytest.mark.parametrize("kind", [CHOSEN, OWN, FOREIGN])
def test_an_address_that_is_there_stays(kind: str) -> None:
    assert _look(_identity(kind), OLD, "n1") == Finding(_identity(kind))


@pytest.mark.parametrize("advertise", ["manager1.example:2377", "127.0.0.1:2377"])
def test_names_and_the_loopback_are_always_there(advertise: str) -> None:
    assert _look(_identity(OWN, advertise=advertise), NEW) == Finding(_identity(OWN, advertise=advertise))


def test_a_chosen_address_follows_the_machine() -> None:
    found = _look(_identity(CHOSEN), NEW)
    assert (found.identity.advertise, found.identity.managers) == (
        "192.0.2.8:4000",
        ["192.0.2.1:2377", "192.0.2.8:4000"],
    )
    assert (found.trouble, found.double) == ("", False)


def test_an_address_that_leads_here_from_elsewhere_is_none_of_the_machines() -> None:
    assert _look(_identity(FOREIGN), NEW) == Finding(_identity(FOREIGN))


@pytest.mark.parametrize(
    ("kind", "interfaces", "reason"),
    [(OWN, NEW, "told by --advertise-addr"), (CHOSEN, TWO, "198.51.100.7 on eth1"), (CHOSEN, {}, "could not find")],
)
def test_a_manager_that_cannot_choose_says_what_to_do(kind: str, interfaces: Interfaces, reason: str) -> None:
    found = _look(_identity(kind), interfaces)
    assert found.identity == _identity(kind)
    assert "has the address 192.0.2.7" in found.trouble
    assert reason in found.trouble
    assert "leave and join anew" in found.trouble


@pytest.mark.parametrize("kind", [CHOSEN, OWN])
def test_a_worker_just_goes_on(kind: str) -> None:
    assert _look(_identity(kind, "worker"), NEW).identity.advertise == "192.0.2.8:4000"
    assert _look(_identity(kind, "worker"), TWO) == Finding(_identity(kind, "worker"))


@pytest.mark.parametrize("kind", [CHOSEN, OWN, FOREIGN])
def test_a_copy_of_a_manager_does_not_take_its_place(kind: str) -> None:
    found = _look(_identity(kind), NEW, "n1")
    assert (found.double, found.identity) == (True, _identity(kind))
    assert "another machine is node n1 too" in found.trouble
    assert not _look(_identity(kind), NEW, "n2").double
