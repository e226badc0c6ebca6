"""How QEMU runs the machines here: on the processor (KVM) where a guest really boots on it, else by translating (TCG).

That /dev/kvm is there says little: under some hypervisors every guest hangs. So one boot to the initramfs tells, once per image.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from examples.lab.vms.files import Image

KVM = "kvm"
TCG = "tcg,thread=multi,tb-size=96"  # MiB of translated code for each machine
_PROBE = 10.0  # seconds; KVM needs one


def choose(image: Image) -> str:
    """The value of QEMU's -accel."""
    if not Path("/dev/kvm").exists():
        return TCG
    memory = image.folder / "accelerator"
    if not memory.exists():
        memory.write_text(KVM if _boots(image, KVM) else TCG)
    return memory.read_text()


def _boots(image: Image, accelerator: str) -> bool:
    command = [
        "qemu-system-x86_64", "-M", "q35", "-accel", accelerator, "-cpu", "max", "-m", "256", "-nodefaults", "-no-reboot",
        "-display", "none", "-serial", "stdio", "-kernel", str(image.kernel), "-initrd", str(image.initramfs),
        "-append", "console=ttyS0 quiet panic=-1 lab.probe",
    ]  # fmt: skip
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PROBE, check=False)
    except subprocess.TimeoutExpired:
        return False
    return b"LAB-PROBE" in done.stdout
