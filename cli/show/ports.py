"""Published ports in one line: "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp, 9000-9002/udp"."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple


class _Run(NamedTuple):
    """Neighbouring ports of one address and protocol; `public` is 0 where they are not published."""

    ip: str
    protocol: str
    private: int
    public: int
    length: int = 1

    def grown(self, port: _Run) -> _Run | None:
        """The run with one more port, None where that is no neighbour."""
        if (port.ip, port.protocol, port.private) != (self.ip, self.protocol, self.private + self.length):
            return None
        expected = self.public + self.length if self.public else 0
        return self._replace(length=self.length + 1) if port.public == expected else None

    def text(self) -> str:
        private = f"{_span(self.private, self.length)}/{self.protocol}"
        if not self.public:
            return private
        return f"{join_address(self.ip, _span(self.public, self.length))}->{private}"


def ports_text(ports: Iterable[Mapping[str, Any]]) -> str:
    """The API's port list of a container ({IP, PrivatePort, PublicPort, Type}) with neighbours as ranges."""
    found = sorted(
        {_Run(p.get("IP") or "", p.get("Type") or "tcp", p["PrivatePort"], p.get("PublicPort") or 0) for p in ports}
    )
    runs: list[_Run] = []
    for port in found:
        grown = runs[-1].grown(port) if runs else None
        if grown is None:
            runs.append(port)
        else:
            runs[-1] = grown
    return ", ".join(run.text() for run in sorted(runs, key=lambda r: (r.private, r.protocol, r.ip)))


def join_address(ip: str, port: str) -> str:
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


def _span(first: int, count: int) -> str:
    return str(first) if count == 1 else f"{first}-{first + count - 1}"
