"""Certificates for this node: asked of whichever manager answers, and made part of the identity."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from msgspec.structs import replace

from common.errors import ShoalError, Unavailable
from common.identity import Identity, Keys, requests
from common.identity.identity import new_key
from common.identity.requests import Certified, JoinRequest
from worker.membership.addresses import Place

T = TypeVar("T")


async def renewed(identity: Identity, managers: Iterable[str]) -> Identity:
    """The identity with a new certificate, in the role that the managers want it to have. Raises ShoalError."""
    answer, key = await first(managers, lambda address: requests.renewed(address, identity))
    return certified(identity, answer, key)


async def joined(remotes: Iterable[str], token: str, wish: JoinRequest, key: str, place: Place) -> Identity:
    """A new identity, as the cluster whose manager is at one of `remotes` gives it. Raises ShoalError."""

    async def join(address: str) -> tuple[str, Certified]:
        root = await requests.fetch_root(address, token)
        return address, await requests.join(address, root, wish)

    remote, answer = await first(remotes, join)
    blank = Identity(node_id=answer.node_id, managers=[remote], keys=Keys())
    return certified(placed(blank, place), answer, key)


def placed(identity: Identity, place: Place) -> Identity:
    return replace(
        identity,
        listen=place.listen,
        advertise=place.advertise,
        address_kind=place.kind,
        data_path=place.data_path,
    )


def certified(identity: Identity, answer: Certified, key: str) -> Identity:
    """`identity` with what a manager answered; `key` is the certificate's."""
    known = identity.keys or Keys()
    manages = answer.role == "manager"
    keys = Keys(
        tls=key,
        cluster=(answer.cluster_key or known.cluster) if manages else b"",
        log=(known.log or new_key()) if manages else b"",
    )
    return replace(
        identity,
        node_id=answer.node_id,
        cluster_id=answer.cluster_id,
        role=answer.role,
        certificate=answer.certificate,
        roots=answer.roots,
        managers=[*answer.managers] or identity.managers,
        keys=keys,
    )


async def first(addresses: Iterable[str], ask: Callable[[str], Awaitable[T]]) -> T:
    """The first answer. What a manager refuses is refused by all; only one that cannot be asked is passed over."""
    last: ShoalError = Unavailable("no manager is known: give the address of one")
    for address in addresses:
        try:
            return await ask(address)
        except Unavailable as error:
            last = error
    raise last
