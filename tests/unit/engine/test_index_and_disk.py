"""Finding containers by name and id, and what the disk says after a crash at each step."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from common.errors import Conflict, InvalidArgument, NotFound
from common.model.container import ContainerConfig, HostConfig
from common.names import random_name
from common.settings import Settings
from worker.engine.container import Container
from worker.engine.disk import Disk, Remains
from worker.engine.index import Index
from worker.engine.record import MountPoint, Record, State

NOW = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    made = Disk(Settings(root=tmp_path / "root", state=tmp_path / "state"))
    made.make_folders()
    return made


def record(id: str, name: str) -> Record:
    mounts = (MountPoint(type="volume", name="v", destination="/v", anonymous=True),)
    return Record(
        id=id, name=name, created=NOW, image="", image_id="", config=ContainerConfig(), host=HostConfig(), mounts=mounts
    )


async def test_names_ids_and_unique_beginnings(disk: Disk) -> None:
    index = Index()
    one, two = (Container(record(id, name), State(), disk) for id, name in (("ab" * 32, "one"), ("ac" * 32, "two")))
    index.add(one)
    index.add(two)
    for ref in ("one", "/one", "ab" * 32, "ab"):
        assert index.get(ref) is one
    with pytest.raises(InvalidArgument, match="multiple IDs"):
        index.get("a")
    for ref in ("", "three", "/", "../one"):
        with pytest.raises(NotFound, match=f"No such container: {ref}"):
            index.get(ref)
    index.remove(one)
    with pytest.raises(NotFound):
        index.get("one")


def test_a_name_is_reserved_until_it_fails_or_is_given_back() -> None:
    index = Index()
    with index.reserve("/web", "1") as name:
        assert name == "web"
        with pytest.raises(Conflict, match='"/web" is already in use by container "1"'), index.reserve("web", "2"):
            pass
    with pytest.raises(ZeroDivisionError), index.reserve("other", "3"):
        raise ZeroDivisionError
    with index.reserve("other", "4"):
        pass
    index.release_name("other")
    for bad in ("x", "", "-web", "a b", "a/b", "w" * 300):
        with pytest.raises(InvalidArgument), index.reserve(bad, "5"):
            pass


def test_random_names_are_valid() -> None:
    index = Index()
    for attempt in range(5):
        with index.reserve(random_name(attempt), str(attempt)):
            pass


async def test_each_step_can_be_the_last(disk: Disk) -> None:
    half, whole = record("1" * 64, "half"), record("2" * 64, "whole")
    disk.draft(half)
    assert list(disk.existing()) == []
    assert list(disk.remains()) == [Remains(half.id, half, volumes=True)]
    disk.draft(whole)
    await disk.commit(whole.id)
    disk.save_state(whole.id, State(exit_code=3))
    assert list(disk.existing()) == [(whole, State(exit_code=3))]
    disk.mark_removing(whole.id, volumes=False)
    disk.mark_removing(whole.id, volumes=False)
    assert list(disk.remains()) == [Remains(half.id, half, volumes=True), Remains(whole.id, whole, volumes=False)]
    disk.remove(whole.id)
    disk.remove(half.id)
    disk.bundle("3" * 64).mkdir()
    assert list(disk.remains()) == [Remains("3" * 64)]


async def test_a_removal_remembers_whether_volumes_go(disk: Disk) -> None:
    web = record("1" * 64, "web")
    disk.draft(web)
    await disk.commit(web.id)
    disk.mark_removing(web.id, volumes=True)
    assert list(disk.remains()) == [Remains(web.id, web, volumes=True)]


async def test_a_record_that_cannot_be_read_is_left_alone(disk: Disk) -> None:
    disk.draft(record("1" * 64, "web"))
    await disk.commit("1" * 64)
    (disk.folder("1" * 64) / "container.json").write_text("{")
    assert list(disk.existing()) == []
    assert list(disk.remains()) == []


async def test_a_torn_state_is_as_good_as_none(disk: Disk) -> None:
    disk.draft(record("1" * 64, "web"))
    await disk.commit("1" * 64)
    (disk.folder("1" * 64) / "state.json").write_text('{"status": "run')
    assert [state for _, state in disk.existing()] == [State()]
