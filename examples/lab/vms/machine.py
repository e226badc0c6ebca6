"""One virtual machine: its files and QEMU's command line. Starting it and talking to it is host.py's."""

from __future__ import annotations

import base64
import shlex
from pathlib import Path

from examples.lab.layout import OUTSIDE, OUTSIDE6, Address, Vms
from examples.lab.processes import run
from examples.lab.vms.files import Image

_UP = b"LAB-UP"  # what the guest's init says when one can log in


class Machine:
    """`folder` keeps its disk, the packed tree and its console."""

    def __init__(self, address: Address, folder: Path, image: Image, vms: Vms) -> None:
        self.address = address
        self.folder = folder
        self.tree = folder / "tree.ext4"
        self._disk = folder / "root.qcow2"
        self._console = folder / "console"
        self._image = image
        self._vms = vms

    def make_disk(self) -> None:
        """An empty one over the image, where there is none yet; a fresh console."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._console.write_bytes(b"")
        if not self._disk.exists():
            run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(self._image.disk), str(self._disk))

    def up(self) -> bool:
        """Whether one can log in since it was switched on."""
        return _UP in self._console.read_bytes()

    def said(self) -> str:
        """The end of its console."""
        return self._console.read_bytes()[-2000:].decode(errors="replace") if self._console.exists() else ""

    def written(self) -> int:
        """Bytes that its disk takes of this machine's."""
        return self._disk.stat().st_blocks * 512 if self._disk.exists() else 0

    def qemu(self, log: Path, flags: list[str]) -> list[str]:
        """The command line that starts it and returns; shoald gets `flags`, and its log is written to `log` as it grows."""
        return [
            "qemu-system-x86_64", "-daemonize", "-M", "q35", "-accel", self._vms.accelerator, "-cpu", "max",
            "-m", str(self._vms.memory), "-smp", str(self._vms.cpus), "-nodefaults", "-no-reboot", "-display", "none",
            "-serial", f"file:{self._console}",
            "-chardev", f"file,id=log,path={log},append=on", "-serial", "chardev:log",
            "-kernel", str(self._image.kernel), "-initrd", str(self._image.initramfs), "-append", self._command_line(flags),
            *_drive("root", self._disk, "qcow2,cache=writeback"),
            *_drive("tree", self.tree, "raw,readonly=on"),
            "-netdev", f"tap,id=net,ifname={self.address.name},script=no,downscript=no",
            "-device", f"virtio-net-pci,netdev=net,mac={self.address.mac},romfile=",
            "-device", "virtio-rng-pci",
        ]  # fmt: skip

    def _command_line(self, flags: list[str]) -> str:
        """Of the kernel; guest/start reads the words that begin with "lab."."""
        encoded = base64.b64encode(shlex.join(flags).encode()).decode()
        words = ["console=ttyS0", "quiet", "panic=-1", "net.ifnames=0", "mitigations=off"]
        words += ["tsc=reliable", "no_timer_check"]  # an emulated clock may stand still for longer than a real one
        words += [f"lab.name={self.address.name}", f"lab.ip={self.address.ip}", f"lab.ip6={self.address.ip6}"]
        return " ".join([*words, f"lab.gateway={OUTSIDE}", f"lab.gateway6={OUTSIDE6}", f"lab.flags={encoded}"])


def _drive(name: str, file: Path, form: str) -> list[str]:
    return ["-drive", f"id={name},file={file},format={form},if=none", "-device", f"virtio-blk-pci,drive={name}"]
