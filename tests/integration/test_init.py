"""HostConfig.Init: an init that reaps orphans, passes signals on and gives the command's exit code back."""

from __future__ import annotations

from tests.harness.daemon import Daemon
from tests.harness.wait import until

ORPHANS = "for i in 1 2 3; do (sleep 0.3 &) ; done; exec sleep 1000"


def states(shoald: Daemon, name: str) -> list[str]:
    """The states of all sleeping processes: S sleeps, Z is dead and waits to be reaped (a control group lists no dead)."""
    return sorted(
        line.split()[0][0] for line in shoald.docker("exec", name, "ps", "-o", "stat,comm").splitlines()[1:-1]
    )


def test_orphans_are_reaped(shoald: Daemon) -> None:
    for name, flags, expected in (("plain", [], ["S", "Z", "Z", "Z"]), ("reaped", ["--init"], ["S", "S"])):
        shoald.docker("run", "-d", "--name", name, *flags, "busybox", "sh", "-c", ORPHANS)
        until(lambda name=name, expected=expected: states(shoald, name) == expected, f"{name}: {expected}")
    shoald.docker("rm", "-f", "plain", "reaped")


def test_codes_and_signals_pass_through(shoald: Daemon) -> None:
    assert shoald.docker_result("run", "--rm", "--init", "busybox", "sh", "-c", "exit 3").returncode == 3
    shoald.docker("run", "-d", "--init", "--name", "stopped", "busybox", "sleep", "1000")
    shoald.docker("stop", "-t", "20", "stopped")
    assert shoald.docker("inspect", "-f", "{{.State.ExitCode}}", "stopped").strip() == "143"
    shoald.docker("rm", "stopped")
