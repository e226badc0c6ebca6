"""kill -9 at random moments of creating, opening, connecting, closing, removing: a new daemon clears all that is left."""

from __future__ import annotations

import random
import subprocess
import sys
import time

import pytest

from tests.harness.daemon import REPO
from tests.harness.machine import run
from tests.harness.networks import World, address, tcp, world
from tests.harness.wait import until
from worker.network.networks import LocalNetworks

_TRIES = 12


def killed_child(here: World, seed: int) -> None:
    """Start a child on the host's folders and kill it after a random while of work."""
    settings = here.settings
    command = [sys.executable, "-m", "tests.harness.network_child", str(settings.root), str(settings.state), str(seed)]
    child = subprocess.Popen(
        ["nsenter", f"--net={here.host.inside}", *command],
        cwd=REPO,
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": str(REPO)},
    )
    assert child.stdout
    with child.stdout:
        assert child.stdout.readline() == b"ready\n"
        deadline = time.monotonic() + random.Random(seed).uniform(0, 0.3)
        while time.monotonic() < deadline:
            assert child.poll() is None, "the child failed by itself"
        child.kill()
        child.wait()


@pytest.mark.slow
async def test_kills_leave_nothing() -> None:
    first = random.randrange(10**6)
    async with world() as here:
        before = here.rules()
        for seed in range(first, first + _TRIES):
            await here.networks.shut_down()
            killed_child(here, seed)
            here.networks = LocalNetworks(here.settings, here.events, here.plane)
            await here.start()
            for network in here.networks.list():
                assert not network.containers
                if network.name.startswith("net"):
                    await here.networks.remove(network.id)
            until(lambda: not here.leftovers(), f"nothing is left after seed {seed}")
            assert here.rules() == before, f"seed {seed}"
            assert not _mounts(str(here.settings.state)), f"seed {seed}"
            one = await here.open("one", ports=[tcp(80, 8000)])
            assert address(one) == "172.16.0.2", f"no address is lost (seed {seed})"
            await here.networks.close(one.container_id)
            until(lambda: not here.leftovers(), f"nothing is left (seed {seed})")


def _mounts(folder: str) -> list[str]:
    return [line for line in run("cat", "/proc/self/mountinfo").splitlines() if folder in line]
