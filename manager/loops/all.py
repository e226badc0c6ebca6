"""The control loops; `all_loops()` is what a leader runs."""

from __future__ import annotations

from common.ids import object_id
from manager.loops.allocator import Allocator
from manager.loops.base import Loop
from manager.loops.enforcer import Enforcer
from manager.loops.globals import Global
from manager.loops.jobs import Jobs
from manager.loops.orphans import Orphans
from manager.loops.reaper import Reaper
from manager.loops.replicated import Replicated
from manager.loops.restart import Restart
from manager.loops.roles import Roles
from manager.loops.root_rotation import RootRotation
from manager.loops.scheduler import Scheduler
from manager.loops.slots import Ids
from manager.loops.updater import Updater


def all_loops(ids: Ids = object_id) -> list[Loop]:
    """One of each, in the order in which work runs through them."""
    return [
        Enforcer(),
        Replicated(ids),
        Global(ids),
        Jobs(ids),
        Updater(ids),
        Restart(ids),
        Allocator(),
        Scheduler(),
        Orphans(),
        Reaper(),
        RootRotation(),
        Roles(),
    ]
