"""What is said to Vagrant's machines, and read from Vagrant."""

from __future__ import annotations

from pathlib import Path

from examples.lab.vagrant import VirtualHost, running

_STATUS = """\
1700000000,worker1,metadata,provider,virtualbox
1700000000,worker1,state,running
1700000000,manager10,state,running
1700000000,manager2,state,running
1700000000,manager1,state,poweroff
1700000000,,ui,info,Current machine states
"""


def test_running_machines() -> None:
    assert running(_STATUS) == ["manager2", "manager10", "worker1"]


def test_addresses_are_those_of_the_vagrantfile() -> None:
    assert [VirtualHost(name).ip for name in ("manager1", "manager12", "worker2")] == [
        "192.168.56.11",
        "192.168.56.22",
        "192.168.56.102",
    ]


def test_ssh_quotes_once_for_the_far_shell() -> None:
    words = VirtualHost("worker1", Path("/c")).ssh("docker", "node", "ls", "--format", "{{json .}}")
    assert words[-3:] == ["worker1", "--", "sudo docker node ls --format '{{json .}}'"]
