"""Delay between hosts, for kernels without netem: a process of the rack that holds frames back for a while.

    port of the sender ── nftables, netdev ingress: fwd ──▶ TAP "delay0" ──▶ this process ──▶ port of the receiver

Only frames of delayed links come here, so all others keep the kernel's speed. The order within a link is kept. The process reads what to
hold back for how long from the lab's faults.json at its start and at each SIGHUP; the ports' names and MAC addresses from lab.json.
"""

from __future__ import annotations

import contextlib
import fcntl
import heapq
import os
import selectors
import signal
import socket
import struct
import sys
import time
from pathlib import Path
from typing import NamedTuple

import msgspec

from examples.lab.layout import Address, Folder
from examples.lab.links import TAP, Faults, Link

_TUNSETIFF, _TAP_WITHOUT_HEADER = 0x400454CA, 0x1002
_MAC = struct.Struct("6s6s")
_LANES = 1 << 16  # HTB classes are 1:<the sender's number>
_BURST = 64  # frames read before due ones are sent
_HELD = 20_000  # frames; what comes beyond is lost, as in a full queue


class Frame(NamedTuple):
    """A frame that is held back; the first two fields are its place in the queue."""

    due: float
    order: int
    port: str
    priority: int  # of the receiver's HTB: the class of frames from this sender
    data: bytes


class Line:
    """Frames on their way: in by `put`, out by `due` when their time has come. Pure: the clock is the caller's."""

    def __init__(self, hosts: list[Address], faults: Faults) -> None:
        self._hosts = {bytes.fromhex(host.mac.replace(":", "")): host for host in hosts}
        self._held: list[Frame] = []
        self._count = 0
        self.retime(faults)

    def retime(self, faults: Faults) -> None:
        """Take other delays from now on; frames that are held keep theirs."""
        self._delays = {link: fault.delay / 1000 for link, fault in faults.entries if fault.delay}

    def put(self, data: bytes, now: float) -> None:
        target, source = (self._hosts.get(mac) for mac in _MAC.unpack_from(data))
        if target and source and len(self._held) < _HELD:
            self._count += 1
            due = now + self._delays.get(Link(source.name, target.name), 0.0)
            heapq.heappush(self._held, Frame(due, self._count, target.name, _LANES | source.number, data))

    def due(self, now: float) -> list[Frame]:
        """All that have waited long enough, in order."""
        out = []
        while self._held and self._held[0].due <= now:
            out.append(heapq.heappop(self._held))
        return out

    def next(self) -> float | None:
        """When the next frame is due; None while none is held."""
        return self._held[0].due if self._held else None


def _tap() -> int:
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", TAP.encode(), _TAP_WITHOUT_HEADER))
    return fd


def _load(folder: Folder) -> Faults:
    return msgspec.json.decode(folder.faults.read_bytes(), type=Faults)


class _Out:
    """Sends frames out of the ports."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.setblocking(False)
        self._priority = -1

    def send(self, frame: Frame) -> None:
        if frame.priority != self._priority:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, frame.priority)
            self._priority = frame.priority
        with contextlib.suppress(
            OSError
        ):  # the receiver is off, or its queue is full: the frame is lost, as on any wire
            self._socket.sendto(frame.data, (frame.port, 0))


def main(path: str) -> None:
    """Run until killed. Says "ready PID" once frames can come."""
    folder = Folder(Path(path))
    line = Line(folder.load().hosts(), _load(folder))
    tap, out = _tap(), _Out()
    wake, waker = socket.socketpair()
    waker.setblocking(False)
    signal.signal(signal.SIGHUP, lambda *_: None)
    signal.set_wakeup_fd(waker.fileno())
    print(
        f"ready {os.readlink('/proc/self')}", flush=True
    )  # the pid as the machine sees it: /proc is still the machine's
    with selectors.DefaultSelector() as selector:
        selector.register(tap, selectors.EVENT_READ)
        selector.register(wake, selectors.EVENT_READ)
        while True:
            at = line.next()
            ready = {key.fd for key, _ in selector.select(None if at is None else max(0.0, at - time.monotonic()))}
            if wake.fileno() in ready:
                wake.recv(64)
                line.retime(_load(folder))
            if tap in ready:
                _read(tap, line)
            for frame in line.due(time.monotonic()):
                out.send(frame)


def _read(tap: int, line: Line) -> None:
    now = time.monotonic()
    for _ in range(_BURST):
        try:
            line.put(os.read(tap, 65536), now)
        except BlockingIOError:
            return


if __name__ == "__main__":
    main(sys.argv[1])
