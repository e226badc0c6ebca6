"""Names and addresses of a lab."""

from __future__ import annotations

from pathlib import Path

import pytest

from examples.lab.layout import Blueprint, Folder, LabError


def test_hosts() -> None:
    hosts = Blueprint(managers=3, workers=2).hosts()
    assert [(host.name, host.number, host.ip, host.ip6) for host in hosts] == [
        ("manager1", 1, "10.77.0.11", "fd77::11"),
        ("manager2", 2, "10.77.0.12", "fd77::12"),
        ("manager3", 3, "10.77.0.13", "fd77::13"),
        ("worker1", 4, "10.77.0.101", "fd77::101"),
        ("worker2", 5, "10.77.0.102", "fd77::102"),
    ]
    most = Blueprint(managers=80, workers=80).hosts()
    assert len({host.ip for host in most}) == len({host.mac for host in most}) == 160
    with pytest.raises(LabError, match="not 81"):
        Blueprint(managers=81).hosts()


def test_folders_of_several_labs_have_groups_of_their_own() -> None:
    one, two = Folder.named("a", Path("/x")), Folder.named("a", Path("/y"))
    assert one.group != two.group
    for name in ("", "../a", "A", "a" * 40):
        with pytest.raises(LabError, match="a lab's name"):
            Folder.named(name)


def test_a_blueprint_is_kept(tmp_path: Path) -> None:
    folder = Folder.named("a", tmp_path)
    with pytest.raises(LabError, match="there is no lab in"):
        folder.load()
    folder.path.mkdir()
    folder.save(Blueprint(managers=1, flags=["--log-level", "debug"]))
    assert folder.load() == Blueprint(managers=1, flags=["--log-level", "debug"])
