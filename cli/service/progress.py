"""How far a service is on its way to what its spec asks for: pure, from the API's service, its up-to-date tasks and nodes."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from cli.show.units import ellipsis

Task = dict[str, Any]
MAX_LINES = 20  # services of more tasks show only the sum
_BAR = 50
_STATES = (
    "new pending assigned accepted preparing ready starting running complete shutdown failed rejected remove orphaned"
)
ORDER = {state: number for number, state in enumerate(_STATES.split(), 1)}
_RUNNING = ORDER["running"]


class Progress(NamedTuple):
    """`done` of `wanted` tasks; `lines` say where each is; `job`: it ends by itself, so nothing is to be verified."""

    done: int
    wanted: int
    lines: tuple[str, ...] = ()
    job: bool = False
    unit: str = "tasks"

    @property
    def converged(self) -> bool:
        return self.done == self.wanted

    @property
    def overall(self) -> str:
        name = "job" if self.job else "overall"
        return f"{name} progress: {self.done} out of {self.wanted} {'complete' if self.job else self.unit}"


def progress(service: dict[str, Any], tasks: Iterable[Task], active: Collection[str]) -> Progress:
    """`active`: ids of the nodes that are not down."""
    mode = service["Spec"]["Mode"]
    if mode.get("ReplicatedJob") is not None or mode.get("GlobalJob") is not None:
        return _job(service, tasks, active)
    if mode.get("Global") is not None:
        current = _newest(tasks, active, lambda task: task["NodeID"])
        # How many nodes fit is the scheduler's knowledge; all tasks are made at once, so their number is it.
        return _running(current, max(len(current), 1), str)
    replicas = (mode.get("Replicated") or {}).get("Replicas") or 0
    current = _newest(tasks, active, lambda task: task.get("Slot") or 0)
    return _running({slot: task for slot, task in current.items() if _wanted(task)}, replicas, str)


def _wanted(task: Task) -> bool:
    return ORDER.get(task["DesiredState"], 0) <= _RUNNING


def _newest(tasks: Iterable[Task], active: Collection[str], place: Any) -> dict[Any, Task]:
    """The task that counts in each slot or on each node: the one wanted to live, then the one not yet so far."""
    best: dict[Any, Task] = {}
    for task in tasks:
        key = place(task)
        if not key or (task.get("NodeID") and task["NodeID"] not in active):
            continue
        if key not in best or _rank(task) < _rank(best[key]):
            best[key] = task
    return dict(sorted(best.items()))


def _rank(task: Task) -> tuple[int, int]:
    return ORDER.get(task["DesiredState"], 99), ORDER.get(task["Status"]["State"], 99)


def _running(current: dict[Any, Task], wanted: int, name: Any) -> Progress:
    done = sum(_wanted(task) and task["Status"]["State"] == "running" for task in current.values())
    if wanted > MAX_LINES:
        return Progress(done, wanted)
    lines = tuple(f"{n}/{wanted}: {_line(task, _RUNNING)}" for n, task in enumerate(current.values(), 1))
    rest = tuple(f"{n}/{wanted}: " for n in range(len(lines) + 1, wanted + 1))
    return Progress(done, wanted, lines + rest)


def _line(task: Task, goal: int) -> str:
    state, error = task["Status"]["State"], task["Status"].get("Err")
    if error:
        return ellipsis(error.replace("\n", " "), 75)
    filled = min(_BAR * ORDER.get(state, 0) // goal, _BAR)
    bar = "=" * filled + (">" if filled < _BAR else "")
    return f"{state:<9} [{bar:<{_BAR}}]"


def _job(service: dict[str, Any], tasks: Iterable[Task], active: Collection[str]) -> Progress:
    round_number = ((service.get("JobStatus") or {}).get("JobIteration") or {}).get("Index") or 0
    current = [t for t in tasks if ((t.get("JobIteration") or {}).get("Index") or 0) == round_number]
    complete = sum(task["Status"]["State"] == "complete" for task in current)
    job = service["Spec"]["Mode"].get("ReplicatedJob")
    if job is None:
        nodes = {task["NodeID"] for task in current if task.get("NodeID") in active}
        return Progress(complete, max(len(nodes), 1), job=True)
    return Progress(complete, job.get("TotalCompletions") or 1, job=True)
