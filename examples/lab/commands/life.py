"""Commands that stop and start hosts and their daemons."""

from __future__ import annotations

import click

from examples.lab.commands.base import HOSTS, root
from examples.lab.hosts import Lab
from examples.lab.layout import Folder


@root.command(examples="lab start worker1\nlab start all", epilog=HOSTS)
@click.argument("hosts")
@click.pass_obj
def start(folder: Folder, hosts: str) -> None:
    """Boot HOSTS that are off, start their shoald where none runs, and wait until it answers."""
    lab = Lab.open(folder)
    lab.each(lambda host: host.start(), lab.some(hosts))


@root.command(examples="lab stop manager1", epilog=HOSTS)
@click.argument("hosts")
@click.pass_obj
def stop(folder: Folder, hosts: str) -> None:
    """End the shoald of HOSTS cleanly (SIGTERM); their containers run on."""
    lab = Lab.open(folder)
    lab.each(lambda host: host.stop(), lab.some(hosts))


@root.command(examples="lab restart manager1\nlab restart workers", epilog=HOSTS)
@click.argument("hosts")
@click.pass_obj
def restart(folder: Folder, hosts: str) -> None:
    """End the shoald of HOSTS cleanly and start it again."""
    lab = Lab.open(folder)
    lab.each(lambda host: host.stop(), lab.some(hosts))
    lab.each(lambda host: host.start(), lab.some(hosts))


@root.command(examples="lab kill manager1\nlab kill worker1,worker2", epilog=HOSTS)
@click.argument("hosts")
@click.pass_obj
def kill(folder: Folder, hosts: str) -> None:
    """Cut the power of HOSTS: everything in them ends at once, only their disks stay. `lab start` boots them again."""
    for host in Lab.open(folder).some(hosts):
        host.kill()


@root.command("kill-daemon", examples="lab kill-daemon worker1\nlab kill-daemon --manager manager2", epilog=HOSTS)
@click.option("--manager", is_flag=True, help="Only the manager child")
@click.argument("hosts")
@click.pass_obj
def kill_daemon(folder: Folder, hosts: str, manager: bool) -> None:
    """Kill (SIGKILL) the shoald of HOSTS, or only its manager child; containers run on."""
    for host in Lab.open(folder).some(hosts):
        host.kill_daemon("manager" if manager else "shoald")


@root.command(examples="lab freeze worker1\nlab freeze --manager managers", epilog=HOSTS)
@click.option("--manager", is_flag=True, help="Only the manager child, by SIGSTOP")
@click.option("--shoald", is_flag=True, help="Only the node daemon, by SIGSTOP")
@click.argument("hosts")
@click.pass_obj
def freeze(folder: Folder, hosts: str, manager: bool, shoald: bool) -> None:
    """Let HOSTS stand still, with all containers, until `lab thaw`."""
    for host in Lab.open(folder).some(hosts):
        if shoald or not manager:
            host.freeze("shoald" if shoald else "all")
        if manager:
            host.freeze("manager")


@root.command(examples="lab thaw all", epilog=HOSTS)
@click.argument("hosts")
@click.pass_obj
def thaw(folder: Folder, hosts: str) -> None:
    """Let HOSTS that were frozen go on."""
    for host in Lab.open(folder).some(hosts):
        if host.init:
            host.thaw()
