"""What a leader knows of one follower, and how much it may send it: probe first, then stream within a window."""

from __future__ import annotations

from collections import deque
from enum import Enum


class Flow(Enum):
    PROBE = "probe"  # unknown where the logs agree: one append at a time
    STREAM = "stream"  # they agree: appends follow one another without waiting
    SNAPSHOT = "snapshot"  # too far behind: a snapshot is under way


class Progress:
    """`match`: known to be on the follower's disk. `next`: the first index not sent yet."""

    def __init__(self, next: int, window: int) -> None:
        self.match = 0
        self.next = next
        self.flow = Flow.PROBE
        self.active = True  # heard of since the last check of the quorum
        self.told_commit = -1
        self.snapshot = 0  # index of the one under way
        self.quiet = 0  # heartbeats answered since that left
        self._probing = False
        self._window = window
        self._in_flight: deque[int] = deque()  # last index of each append that is not acknowledged

    @property
    def paused(self) -> bool:
        if self.flow is Flow.PROBE:
            return self._probing
        return self.flow is Flow.SNAPSHOT or len(self._in_flight) >= self._window

    def sent(self, last: int, count: int) -> None:
        """An append of `count` entries up to `last` left."""
        if self.flow is Flow.PROBE:
            self._probing = True
        elif count:
            self.next = last + 1
            self._in_flight.append(last)

    def acknowledge(self, index: int) -> bool:
        """The follower holds everything up to `index`; True where that is news."""
        news = index > self.match
        self.match = max(self.match, index)
        self.next = max(self.next, index + 1)
        self._probing = False
        while self._in_flight and self._in_flight[0] <= index:
            self._in_flight.popleft()
        if self.flow is Flow.PROBE or (self.flow is Flow.SNAPSHOT and self.match >= self.snapshot):
            self._become(Flow.STREAM)
        return news

    def reject(self, refused: int, agreed: int) -> bool:
        """The append after `refused` did not fit; the logs may agree at `agreed`. False where the refusal is an old one."""
        if self.flow is Flow.STREAM:
            if refused <= self.match:
                return False
            self._become(Flow.PROBE)
            self.next = self.match + 1
            return True
        if self.flow is Flow.SNAPSHOT or refused != self.next - 1:
            return False
        self.next = max(min(refused, agreed + 1), self.match + 1)
        self._probing = False
        return True

    def send_snapshot(self, index: int) -> None:
        self._become(Flow.SNAPSHOT)
        self.snapshot = index
        self.quiet = 0

    def probe(self) -> None:
        """Find out anew where the logs agree."""
        self._become(Flow.PROBE)
        self.next = self.match + 1

    def heard(self) -> None:
        """A heartbeat was answered: whatever was lost before it may be sent again."""
        self.active = True
        self._probing = False
        if len(self._in_flight) >= self._window:
            self._in_flight.popleft()

    def _become(self, flow: Flow) -> None:
        self.flow = flow
        self._probing = False
        self._in_flight.clear()
