"""Following a service until it has converged, as Docker's client does, on a terminal or line by line."""

from __future__ import annotations

import math
import shutil
import sys
import time
from typing import Any

from cli.api.client import Client
from cli.api.urls import item
from cli.errors import CliError
from cli.service.progress import Progress, progress
from cli.show.units import ellipsis

POLL = 0.2  # seconds
MONITOR = 5.0  # seconds that all tasks must stay up, where the service does not say


class Display:
    """Draws one block of lines over and over on a terminal; elsewhere prints what is new, without the tasks' bars."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._terminal = sys.stdout.isatty()
        self._drawn: list[str] = []

    def show(self, now: Progress, note: str) -> None:
        lines = [now.overall, *(now.lines if self._terminal else ()), *([note] if note else ())]
        if self._quiet or lines == self._drawn:
            return
        if self._terminal:
            # A wrapped line would be two, and the way back up too short.
            lines = [ellipsis(line, shutil.get_terminal_size().columns) for line in lines]
        if self._terminal and self._drawn:
            sys.stdout.write(f"\033[{len(self._drawn)}A\033[J")
        new = lines if self._terminal else [line for line in lines if line not in self._drawn]
        sys.stdout.write("".join(f"{line}\n" for line in new))
        sys.stdout.flush()
        self._drawn = lines


class Watcher:
    """One service, from now until it converged. `run` returns, or raises CliError with why it will not.

    `rollback`: going back is what the user asked for, so that it happens is no failure.
    """

    def __init__(
        self,
        client: Client,
        service_id: str,
        *,
        quiet: bool = False,
        rollback: bool = False,
        monitor: float | None = None,
    ) -> None:
        self._client = client
        self._id = service_id
        self._display = Display(quiet)
        self._monitor = monitor
        self._since = 0.0  # when all tasks came up; 0.0 while some are not
        self._rollback = rollback
        self._first: dict[str, Any] | None = None  # the update's status when we first looked
        self._rolled_back = ""  # why, where the cluster went back by itself

    def run(self) -> None:
        try:
            while not self._step():
                time.sleep(POLL)
        except KeyboardInterrupt:
            print(f"Operation continuing in background.\nUse `shoal service ps {self._id}` to check progress.")

    def _step(self) -> bool:
        """Look once; True when there is nothing more to wait for."""
        service = self._client.get(item("services", self._id))
        if self._ended(service.get("UpdateStatus") or {}):
            self._display.show(self._progress(service), f"verify: Service {self._id} converged")
            return self._finish()
        now = self._progress(service)
        if now.job and now.converged:
            self._display.show(now, "job complete")
            return True
        note = self._note(now, self._patience(service))
        self._display.show(now, note)
        return note.endswith("converged") and self._finish()

    def _ended(self, status: dict[str, Any]) -> bool:
        """Note the state of an update; True where it is complete. Raises CliError where it stopped short."""
        state, message = status.get("State", ""), status.get("Message", "")
        if state == "paused":
            raise CliError(f"service update paused: {message}")
        if state == "rollback_paused":
            raise CliError(f"service rollback paused: {message}")
        if self._first is None:
            self._first = status
        fresh = state == "rollback_started" or (state == "rollback_completed" and status != self._first)
        if fresh and not self._rollback:
            self._rolled_back = message or state
        return state == "completed" and not self._since

    def _progress(self, service: dict[str, Any]) -> Progress:
        tasks = self._client.get("/tasks", filters={"service": [self._id], "_up-to-date": ["true"]})
        nodes = self._client.get("/nodes")
        return progress(service, tasks, {node["ID"] for node in nodes if node["Status"]["State"] != "down"})

    def _patience(self, service: dict[str, Any]) -> float:
        if self._monitor is not None:
            return self._monitor
        given = (service["Spec"].get("UpdateConfig") or {}).get("Monitor")
        return given / 1e9 if given else MONITOR

    def _note(self, now: Progress, patience: float) -> str:
        if not now.converged:
            was_up, self._since = self._since, 0.0
            return "verify: Detected task failure" if was_up else ""
        self._since = self._since or time.monotonic()
        left = patience - (time.monotonic() - self._since)
        if left <= 0:
            return f"verify: Service {self._id} converged"
        return f"verify: Waiting {math.ceil(left)} seconds to verify that tasks are stable..."

    def _finish(self) -> bool:
        if self._rolled_back:
            raise CliError(f"service rolled back: {self._rolled_back}")
        return True


def converge(client: Client, service_id: str, *, detach: bool, quiet: bool = False, rollback: bool = False) -> None:
    """Wait for a service, unless `detach`."""
    if not detach:
        Watcher(client, service_id, quiet=quiet, rollback=rollback, monitor=_configured()).run()


def _configured() -> float | None:
    """SHOAL_SERVICE_MONITOR, in seconds: the time that tasks must stay up, instead of the service's own."""
    import os

    text = os.environ.get("SHOAL_SERVICE_MONITOR", "")
    try:
        return float(text) if text else None
    except ValueError:
        raise CliError(f"invalid SHOAL_SERVICE_MONITOR {text!r}: a number of seconds is needed") from None
