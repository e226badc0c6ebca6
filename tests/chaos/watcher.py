"""What must hold at every look, whichever manager is asked: versions go up, a version is one thing, slots hold one task.

A manager answers a look with nothing older than what was acknowledged before it (a barrier), so looks that do not overlap are in order.
"""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from common.model import TaskState
from examples.lab.host import Host
from tests.chaos.clients import Lost, NotSent, Seen, call

PERIOD = 0.7


class Versions:
    """What was seen of objects by their versions. Thread-safe; `wrong` collects sentences."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._contents: dict[tuple[str, int], str] = {}
        self._newest: dict[str, list[tuple[float, int]]] = defaultdict(list)  # (when the look ended, version)
        self.wrong: list[str] = []

    def sight(self, seen: Seen, begun: float, ended: float) -> None:
        self.look(seen.id, seen.version, seen.spec, begun, ended)

    def look(self, id: str, version: int, content: object, begun: float, ended: float) -> None:
        text = json.dumps(content, sort_keys=True)
        with self._lock:
            if self._contents.setdefault((id, version), text) != text:
                self.wrong.append(f"{id} is two things at version {version}:\n{self._contents[id, version]}\n{text}")
            before = max((v for at, v in self._newest[id][-50:] if at < begun), default=0)
            if version < before:
                self.wrong.append(f"{id} is at version {version} after it was at {before}")
            self._newest[id].append((ended, version))

    @property
    def count(self) -> int:
        return len(self._contents)


class Watcher:
    """Looks at all services and tasks through one manager after another."""

    def __init__(self, managers: list[Host], versions: Versions) -> None:
        self._managers = managers
        self._versions = versions
        self._states: dict[str, tuple[int, str, str]] = {}
        self.looks = 0
        self.wrong: list[str] = []

    def run(self, go_on: Callable[[], bool]) -> None:
        turn = 0
        while go_on():
            turn += 1
            self.once(self._managers[turn % len(self._managers)])
            time.sleep(PERIOD)

    def once(self, manager: Host) -> None:
        begun = time.monotonic()
        try:
            (good, services), (well, tasks) = (call(manager, "GET", path) for path in ("/services", "/tasks"))
        except (NotSent, Lost):
            return
        if good != 200 or well != 200:
            return
        ended = time.monotonic()
        self.looks += 1
        for service in services:
            self._versions.look(service["ID"], service["Version"]["Index"], service["Spec"], begun, ended)
        for task in tasks:
            content = [task["DesiredState"], task["Status"], task.get("NodeID")]
            self._versions.look(f"task {task['ID']}", task["Version"]["Index"], content, begun, ended)
            self._step(task)
        self.wrong += slots(services, tasks)

    def _step(self, task: dict[str, Any]) -> None:
        """A task goes forward only, and never to another node. Looks of one thread are in order."""
        state, node = task["Status"]["State"], task.get("NodeID", "")
        order = TaskState(state).order
        before, was, at = self._states.get(task["ID"], (0, "new", ""))
        if order < before:
            self.wrong.append(f"task {task['ID']} went back from {was} to {state}")
        if at and node != at:
            self.wrong.append(f"task {task['ID']} moved from {at} to {node}")
        self._states[task["ID"]] = (order, state, node)


def slots(services: list[dict[str, Any]], tasks: list[dict[str, Any]]) -> list[str]:
    """Slots with more live tasks than one, and one more where the service's update starts first."""
    first = {s["ID"] for s in services if (s["Spec"].get("UpdateConfig") or {}).get("Order") == "start-first"}
    live: dict[tuple[str, int], list[str]] = defaultdict(list)
    for task in tasks:
        if TaskState(task["DesiredState"]).order <= TaskState.COMPLETE.order:
            live[task["ServiceID"], task.get("Slot", 0)].append(task["ID"])
    return [
        f"slot {slot} of service {service} has the live tasks {ids}"
        for (service, slot), ids in live.items()
        if len(ids) > 1 + (service in first)
    ]
