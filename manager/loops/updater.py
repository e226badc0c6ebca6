"""Rolling updates: tasks of an older spec version give way to the present one, batch by batch, gated by health.

Everything is derived from the tasks and `Service.update_status`, so that a new leader goes on where the old one stopped.
A rollback is an update to the previous spec under the rollback configuration.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from msgspec.structs import replace

from common.ids import object_id
from common.model import Service, Task, UpdateConfig, UpdateStatus
from manager.loops.base import Wake
from manager.loops.rollout import Rollout, Slot
from manager.loops.slots import Ids, is_job, nanoseconds, new_task, restart_delay, stop
from manager.specs import respecified
from manager.store.base import Change, Changed, Put, View

ACTIVE = ("updating", "rollback_started")
PAUSED = ("paused", "rollback_paused")


class Updater:
    """Keys are service ids."""

    name = "updater"
    serial = False

    def __init__(self, ids: Ids = object_id) -> None:
        self._ids = ids

    def keys(self, change: Changed) -> Iterable[str]:
        if isinstance(change.object, Service):
            return (change.object.id,)
        if isinstance(change.object, Task) and change.object.service_id and _progress(change):
            return (change.object.service_id,)
        return ()

    def start(self, view: View) -> Iterable[str]:
        return [service.id for service in view.all(Service) if service.past_templates or _active(service)]

    def reconcile(self, view: View, key: str) -> list[Change | Wake]:
        service = view.get(Service, key)
        if service is None or service.pending_delete or is_job(service) or _paused(service):
            return []
        if not service.past_templates and not _active(service):
            return []
        rollout = Rollout(view, service, _config(service))
        if not _active(service):
            return [_begin(view, service)] if rollout.mixed else []
        return [*self._advance(view, service, rollout)]

    def _advance(self, view: View, service: Service, rollout: Rollout) -> Iterator[Change | Wake]:
        settled = [Put(replace(task, settled_at=view.now)) for task in rollout.settling]
        if settled:
            yield from settled
            return
        if (failed := rollout.too_many_failures()) and (change := _give_up(view, service, rollout.config, failed)):
            yield change
            return
        for slot in rollout.overtaken:
            yield from map(stop, slot.old)
        yield from self._next_batch(view, service, rollout)
        if rollout.complete:
            yield _complete_or_wait(view, service, rollout)

    def _next_batch(self, view: View, service: Service, rollout: Rollout) -> Iterator[Change | Wake]:
        delay = nanoseconds(rollout.config.delay)
        resting = [at + delay for slot in rollout.slots if (at := slot.done_at) and at + delay > view.now]
        ready, waiting = _ripe(view, rollout, restart_delay(service))
        free = (
            rollout.config.parallelism - len(rollout.busy) - len(resting) if rollout.config.parallelism else len(ready)
        )
        for slot in ready[: max(free, 0)]:
            yield from self._replace(service, slot, start_first=rollout.config.order == "start-first")
        moments = [*waiting, *(resting if len(ready) > free else ())]
        if moments:
            yield Wake(service.id, min(moments))

    def _replace(self, service: Service, slot: Slot, *, start_first: bool) -> Iterator[Change]:
        kept = slot.serving if start_first else None
        yield from (stop(task) for task in slot.old if task is not kept)
        node_id = "" if slot.number else slot.old[0].node_id
        yield Put(new_task(service, self._ids(), slot=slot.number, node_id=node_id, ready=not start_first))


def _ripe(view: View, rollout: Rollout, pause: timedelta) -> tuple[list[Slot], list[datetime]]:
    """Dirty slots to update now, and when those come again whose last attempt has failed."""
    again = {slot.number: slot.done_at + pause for slot in rollout.dirty if slot.failed and slot.done_at}
    ready = [slot for slot in rollout.dirty if again.get(slot.number, view.now) <= view.now]
    return ready, [at for at in again.values() if at > view.now]


def _progress(change: Changed) -> bool:
    before, after = change.before, change.after
    if not isinstance(before, Task) or not isinstance(after, Task):
        return True
    return (before.status.state, before.status.healthy, before.desired_state, before.settled_at) != (
        after.status.state, after.status.healthy, after.desired_state, after.settled_at,
    )  # fmt: skip


def _active(service: Service) -> bool:
    return service.update_status is not None and service.update_status.state in ACTIVE


def _paused(service: Service) -> bool:
    return service.update_status is not None and service.update_status.state in PAUSED


def _rolls_back(service: Service) -> bool:
    return service.update_status is not None and service.update_status.state == "rollback_started"


def _config(service: Service) -> UpdateConfig:
    given = (service.spec.rollback_config if _rolls_back(service) else service.spec.update_config) or UpdateConfig()
    return given if given.monitor else replace(given, monitor=UpdateConfig().monitor)


def _begin(view: View, service: Service) -> Put:
    status = UpdateStatus(state="updating", started_at=view.now, message="update in progress")
    return Put(replace(service, update_status=status))


def _complete_or_wait(view: View, service: Service, rollout: Rollout) -> Change | Wake:
    watched = max((slot.done_at for slot in rollout.slots if slot.done_at), default=view.now)
    monitored = watched + nanoseconds(rollout.config.monitor)
    if any(slot.done_at for slot in rollout.slots) and view.now < monitored:
        return Wake(service.id, monitored)
    assert service.update_status is not None
    back = _rolls_back(service)
    state, message = ("rollback_completed", "rollback completed") if back else ("completed", "update completed")
    status = replace(service.update_status, state=state, message=message, completed_at=view.now)
    return Put(replace(service, update_status=status))


def _give_up(view: View, service: Service, config: UpdateConfig, task: Task) -> Change | None:
    """What the failure action does; None where it goes on."""
    reason = f"due to failure or early termination of task {task.id}"
    back = _rolls_back(service)
    if config.failure_action == "continue":
        return None
    assert service.update_status is not None
    if config.failure_action == "rollback" and not back and service.previous_spec is not None:
        status = UpdateStatus(state="rollback_started", started_at=view.now, message=f"update rolled back {reason}")
        return Put(replace(respecified(service, service.previous_spec), previous_spec=None, update_status=status))
    state, what = ("rollback_paused", "rollback paused") if back else ("paused", "update paused")
    return Put(replace(service, update_status=replace(service.update_status, state=state, message=f"{what} {reason}")))
