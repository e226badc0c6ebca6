"""Commands about the whole lab, and those for looking into its hosts."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from examples.lab.cluster import Cluster
from examples.lab.commands.base import HOSTS, PASS_ON, root
from examples.lab.hosts import REPO, Host, Lab
from examples.lab.layout import Blueprint, Folder
from examples.lab.links import Fault
from examples.lab.processes import run
from examples.lab.scenario import Scenario, say
from examples.lab.vms import image

_VM_PACE = 5.0  # how much longer things may take where processors are emulated


def _size(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say what a new lab is made of."""
    for option in (
        click.option(
            "--cache",
            type=click.Path(path_type=Path),
            default=image.CACHE,
            show_default=True,
            help="With --vms: where their image is kept from one lab to the next, and their disks lie meanwhile",
        ),
        click.option("--memory", default=320, show_default=True, metavar="MB", help="With --vms: memory of each"),
        click.option("--vms", is_flag=True, help="Hosts are virtual machines (QEMU), with a kernel of their own"),
        click.option("--disk", default=1024, show_default=True, metavar="MB", help="Size of each host's disk"),
        click.option("-w", "--workers", default=2, show_default=True, help="Hosts called worker1, worker2, …"),
        click.option("-m", "--managers", default=3, show_default=True, help="Hosts called manager1, manager2, …"),
    ):
        command = option(command)
    return command


@root.command(
    examples="lab up\nlab up -m 1 -w 4\nlab up --vms -m 3 -w 2\nlab --name other up -m 5 -w 0 --no-cluster -- --log-level debug"
)
@_size
@click.option("--image/--no-image", "load", default=True, help="Load the image of examples/hello on every host")
@click.option("--cluster/--no-cluster", "form", default=True, help="Make the hosts one cluster, or leave each its own")
@click.argument("flags", nargs=-1)
@click.pass_obj
def up(folder: Folder, /, load: bool, form: bool, flags: tuple[str, ...], **size: Any) -> None:
    """Make the lab, start a shoald on every host, and form a cluster. FLAGS are given to each shoald."""
    _show(_make(folder, _blueprint(folder, **size, flags=list(flags)), load=load, form=form))


def _blueprint(
    folder: Folder, *, managers: int, workers: int, disk: int, vms: bool, memory: int, cache: Path, flags: list[str]
) -> Blueprint:
    made = image.equip(cache, folder.group, memory=memory) if vms else None
    return Blueprint(managers=managers, workers=workers, disk=disk << 20, flags=flags, vms=made)


def _make(folder: Folder, blueprint: Blueprint, *, load: bool = True, form: bool) -> Lab:
    """Raises LabError; a lab whose image or cluster fails stays up, to be looked at."""
    lab = Lab.up(folder, blueprint)
    if load:
        run(str(REPO / "examples/hello/build-image"), str(folder.image))
        lab.load(folder.image)
    if form:
        _cluster(lab).form()
    return lab


def _cluster(lab: Lab) -> Cluster[Host]:
    return Cluster(lab.hosts, pace=_VM_PACE if lab.blueprint.vms else 1.0)


@root.command(examples="lab scenario\nlab scenario --keep\nlab scenario -m 5 -w 3 --replicas 20")
@_size
@click.option("--replicas", default=6, show_default=True, help="Tasks of the service that is deployed")
@click.option("--keep", is_flag=True, help="Leave the lab up, if it was put up for this")
@click.pass_obj
def scenario(folder: Folder, /, replicas: int, keep: bool, **size: Any) -> None:
    """Deploy a service, kill the leader and a worker, and show how the cluster gets over it.

    Runs on the lab that is up, with its cluster formed; else on one that it puts up and takes away again.
    """
    own = not folder.blueprint.exists()
    try:
        if own:
            say("Put up the lab")
            lab = _make(folder, _blueprint(folder, **size, flags=[]), form=True)
        else:
            lab = Lab.open(folder)
        Scenario(_cluster(lab), replicas).run()
    finally:
        if own and not keep and folder.blueprint.exists():
            Lab.open(folder).down()


@root.command(examples="lab down\nlab --name other down")
@click.pass_obj
def down(folder: Folder) -> None:
    """End everything in the lab and leave the machine as it was."""
    Lab.open(folder).down()


@root.command(examples="lab status")
@click.pass_obj
def status(folder: Folder) -> None:
    """Show the hosts, their disks, and what is wrong between them."""
    _show(Lab.open(folder))


def _show(lab: Lab) -> None:
    print(f"{'HOST':10} {'STATE':8} {'ADDRESS':12} {'IPv6':10} {'PID':>8}  DISK")
    for host in lab.hosts:
        used, free = host.used()
        pid = host.init.pid if host.init else "-"
        disk = f"{used >> 20} MB used, {free >> 20} MB free"
        print(f"{host.name:10} {host.state():8} {host.ip:12} {host.ip6:10} {pid:>8}  {disk}")
    for link, fault in lab.faults().entries:
        print(f"{link.source} → {link.target}: {_wrong(fault)}")


def _wrong(fault: Fault) -> str:
    parts = ["cut"] * fault.cut
    parts += [f"{fault.drop:g} % lost"] * bool(fault.drop)
    parts += [f"at most {fault.rate} bit/s"] * bool(fault.rate)
    parts += [f"{fault.delay:g} ms late"] * bool(fault.delay)
    return ", ".join(parts)


@root.command(
    context_settings=PASS_ON,
    examples="lab enter worker1\nlab enter manager2 ip -br addr\nlab enter outside curl http://10.77.0.11:8080/",
)
@click.argument("host")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def enter(folder: Folder, host: str, command: tuple[str, ...]) -> None:
    """Run a COMMAND (a shell by default) as a process of a host, or "outside" of all: on the bridge, at 10.77.0.1."""
    lab = Lab.open(folder)
    words = command or (os.environ.get("SHELL", "/bin/sh"),)
    _become(lab.rack.command(*words) if host == "outside" else lab.host(host).command(*words))


@root.command(context_settings=PASS_ON, examples="lab docker manager1 node ls\nlab docker worker1 ps")
@click.argument("host")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def docker(folder: Folder, host: str, arguments: tuple[str, ...]) -> None:
    """The docker command line against a host's daemon; files and the terminal are this machine's."""
    _become(["docker", "-H", Lab.open(folder).host(host).url, *arguments])


@root.command(context_settings=PASS_ON, examples="lab shoal manager1 service ls\nlab shoal worker2 logs -f web")
@click.argument("host")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def shoal(folder: Folder, host: str, arguments: tuple[str, ...]) -> None:
    """The shoal command line against a host's daemon; files and the terminal are this machine's."""
    _become([sys.executable, "-m", "shoal", "-H", Lab.open(folder).host(host).url, *arguments])


@root.command(examples="lab logs manager1\nlab logs -f manager1\nlab logs -n 100 managers", epilog=HOSTS)
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes")
@click.option("-n", "--lines", default=20, show_default=True, help="How many of the last lines")
@click.argument("hosts")
@click.pass_obj
def logs(folder: Folder, hosts: str, follow: bool, lines: int) -> None:
    """Show the logs of hosts' shoalds; they outlive power cuts."""
    files = [str(host.log) for host in Lab.open(folder).some(hosts)]
    _become(["tail", "-n", str(lines), *["-F"] * follow, *files])


def _become(command: list[str]) -> None:
    sys.stdout.flush()
    os.execvp(command[0], command)
