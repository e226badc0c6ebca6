"""The life of tasks, event by event, and properties that hold for every order of events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.model import Task, TaskState
from common.model.service import SecretReference
from common.wire import Assignments
from tests.harness.tasks import network, seen, task, wanted
from worker.session.actions import Action, Done, Kind
from worker.session.base import Phase, Seen
from worker.session.reconciler import Reconciler

NOW = datetime(2024, 5, 1, tzinfo=UTC)
S = TaskState


class World:
    """A reconciler and the actions it asked for; `run` lets the next one succeed."""

    def __init__(self, found: dict[str, Seen] | None = None) -> None:
        self.reconciler = Reconciler(found or {})
        self.open: list[Action] = []
        self.states: dict[str, list[TaskState]] = {}
        self.errors: dict[str, str] = {}

    def assign(self, *tasks: Task, confirmed: bool = True, **others: dict[str, object]) -> None:
        self._took(self.reconciler.assign(wanted(*tasks, **others), NOW))
        if confirmed:
            self._took(self.reconciler.drop_orphans(NOW))

    def see(self, id: str, container: Seen | None) -> None:
        self._took(self.reconciler.observe(id, container, NOW))

    def run(self, kind: Kind, result: Seen | None = None, *, error: str = "", id: str = "t1") -> None:
        action = next(a for a in self.open if a.task_id == id)
        assert action.kind is kind
        self.open.remove(action)
        self._took(self.reconciler.finish(Done(action=action, seen=result, error=error), NOW))

    def up(self, **health: str) -> None:
        self.assign(task())
        self.run(Kind.PREPARE, seen())
        self.run(Kind.START, seen(phase=Phase.RUNNING, pid=7, **health))

    def _took(self, actions: list[Action]) -> None:
        self.open += actions
        self.reconciler.validate()
        for id, status in self.reconciler.take_changes().items():
            self.states.setdefault(id, []).append(status.state)
            self.errors[id] = status.err

    @property
    def kinds(self) -> list[Kind]:
        return [action.kind for action in self.open]


def test_a_task_is_prepared_started_and_runs() -> None:
    world = World()
    world.up()
    assert world.states["t1"] == [S.PREPARING, S.STARTING, S.RUNNING]
    assert world.open == []


def test_ready_holds_the_prepared_container_until_running_is_wanted() -> None:
    world = World()
    world.assign(task(desired=S.READY))
    world.run(Kind.PREPARE, seen())
    assert world.states["t1"][-1] is S.READY
    assert world.open == []
    world.assign(task())
    assert world.kinds == [Kind.START]


@pytest.mark.parametrize(
    ("code", "oom", "state", "error"),
    [
        (0, False, S.COMPLETE, ""),
        (1, False, S.FAILED, "task: non-zero exit (1)"),
        (137, True, S.FAILED, "task: non-zero exit (137): out of memory"),
    ],
)
def test_the_exit_code_decides_how_a_task_ends(code: int, oom: bool, state: TaskState, error: str) -> None:
    world = World()
    world.up()
    world.see("t1", seen(phase=Phase.EXITED, exit_code=code, oom_killed=oom))
    assert world.states["t1"][-1] is state
    assert world.errors["t1"] == error
    assert world.open == []


def test_shutdown_stops_and_keeps_the_container_until_the_task_is_gone() -> None:
    world = World()
    world.up()
    world.assign(task(desired=S.SHUTDOWN))
    world.run(Kind.STOP, seen(phase=Phase.EXITED, exit_code=137))
    assert world.states["t1"][-1] is S.SHUTDOWN
    assert world.errors["t1"] == ""
    assert world.open == []
    world.assign()
    world.run(Kind.REMOVE)
    assert "t1" not in world.reconciler


def test_a_running_task_that_is_gone_is_stopped_then_removed() -> None:
    world = World()
    world.up()
    world.assign()
    world.run(Kind.STOP, seen(phase=Phase.EXITED))
    world.run(Kind.REMOVE)
    assert list(world.states["t1"])[-1] is S.RUNNING
    assert "t1" not in world.reconciler


def test_shutdown_while_preparing_waits_for_the_preparation() -> None:
    world = World()
    world.assign(task())
    world.assign(task(desired=S.SHUTDOWN))
    assert world.kinds == [Kind.PREPARE]
    world.run(Kind.PREPARE, seen())
    assert world.states["t1"][-1] is S.SHUTDOWN
    assert world.open == []


def test_a_task_that_was_never_wanted_is_shut_down_without_a_container() -> None:
    world = World()
    world.assign(task(desired=S.SHUTDOWN))
    assert world.states["t1"] == [S.SHUTDOWN]
    assert world.open == []


def test_a_failed_preparation_rejects_and_a_failed_start_fails() -> None:
    world = World()
    world.assign(task("a"), task("b"))
    world.run(Kind.PREPARE, error="No such image: x", id="a")
    world.run(Kind.PREPARE, seen("b"), id="b")
    world.run(Kind.START, error="exec: not found", id="b")
    assert world.states["a"][-1] is S.REJECTED
    assert world.errors["a"] == "No such image: x"
    assert world.states["b"][-1] is S.FAILED
    assert world.errors["b"] == "starting container failed: exec: not found"


def test_running_waits_for_health() -> None:
    world = World()
    world.up(health="starting")
    assert world.states["t1"][-1] is S.STARTING
    world.see("t1", seen(phase=Phase.RUNNING, pid=7, health="healthy"))
    assert world.states["t1"][-1] is S.RUNNING


@pytest.mark.parametrize("before", ["starting", "healthy"])
def test_an_unhealthy_container_is_stopped_and_its_task_fails(before: str) -> None:
    world = World()
    world.up(health=before)
    world.see("t1", seen(phase=Phase.RUNNING, pid=7, health="unhealthy"))
    world.run(Kind.STOP, seen(phase=Phase.EXITED, exit_code=143))
    assert world.states["t1"][-1] is S.FAILED
    assert world.errors["t1"] == "task: non-zero exit (143): unhealthy container"


def test_health_seen_while_the_start_is_under_way_is_not_lost() -> None:
    world = World()
    world.assign(task())
    world.run(Kind.PREPARE, seen())
    world.see("t1", seen(phase=Phase.RUNNING, health="healthy"))
    world.run(Kind.START, seen(phase=Phase.RUNNING, health="starting"))
    assert world.states["t1"][-1] is S.RUNNING


def test_an_end_seen_while_the_start_is_under_way_is_not_lost() -> None:
    world = World()
    world.assign(task())
    world.run(Kind.PREPARE, seen())
    world.see("t1", seen(phase=Phase.EXITED, exit_code=3))
    world.run(Kind.START, seen(phase=Phase.RUNNING))
    assert world.states["t1"][-1] is S.FAILED
    assert world.open == []


def test_a_start_that_reports_an_error_after_the_end_changes_nothing() -> None:
    world = World()
    world.assign(task())
    world.run(Kind.PREPARE, seen())
    world.see("t1", seen(phase=Phase.EXITED, exit_code=0))
    world.run(Kind.START, error="no such process")
    assert world.states["t1"][-1] is S.COMPLETE


def test_what_is_seen_of_a_container_in_preparation_does_not_count() -> None:
    world = World()
    world.assign(task())
    world.see("t1", seen())
    world.run(Kind.PREPARE, error="no space")
    assert world.states["t1"] == [S.PREPARING, S.REJECTED]
    assert world.reconciler.started_container("t1") is None


def test_a_container_that_someone_removed_fails_its_task() -> None:
    world = World()
    world.up()
    world.see("t1", None)
    assert world.states["t1"][-1] is S.FAILED
    assert world.errors["t1"] == "the task's container is gone"


@pytest.mark.parametrize("told", [S.ASSIGNED, S.RUNNING])
def test_a_new_daemon_adopts_running_containers(told: TaskState) -> None:
    world = World({"t1": seen(phase=Phase.RUNNING, pid=7)})
    world.assign(task(state=told), confirmed=False)
    assert world.open == []
    assert world.reconciler.started_container("t1") == "container-of-t1"
    assert world.states.get("t1", [S.RUNNING])[-1] is S.RUNNING


def test_a_new_daemon_reports_containers_that_ended_meanwhile() -> None:
    world = World({"t1": seen(phase=Phase.EXITED, exit_code=2)})
    world.assign(task(state=S.RUNNING))
    assert world.states["t1"] == [S.FAILED]


def test_a_half_started_container_is_started_by_the_new_daemon() -> None:
    world = World({"t1": seen()})
    world.assign(task(state=S.STARTING))
    assert world.kinds == [Kind.START]


def test_orphans_are_removed_once_a_manager_has_confirmed_the_tasks() -> None:
    world = World({"ghost": seen("ghost", Phase.RUNNING), "t1": seen(phase=Phase.RUNNING)})
    world.assign(task(), confirmed=False)
    assert world.open == []
    world.assign(task(), confirmed=True)
    world.run(Kind.STOP, seen("ghost", Phase.EXITED), id="ghost")
    world.run(Kind.REMOVE, id="ghost")
    assert "ghost" not in world.reconciler
    assert "t1" in world.reconciler


def test_a_task_that_a_manager_gave_up_is_stopped() -> None:
    world = World()
    world.up()
    world.assign(task(state=S.ORPHANED, desired=S.SHUTDOWN))
    assert world.kinds == [Kind.STOP]
    world.run(Kind.STOP, seen(phase=Phase.EXITED))
    assert world.open == []


def test_a_task_waits_for_its_secrets_and_networks() -> None:
    world = World()
    needy = task(networks=("n",), secrets=[SecretReference(secret_id="s", secret_name="s")])
    world.assign(needy, networks={"n": network("n")})
    assert world.open == []
    assert world.states["t1"] == [S.ACCEPTED]


def test_statuses_that_the_manager_has_are_not_reported_again() -> None:
    world = World()
    world.up()
    status = world.reconciler.unreported()["t1"]
    later = msgspec.structs.replace(status, timestamp=NOW - timedelta(seconds=9))
    world.assign(msgspec.structs.replace(task(), status=later))
    assert world.reconciler.unreported() == {}


IDS = ("a", "b", "c")
PHASES = st.sampled_from([None, *Phase])
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("assign"), st.dictionaries(st.sampled_from(IDS), st.sampled_from([S.READY, S.RUNNING, S.SHUTDOWN, S.REMOVE]))),
        st.tuples(st.just("done"), st.sampled_from(IDS), st.booleans()),
        st.tuples(st.just("see"), st.sampled_from(IDS), PHASES, st.sampled_from(["", "starting", "healthy", "unhealthy"])),
    ),
    max_size=30,
)  # fmt: skip


class Simulation:
    """Containers that obey, or not, and a reconciler that must keep its promises whatever happens."""

    def __init__(self) -> None:
        self.reconciler = Reconciler({})
        self.containers: dict[str, Seen] = {}
        self.open: dict[str, Action] = {}
        self.order: dict[str, int] = {}

    def took(self, actions: list[Action]) -> None:
        self.reconciler.validate()
        for action in actions:
            assert action.task_id in self.reconciler
            assert action.task_id not in self.open, "two actions of one task at once"
            self.open[action.task_id] = action
        for id, status in self.reconciler.take_changes().items():
            assert status.state.order >= self.order.get(id, 0), "a state went backwards"
            self.order[id] = status.state.order

    def assign(self, desired: dict[str, TaskState]) -> None:
        for id in set(self.order) - desired.keys():
            desired = {**desired, id: S.REMOVE} if id in self.reconciler and id in self.open else desired
        self.took(self.reconciler.assign(wanted(*(task(id, desired=state) for id, state in desired.items())), NOW))
        for id in IDS:
            if id not in self.reconciler:
                self.order.pop(id, None)

    def done(self, id: str, works: bool) -> None:
        if (action := self.open.pop(id, None)) is None:
            return
        works = works or action.kind in (Kind.STOP, Kind.REMOVE)
        if works:
            self.obey(action)
        error = "" if works else "it broke"
        self.took(
            self.reconciler.finish(
                Done(action=action, seen=self.containers.get(id) if works else None, error=error), NOW
            )
        )
        if id not in self.reconciler:
            self.order.pop(id, None)

    def obey(self, action: Action) -> None:
        id = action.task_id
        if action.kind is Kind.REMOVE:
            self.containers.pop(id, None)
        elif action.kind is Kind.PREPARE:
            self.containers[id] = seen(id)
        elif id in self.containers:
            phase = Phase.RUNNING if action.kind is Kind.START else Phase.EXITED
            if self.containers[id].phase is not Phase.EXITED:
                self.containers[id] = seen(id, phase)

    def see(self, id: str, phase: Phase | None, health: str) -> None:
        before = self.containers.get(id)
        if before is None or (phase is not None and list(Phase).index(phase) < list(Phase).index(before.phase)):
            return
        if phase is None:
            del self.containers[id]
        else:
            self.containers[id] = seen(id, phase, health=health)
        self.took(self.reconciler.observe(id, self.containers.get(id), NOW))

    def settle(self) -> None:
        for _ in range(20):
            for id in list(self.open):
                self.done(id, True)


@settings(deadline=None)
@given(EVENTS)
def test_states_never_go_back_and_no_container_is_forgotten(events: list[tuple[str, ...]]) -> None:
    world = Simulation()
    for name, *arguments in events:
        getattr(world, name)(*arguments)
    world.took(world.reconciler.assign(Assignments(), NOW))
    world.settle()
    assert world.open == {}
    assert world.containers == {}
    assert not any(id in world.reconciler for id in IDS)


@settings(deadline=None)
@given(EVENTS)
def test_what_is_wanted_comes_about(events: list[tuple[str, ...]]) -> None:
    world = Simulation()
    for name, *arguments in events:
        getattr(world, name)(*arguments)
    world.settle()
    world.took(world.reconciler.assign(wanted(task("fresh"), task("a", desired=S.SHUTDOWN)), NOW))
    world.settle()
    assert world.containers["fresh"].phase is Phase.RUNNING
    assert world.containers.get("a", seen()).phase is not Phase.RUNNING
