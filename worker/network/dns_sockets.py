"""The resolver's sockets inside a sandbox. They belong to its namespace; the daemon's loop serves them (dns_server.py).

They listen on ports of the kernel's choice, and a rule in the namespace leads 127.0.0.11:53 there: so a container may
serve DNS itself on 0.0.0.0:53.
"""

from __future__ import annotations

import socket
from contextlib import ExitStack

from worker.network import nft
from worker.network.files import EMBEDDED

_TABLE = "shoal_dns"
_BACKLOG = 64


class DnsSockets:
    """One UDP and one listening TCP socket, non-blocking."""

    def __init__(self, udp: socket.socket, tcp: socket.socket) -> None:
        self.udp, self.tcp = udp, tcp

    @classmethod
    def open_here(cls) -> DnsSockets:
        """Open both in the calling thread's namespace, whose loopback must be up, and lead port 53 to them."""
        with ExitStack() as undo:
            udp = undo.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK))
            tcp = undo.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK))
            udp.bind((EMBEDDED, 0))
            tcp.bind((EMBEDDED, 0))
            tcp.listen(_BACKLOG)
            nft.apply_here(_redirect(udp.getsockname()[1], tcp.getsockname()[1]))
            undo.pop_all()
        return cls(udp, tcp)

    def close(self) -> None:
        self.udp.close()
        self.tcp.close()


def _redirect(udp: int, tcp: int) -> str:
    """Replaces what an earlier daemon led elsewhere. On a fresh namespace nothing is deleted, so nothing waits (nft.py)."""
    return f"""table ip {_TABLE}
flush table ip {_TABLE}
table ip {_TABLE} {{
  chain output {{
    type nat hook output priority -100; policy accept;
    ip daddr {EMBEDDED} udp dport 53 dnat to {EMBEDDED}:{udp}
    ip daddr {EMBEDDED} tcp dport 53 dnat to {EMBEDDED}:{tcp}
  }}
}}
"""
