"""Host ports: which are free, who holds them. The forwarding itself is the firewall's work.

A port in use is held by a bound socket that does not listen: so other programs cannot take it, and their listening
sockets make us fail, as users expect of a published port. The sockets end with the daemon; the forwarding does not.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable

from common.errors import Forbidden, InvalidArgument, ShoalError, Unsupported
from worker.network.base import PortMapping

_KINDS = {
    "tcp": (socket.SOCK_STREAM, 0),
    "udp": (socket.SOCK_DGRAM, 0),
    "sctp": (socket.SOCK_STREAM, socket.IPPROTO_SCTP),
}
ANY = {4: "0.0.0.0", 6: "::"}
_TRIES = 20  # for an ephemeral port that is free at all of its addresses


class HostPorts:
    """The ports that this daemon publishes, each with the socket that holds it."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, str, int], socket.socket | None] = {}

    def take(self, protocol: str, addresses: Iterable[str], port: int, last: int = 0) -> int:
        """Hold `port` (0: a free one; with `last` the first free one up to it) at all addresses, all or none; return it.

        Raises InvalidArgument (an address that is not this host's), ShoalError with Docker's text where it is taken.
        """
        wanted = list(addresses)
        refusal = None
        for candidate in _candidates(port, last):
            try:
                return self._take(protocol, wanted, candidate)
            except _Taken as error:
                refusal = error
        raise _taken(wanted[0], f"{port}-{last}") if last > port or refusal is None else refusal

    def _take(self, protocol: str, addresses: list[str], port: int) -> int:
        held: list[str] = []
        try:
            for address in addresses:
                port = self._hold(protocol, address, port)
                held.append(address)
        except BaseException:
            self.give(protocol, held, port)
            raise
        return port

    def _hold(self, protocol: str, address: str, port: int) -> int:
        if port and self._is_held(protocol, address, port):
            raise _taken(address, port)
        holder = _bind(protocol, address, port)
        if holder:
            port = holder.getsockname()[1]
        self._held[protocol, address, port] = holder
        return port

    def try_take(self, protocol: str, addresses: Iterable[str], port: int) -> bool:
        """Hold the port where it is free; say whether it is held now."""
        try:
            self.take(protocol, addresses, port)
        except ShoalError:
            return False
        return True

    def hold_again(self, protocol: str, addresses: Iterable[str], port: int) -> None:
        """After a restart: hold what containers already have, where the host still lets us."""
        for address in addresses:
            try:
                self._hold(protocol, address, port)
            except ShoalError:
                self._held.setdefault((protocol, address, port), None)

    def give(self, protocol: str, addresses: Iterable[str], port: int) -> None:
        for address in addresses:
            holder = self._held.pop((protocol, address, port), None)
            if holder:
                holder.close()

    def close(self) -> None:
        for holder in self._held.values():
            if holder:
                holder.close()
        self._held.clear()

    def _is_held(self, protocol: str, address: str, port: int) -> bool:
        """The kernel judges by sockets; this also knows ports that could not be held by one."""
        wildcard = "::" if ":" in address else "0.0.0.0"
        if address == wildcard:
            return any(p == protocol and n == port and (":" in a) == (":" in address) for p, a, n in self._held)
        return (protocol, address, port) in self._held or (protocol, wildcard, port) in self._held


def _candidates(port: int, last: int) -> Iterable[int]:
    """What to try, in this order; 0 lets the kernel choose."""
    if last > port:
        return range(port, last + 1)
    return [port] if port else [0] * _TRIES


def check_mapping(mapping: PortMapping) -> None:
    """Raises InvalidArgument, Unsupported."""
    if mapping.protocol not in _KINDS:
        raise Unsupported(f"protocol {mapping.protocol!r} cannot be published: tcp, udp and sctp can")
    fits = 0 <= mapping.host_port < 65536 and 0 <= mapping.last_host_port < 65536
    if not 0 < mapping.container_port < 65536 or not fits:
        raise InvalidArgument(f"invalid port mapping {mapping.host_port}:{mapping.container_port}: ports end at 65535")


def _bind(protocol: str, address: str, port: int) -> socket.socket | None:
    """A bound socket, or None where the kernel has no such protocol for programs (it may still forward it)."""
    kind, number = _KINDS[protocol]
    try:
        holder = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind, number)
    except OSError:
        return None
    try:
        if ":" in address:
            holder.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        _bind_over_leftovers(holder, address, port)
    except OSError as error:
        holder.close()
        raise _refusal(error, address, port) from None
    return holder


def _bind_over_leftovers(holder: socket.socket, address: str, port: int) -> None:
    """Closed connections that wait out their time block a plain bind, but no new server: neither should they block us."""
    try:
        holder.bind((address, port))
    except OSError as error:
        if error.errno != errno.EADDRINUSE or holder.type != socket.SOCK_STREAM:
            raise
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((address, port))


def _refusal(error: OSError, address: str, port: int) -> ShoalError:
    if error.errno == errno.EADDRINUSE:
        return _taken(address, port)
    if error.errno == errno.EADDRNOTAVAIL:
        return InvalidArgument(f"cannot publish port {port} at {address}: this host does not have that address")
    return Forbidden(f"cannot publish port {port} at {address}: {error.strerror}")


class _Taken(ShoalError):
    """Docker answers 500 here, and clients match on its text."""


def _taken(address: str, port: int | str) -> _Taken:
    where = f"[{address}]" if ":" in address else address
    return _Taken(f"Bind for {where}:{port} failed: port is already allocated")
