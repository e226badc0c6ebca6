"""What every virtual machine boots from: a kernel, an initramfs and a root file system, built from Debian packages into a cache.

The root file system has the packages of packaging/apt.txt, those of this lab, and the Python packages that Shoal needs, but not
Shoal itself (tree.py). The cache's key is all that goes into it, so that a change of either builds it anew.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tomllib
from pathlib import Path

from examples.lab.layout import LabError, Vms
from examples.lab.processes import run
from examples.lab.vms.accelerator import choose
from examples.lab.vms.files import Image

PROJECT = Path(__file__).resolve().parents[3]
GUEST = Path(__file__).parent / "guest"
CACHE = Path("/var/tmp/shoal-lab-vms")
_SUITE = "bookworm"  # the Debian whose Python and crun Shoal is made for
_MIRROR = "http://deb.debian.org/debian"
_KERNEL = "linux-image-cloud-amd64"
_PYTHON = "3.11"
_DISK = "4G"  # sparse
_BAKED = ("initramfs", "inittab", "lab-start")  # what of guest/ lies in the image; the rest comes with the tree
_PACKAGES = (
    "apparmor", "busybox-static", "ca-certificates", "conntrack", "curl", "e2fsprogs", "iperf3", "iputils-ping", "kmod", "netbase",
    "nfs-common", "nfs-kernel-server", "openssh-server", "python3", "tcpdump",
)  # fmt: skip
_DRIVERS = ("virtio_pci", "virtio_blk")
_TOOLS = {"debootstrap": "debootstrap", "mke2fs": "e2fsprogs", "qemu-img": "qemu-utils", "ssh-keygen": "openssh-client"}
_TOOLS |= {"qemu-system-x86_64": "qemu-system-x86"}


def equip(cache: Path, name: str, *, memory: int = 320, cpus: int = 1) -> Vms:
    """What a lab called `name` needs for its virtual machines; builds the image where the cache has none. Raises LabError."""
    image, disks = build(cache), cache.absolute() / f"lab-{name}"
    own = Image(disks / "image")
    shutil.rmtree(disks, ignore_errors=True)
    shutil.copytree(image.folder, own.folder, copy_function=os.link)  # it stays when the cache gets a newer one
    return Vms(image=str(own.folder), disks=str(disks), accelerator=choose(image), memory=memory, cpus=cpus)


def missing_packages() -> list[str]:
    """Debian packages without which no machine can be built or started."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    return sorted({package for tool, package in _TOOLS.items() if shutil.which(tool, path=path) is None})


def built(cache: Path = CACHE) -> Image | None:
    """The image for this tree where the cache has it."""
    image = Image(cache / f"image-{_fingerprint()}")
    return image if image.folder.is_dir() else None


def build(cache: Path = CACHE) -> Image:
    """The image, built where the cache has none (about two minutes); older ones are removed. Raises LabError."""
    if image := built(cache):
        return image
    if packages := missing_packages():
        raise LabError(
            f"virtual machines need Debian packages: apt-get install --no-install-recommends {' '.join(packages)}"
        )
    cache.mkdir(parents=True, exist_ok=True)
    for old in (*cache.glob("image-*"), *cache.glob("new-*")):
        shutil.rmtree(old)
    final, work = cache / f"image-{_fingerprint()}", cache / f"new-{os.getpid()}"
    try:
        _make(Image(work), work / "tree")
        work.rename(final)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return Image(final)


def _make(image: Image, tree: Path) -> None:
    image.folder.mkdir(mode=0o700)
    include = ",".join([*_debian_packages(), *_PACKAGES])
    log = image.folder / "debootstrap.log"
    with log.open("wb") as file:
        command = ["debootstrap", "--variant=minbase", f"--include={include}", _SUITE, str(tree), _MIRROR]
        if subprocess.run(command, stdout=file, stderr=file, stdin=subprocess.DEVNULL, check=False).returncode:
            raise LabError(f"debootstrap failed: {log.read_text(errors='replace')[-2000:]}")
    _add_kernel(image, tree)
    _add_python(tree)
    _add_keys(image, tree)
    _add_guest(tree)
    shutil.rmtree(tree / "var/cache/apt/archives")
    shutil.rmtree(tree / "var/lib/apt/lists")
    run("mke2fs", "-q", "-t", "ext4", "-E", "root_owner=0:0", "-d", str(tree), str(image.disk), _DISK)
    shutil.rmtree(tree)


