"""Frames that are held back."""

from __future__ import annotations

from examples.lab.delay import Line
from examples.lab.layout import Address, Blueprint
from examples.lab.links import Faults, Link

ONE, TWO, *_ = HOSTS = Blueprint(managers=2, workers=0).hosts()


def frame(source: Address, target: Address, text: bytes) -> bytes:
    return b"".join(bytes.fromhex(host.mac.replace(":", "")) for host in (target, source)) + text


def line(**delays: float) -> Line:
    faults = Faults()
    faults.set([Link("manager1", "manager2")], delay=delays["there"])
    faults.set([Link("manager2", "manager1")], delay=delays["back"])
    return Line(HOSTS, faults)


def test_frames_leave_in_order_when_their_time_has_come() -> None:
    held = line(there=20, back=10)
    assert held.next() is None
    held.put(frame(ONE, TWO, b"a"), now=1.0)
    held.put(frame(ONE, TWO, b"b"), now=1.0)
    held.put(frame(TWO, ONE, b"c"), now=1.001)
    assert held.due(1.010) == []
    assert held.next() == 1.011
    assert [(sent.port, sent.data[-1:], sent.priority) for sent in held.due(1.5)] == [
        ("manager1", b"c", 0x10002),
        ("manager2", b"a", 0x10001),
        ("manager2", b"b", 0x10001),
    ]
    assert held.next() is None


def test_other_delays_hold_for_what_comes() -> None:
    held = line(there=20, back=10)
    held.put(frame(ONE, TWO, b"a"), now=1.0)
    held.retime(Faults())
    held.put(frame(ONE, TWO, b"b"), now=1.0)
    assert [sent.data[-1:] for sent in held.due(1.0)] == [b"b"]
    assert [sent.data[-1:] for sent in held.due(1.1)] == [b"a"]


def test_frames_of_strangers_are_lost() -> None:
    held = line(there=20, back=10)
    held.put(frame(ONE, Address("x", 9, 250), b"a"), now=1.0)
    assert held.next() is None
