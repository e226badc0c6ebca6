"""Virtual machines of the lab: QEMU's command line, and what the image is made of."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from examples.lab.layout import Address, LabError, Vms
from examples.lab.vms import image
from examples.lab.vms.files import Image
from examples.lab.vms.machine import Machine


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    vms = Vms(image="/cache/image", disks=str(tmp_path), accelerator="tcg", memory=300)
    return Machine(Address("worker1", 4, 101), tmp_path / "worker1", Image(Path("/cache/image")), vms)


def test_the_command_line_has_all_that_the_guest_needs(machine: Machine) -> None:
    command = machine.qemu(Path("/run/log"), ["--log-level", "de bug"])
    kernel = command[command.index("-append") + 1].split()
    told = dict(word.split("=", 1) for word in kernel if word.startswith("lab."))
    assert (told["lab.name"], told["lab.ip"], told["lab.ip6"]) == ("worker1", "10.77.0.101", "fd77::101")
    assert base64.b64decode(told["lab.flags"]) == b"--log-level 'de bug'"
    assert command[command.index("-m") + 1] == "300"
    assert any("ifname=worker1," in word for word in command)


def test_a_machine_is_up_once_its_init_says_so(machine: Machine) -> None:
    machine.folder.mkdir()
    console = machine.folder / "console"
    console.write_bytes(b"booting\n")
    assert not machine.up()
    console.write_bytes(b"booting\nLAB-UP 3.1 worker1\n")
    assert machine.up()
    assert machine.said().endswith("worker1\n")


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(image, "missing_packages", lambda: ["debootstrap", "qemu-utils"])
    with pytest.raises(LabError, match=r"apt-get install .* debootstrap qemu-utils"):
        image.build(tmp_path)
    assert list(tmp_path.iterdir()) == []
