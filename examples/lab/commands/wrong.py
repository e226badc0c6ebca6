"""Commands that break links and disks, and mend them."""

from __future__ import annotations

import click

from examples.lab.commands.base import HOSTS, root
from examples.lab.hosts import Lab
from examples.lab.layout import Folder
from examples.lab.links import OTHERS, parse_delay, parse_rate

_one_way = click.option("--one-way", is_flag=True, help="Only from HOSTS to OTHERS")
_hosts = click.argument("hosts")
_others = click.argument("others")


@root.command(
    examples="lab cut manager1\nlab cut manager1,worker1 managers\nlab cut --one-way worker1 managers", epilog=HOSTS
)
@_one_way
@_hosts
@click.argument("others", default=OTHERS)
@click.pass_obj
def cut(folder: Folder, hosts: str, others: str, one_way: bool) -> None:
    """Let nothing through between HOSTS and OTHERS (all that are not HOSTS, by default)."""
    Lab.open(folder).cut(hosts, others, one_way=one_way)


@root.command(examples="lab drop manager1 managers 30\nlab drop --one-way worker1 all 5", epilog=HOSTS)
@_one_way
@_hosts
@_others
@click.argument("percent", type=float)
@click.pass_obj
def drop(folder: Folder, hosts: str, others: str, percent: float, one_way: bool) -> None:
    """Lose PERCENT of the packets between HOSTS and OTHERS, at random. 0 loses none."""
    Lab.open(folder).drop(hosts, others, percent, one_way=one_way)


@root.command(examples="lab slow manager1 all 1mbit\nlab slow --one-way workers managers 200kbit", epilog=HOSTS)
@_one_way
@_hosts
@_others
@click.argument("rate")
@click.pass_obj
def slow(folder: Folder, hosts: str, others: str, rate: str, one_way: bool) -> None:
    """Let no more than RATE through from each of HOSTS to each of OTHERS, and back."""
    Lab.open(folder).slow(hosts, others, parse_rate(rate), one_way=one_way)


@root.command(examples="lab delay managers managers 30ms\nlab delay --one-way worker1 all 200ms", epilog=HOSTS)
@_one_way
@_hosts
@_others
@click.argument("time")
@click.pass_obj
def delay(folder: Folder, hosts: str, others: str, time: str, one_way: bool) -> None:
    """Let packets between HOSTS and OTHERS take TIME longer, each way. 0 for no longer."""
    Lab.open(folder).delay(hosts, others, parse_delay(time), one_way=one_way)


@root.command(examples="lab heal\nlab heal manager1\nlab heal workers managers", epilog=HOSTS)
@_one_way
@click.argument("hosts", default="all")
@click.argument("others", default="all")
@click.pass_obj
def heal(folder: Folder, hosts: str, others: str, one_way: bool) -> None:
    """Put the links between HOSTS and OTHERS in order again (all of them, by default)."""
    Lab.open(folder).heal(hosts, others, one_way=one_way)


@root.command(examples="lab fill manager1\nlab fill --leave 4096 worker1", epilog=HOSTS)
@click.option("--leave", default=0, metavar="BYTES", help="How much stays free")
@_hosts
@click.pass_obj
def fill(folder: Folder, hosts: str, leave: int) -> None:
    """Make the disks of HOSTS full, until `lab unfill`."""
    for host in Lab.open(folder).some(hosts):
        host.fill(leave)


@root.command(examples="lab unfill manager1\nlab unfill all", epilog=HOSTS)
@_hosts
@click.pass_obj
def unfill(folder: Folder, hosts: str) -> None:
    """Give HOSTS their whole disks again."""
    for host in Lab.open(folder).some(hosts):
        host.unfill()
