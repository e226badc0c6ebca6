"""What the reconciler asks for, and how the executor answers."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from common.model import Task
from worker.session.base import Seen


class Kind(StrEnum):
    PREPARE = "prepare"
    START = "start"
    STOP = "stop"
    REMOVE = "remove"


class Action(msgspec.Struct, frozen=True):
    """One thing to do to one task's container. `task` is there for PREPARE only: the others need no more than the id."""

    kind: Kind
    task_id: str
    task: Task | None = None


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """An action's end: what its container looks like now, or the error that a user will read at the task."""

    action: Action
    seen: Seen | None = None
    error: str = ""