def _add_kernel(image: Image, tree: Path) -> None:
    """Unpacked, not installed: its scripts would build an initramfs of their own."""
    inside = ["chroot", str(tree)]
    lines = run(*inside, "apt-cache", "depends", _KERNEL).splitlines()
    package = next(line.split()[1] for line in lines if line.strip().startswith("Depends: linux-image"))
    run(*inside, "sh", "-c", f"cd /tmp && apt-get -o APT::Sandbox::User=root -qq download {package}", timeout=300)
    deb = next((tree / "tmp").glob("*.deb"))
    run(*inside, "dpkg", "-x", f"/tmp/{deb.name}", "/tmp/kernel")
    deb.unlink()
    (tree / "tmp/kernel/boot" / f"vmlinuz-{package.removeprefix('linux-image-')}").rename(image.kernel)
    (tree / "tmp/kernel/lib/modules").rename(tree / "usr/lib/modules")
    shutil.rmtree(tree / "tmp/kernel")
    release = next((tree / "lib/modules").iterdir()).name
    run(*inside, "depmod", release)
    drivers = run(*inside, "modprobe", "-S", release, "--show-depends", "-a", *_DRIVERS)
    _write_initramfs(
        image, tree, list(dict.fromkeys(line.split()[1] for line in drivers.splitlines() if "insmod" in line))
    )


def _write_initramfs(image: Image, tree: Path, modules: list[str]) -> None:
    work = image.folder / "initramfs.d"
    for folder in ("bin", "proc", "dev", "root"):
        (work / folder).mkdir(parents=True)
    shutil.copy(tree / "bin/busybox", work / "bin/busybox")
    shutil.copy(GUEST / "initramfs", work / "init")
    for module in modules:
        shutil.copy(tree / module.lstrip("/"), work)
    (work / "modules").write_text("".join(f"/{Path(module).name}\n" for module in modules))
    run(
        "sh",
        "-c",
        f"cd '{work}' && find . | '{tree}/bin/busybox' cpio -o -H newc 2>/dev/null | gzip -1 >'{image.initramfs}'",
    )
    shutil.rmtree(work)


def _add_python(tree: Path) -> None:
    """Shoal's dependencies, as wheels for the guest's Python, compiled once: the machines' processors are slow."""
    wheel = ["--only-binary=:all:", f"--python-version={_PYTHON}", "--implementation=cp"]
    pip = [str(PROJECT / ".venv/bin/pip"), "install", "--quiet", "--disable-pip-version-check"]
    run(*pip, *wheel, "--target", str(tree / "opt/site"), *_dependencies(), timeout=600)
    (tree / "usr/lib/python3/dist-packages/lab.pth").write_text("/opt/site\n")  # children run isolated from PYTHONPATH
    run("chroot", str(tree), "python3", "-m", "compileall", "-q", "/opt/site", timeout=600)


def _add_keys(image: Image, tree: Path) -> None:
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", str(image.key))
    ssh = tree / "etc/ssh"
    for other in ssh.glob("ssh_host_*"):
        other.unlink()
    host_key = ssh / "ssh_host_ed25519_key"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", str(host_key))
    image.known_hosts.write_text(f"* {host_key.with_suffix('.pub').read_text()}")
    home = tree / "root/.ssh"
    home.mkdir(mode=0o700, exist_ok=True)
    shutil.copy(image.key.with_suffix(".pub"), home / "authorized_keys")
    (ssh / "sshd_config").write_text(
        "HostKey /etc/ssh/ssh_host_ed25519_key\nPermitRootLogin prohibit-password\nPasswordAuthentication no\n"
        "UsePAM no\nUseDNS no\nAcceptEnv TERM\nMaxSessions 100\nMaxStartups 100\n"
    )


def _add_guest(tree: Path) -> None:
    (tree / "opt/shoal").mkdir()
    (tree / "var/lib/shoal").mkdir()
    shutil.copy(GUEST / "inittab", tree / "etc/inittab")
    shutil.copy(GUEST / "lab-start", tree / "etc/lab-start")
    (tree / "usr/local/bin/shoal").symlink_to("/opt/shoal/guest/shoal")
    (tree / "etc/fstab").write_text("")
    (tree / "etc/resolv.conf").write_text("")


def _debian_packages() -> list[str]:
    lines = (PROJECT / "packaging/apt.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def _dependencies() -> list[str]:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    return [*project["dependencies"]]


def _fingerprint() -> str:
    parts = [*_debian_packages(), *_PACKAGES, *_dependencies(), _SUITE, _KERNEL, Path(__file__).read_text()]
    parts += [(GUEST / name).read_text() for name in _BAKED]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
