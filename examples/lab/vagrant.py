"""The scenario on Vagrant's virtual machines, which the Vagrantfile beside this has made: `vagrant-scenario`.

Commands go by ssh with Vagrant's own configuration; power cuts are Vagrant's forced halt.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from examples.lab.cluster import Cluster
from examples.lab.layout import LabError
from examples.lab.processes import run, until
from examples.lab.scenario import Scenario, say

_HERE = Path(__file__).resolve().parent
_SSH_CONFIG = _HERE / ".vagrant" / "ssh-config"
_BOOT = 300.0  # seconds


class VirtualHost:
    """A machine of the Vagrantfile, by its name."""

    def __init__(self, name: str, ssh_config: Path = _SSH_CONFIG) -> None:
        self.name = name
        self.ssh_config = ssh_config
        self.is_manager = name.startswith("manager")
        self.ip = f"192.168.56.{(10 if self.is_manager else 100) + int(re.sub('[a-z]', '', name))}"

    def ssh(self, *command: str) -> list[str]:
        """The command line that runs `command` there as root."""
        options = ["-F", str(self.ssh_config), "-o", "ConnectTimeout=3", "-o", "BatchMode=yes"]
        return ["ssh", *options, self.name, "--", f"sudo {shlex.join(command)}"]

    def docker(self, *arguments: str, timeout: float = 120) -> str:
        return run(*self.ssh("docker", "-H", "unix:///run/shoal/shoal.sock", *arguments), timeout=timeout)

    def kill(self) -> None:
        _vagrant("halt", "--force", self.name)

    def start(self) -> None:
        _vagrant("up", "--no-provision", self.name)
        until(self._answers, f"shoald answers on {self.name}", timeout=_BOOT, every=1.0)

    def _answers(self) -> bool:
        try:
            return bool(self.docker("version", timeout=10))
        except LabError:
            return False


def _vagrant(*arguments: str) -> str:
    return run("env", f"VAGRANT_CWD={_HERE}", "vagrant", *arguments, timeout=_BOOT)


def running(status: str) -> list[str]:
    """Names of the machines that run, by `vagrant status --machine-readable`, managers first."""
    lines = [line.split(",") for line in status.splitlines()]
    names = {words[1] for words in lines if words[2:4] == ["state", "running"]}
    return sorted(names, key=lambda name: (not name.startswith("manager"), len(name), name))


def main(arguments: Sequence[str]) -> int:
    """`vagrant-scenario`: form the cluster where the machines are none yet, and run the scenario on it."""
    if arguments:
        print(f"usage: vagrant-scenario (it takes no arguments, not {arguments[0]!r})", file=sys.stderr)
        return 2
    try:
        hosts = [VirtualHost(name) for name in running(_vagrant("status", "--machine-readable"))]
        if not hosts:
            raise LabError("no machine runs: `vagrant up` in examples/lab starts them")
        _SSH_CONFIG.write_text(_vagrant("ssh-config", *(host.name for host in hosts)))
        cluster = Cluster(hosts)
        if len(cluster.nodes()) == 1:
            say("Form the cluster")
            cluster.form()
        Scenario(cluster).run()
    except (LabError, OSError) as error:
        print(f"vagrant-scenario: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
