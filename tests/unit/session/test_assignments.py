"""The set of assignments: in step with the stream, on disk without secrets, with the digest that both sides compute."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from common.model import Secret, SecretSpec, TaskState, TaskStatus
from common.wire import Assignments, Complete, Incremental, digest
from tests.harness.tasks import network, task, wanted
from worker.session.assignments import AssignmentSet, Gap

SECRET = Secret(id="s", spec=SecretSpec(name="password", data=b"hunter2"))


@pytest.fixture
def kept(tmp_path: Path) -> AssignmentSet:
    return AssignmentSet(tmp_path / "session" / "assignments")


def test_incremental_changes_and_removes(kept: AssignmentSet) -> None:
    kept.apply(Complete(sequence=5, assignments=wanted(task("a"), task("b"), networks={"n": network("n")})))
    changed = wanted(task("b", desired=TaskState.SHUTDOWN), task("c"))
    kept.apply(Incremental(sequence=6, changed=changed, removed={"tasks": ["a", "unknown"], "networks": ["n"]}))
    assert list(kept.current.tasks) == ["b", "c"]
    assert kept.current.tasks["b"].desired_state is TaskState.SHUTDOWN
    assert kept.current.networks == {}


@pytest.mark.parametrize("sequence", [5, 7])
def test_a_gap_ends_the_session(kept: AssignmentSet, sequence: int) -> None:
    kept.apply(Complete(sequence=5, assignments=Assignments()))
    with pytest.raises(Gap):
        kept.apply(Incremental(sequence=sequence))


def test_a_new_session_may_begin_with_any_number(kept: AssignmentSet) -> None:
    assert kept.apply(Complete(sequence=5, assignments=wanted(task()))) is True
    assert kept.apply(Incremental(sequence=6)) is False
    kept.begin()
    assert kept.apply(Incremental(sequence=1)) is True
    assert list(kept.current.tasks) == ["t1"]


def test_secrets_never_reach_the_disk(kept: AssignmentSet, tmp_path: Path) -> None:
    kept.apply(Complete(sequence=1, assignments=wanted(task(), secrets={"s": SECRET})))
    kept.save()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 1
    assert b"hunter2" not in files[0].read_bytes()


def test_a_new_daemon_knows_its_tasks_but_claims_nothing(kept: AssignmentSet, tmp_path: Path) -> None:
    kept.apply(Complete(sequence=1, assignments=wanted(task(), secrets={"s": SECRET})))
    kept.save()
    again = AssignmentSet(tmp_path / "session" / "assignments")
    again.load()
    assert again.current.tasks == kept.current.tasks
    assert (again.confirmed, again.digest()) == (False, "")


def test_a_torn_file_counts_as_empty(kept: AssignmentSet, tmp_path: Path) -> None:
    kept.apply(Complete(sequence=1, assignments=wanted(task())))
    kept.save()
    path = tmp_path / "session" / "assignments"
    path.write_bytes(path.read_bytes()[:20])
    kept.load()
    assert kept.current == Assignments()


def test_the_digest_leaves_out_what_the_worker_itself_reports() -> None:
    reported = msgspec.structs.replace(task(), status=TaskStatus(state=TaskState.RUNNING))
    assert digest(wanted(task())) == digest(wanted(reported))
    assert digest(wanted(task("a"), task("b"))) == digest(wanted(task("b"), task("a")))
    assert digest(wanted(task())) != digest(wanted(task(desired=TaskState.SHUTDOWN)))
