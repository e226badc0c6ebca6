"""What a manager is measured by: what counts as things happen, and the answer to a scrape."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

from common.metrics import CONTENT_TYPE, Histogram, Page
from common.model import Config, Network, Node, Secret, Service, Task
from manager.dispatcher.dispatcher import Dispatcher
from manager.driver import Driver
from manager.loops.base import Loop, Wake
from manager.members import Group
from manager.store.base import Change, Changed, Store, Stored, View

if TYPE_CHECKING:
    from manager.raft.numbers import Numbers
    from manager.raft.peers.peers import Counts

PATH = "/shoal/v1/metrics"
KINDS: tuple[type[Stored], ...] = (Node, Service, Task, Network, Secret, Config)


class Timed:
    """A loop whose work is timed, key by key: loops and agenda know no clock."""

    def __init__(self, loop: Loop, spent: Histogram) -> None:
        self._loop = loop
        self._spent = spent
        self.name, self.serial = loop.name, loop.serial

    def keys(self, change: Changed) -> Iterable[str]:
        return self._loop.keys(change)

    def start(self, view: View) -> Iterable[str]:
        return self._loop.start(view)

    def reconcile(self, view: View, key: str) -> list[Change | Wake]:
        begin = time.perf_counter()
        try:
            return self._loop.reconcile(view, key)
        finally:
            self._spent.observe(time.perf_counter() - begin)


@dataclass(frozen=True)
class Measures:
    """What is counted as it happens: how long commits took, and each loop's looks at a key."""

    commits: Histogram = field(default_factory=Histogram)
    loops: dict[str, Histogram] = field(default_factory=dict)

    def timed(self, loops: Sequence[Loop]) -> list[Loop]:
        return [Timed(loop, self.loops.setdefault(loop.name, Histogram())) for loop in loops]


class Metrics:
    """`routes()` go to both of the manager's servers. `numbers` and `counts` are of a Raft log, where it is one."""

    def __init__(
        self,
        store: Store,
        group: Group,
        dispatcher: Dispatcher,
        driver: Driver,
        measures: Measures,
        numbers: Callable[[], Numbers] | None,
        counts: Callable[[], Counts] | None,
    ) -> None:
        self._store = store
        self._group = group
        self._dispatcher = dispatcher
        self._driver = driver
        self._measures = measures
        self._numbers = numbers
        self._counts = counts

    def routes(self) -> list[web.RouteDef]:
        return [web.get(PATH, self.show)]

    async def show(self, _: web.Request) -> web.Response:
        """No quorum is needed."""
        page = Page("shoal_")
        self._state(page, self._store.view())
        self._work(page)
        if self._numbers is not None:
            _raft(page, self._numbers())
        if self._counts is not None:
            _transport(page, self._counts())
        own = Page("shoal_manager_")
        own.process()
        return web.Response(body=page.text() + own.text(), headers={"Content-Type": CONTENT_TYPE})

    def _state(self, page: Page, view: View) -> None:
        page.gauge("revision", "Newest commit that this manager's view holds", view.revision)
        counts = {kind.__name__.lower(): float(view.count(kind)) for kind in KINDS}  # type: ignore[type-var]
        page.gauges("objects", "Objects in the store", "kind", counts)
        page.gauges("tasks", "Tasks by state", "state", view.sizes(Task, "state"))
        page.gauges("nodes", "Nodes by state", "state", Counter(node.status.state for node in view.all(Node)))
        reachable = Counter("reachable" if m.reachable else "unreachable" for m in self._group.members())
        page.gauges("managers", "Managers in the group, as this one sees them", "reachability", reachable)

    def _work(self, page: Page) -> None:
        page.gauge("leader", "1 where this manager leads", self._store.is_leader())
        page.gauge("sessions", "Workers whose session this manager holds", len(self._dispatcher.sessions))
        page.histograms("commit_seconds", "From a change's proposal by this manager until it took effect here", "",
                        {"": self._measures.commits})  # fmt: skip
        page.histograms("loop_seconds", "One loop's look at one key", "loop", self._measures.loops)
        page.gauges("loop_backlog", "Keys that the leader's loops have to look at", "loop", self._driver.backlog())


def _raft(page: Page, numbers: Numbers) -> None:
    values: Mapping[str, tuple[str, float]] = {
        "term": ("Term", numbers.term),
        "commit_index": ("Newest entry that is committed", numbers.commit),
        "applied_index": ("Newest entry that this manager's view holds", numbers.applied),
        "last_index": ("Newest entry in this manager's log", numbers.last),
        "snapshot_index": ("Newest entry in the snapshot", numbers.snapshot),
        "proposals_waiting": ("Changes of this manager that are not committed yet", numbers.waiting),
        "log_bytes": ("Write-ahead log on the disk", numbers.log_bytes),
        "snapshot_bytes": ("Snapshots on the disk", numbers.snapshot_bytes),
    }
    for name, (help, value) in values.items():
        page.gauge(f"raft_{name}", help, value)
    page.gauge("raft_has_leader", "1 where this manager knows a leader", bool(numbers.leader))


def _transport(page: Page, counts: Counts) -> None:
    named = {("sent",): counts.sent, ("received",): counts.received, ("dropped",): counts.dropped}
    page.counters("raft_messages", "Messages between managers", ("outcome",), named.items())
    bad = {("unknown",): counts.unknown, ("refused",): counts.refused}
    page.counters(
        "raft_messages_bad", "Messages of unknown kinds, and refused messages and streams", ("reason",), bad.items()
    )
