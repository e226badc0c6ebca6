"""The lab's scenario on a real cluster of hosts: a dead leader and a dead worker, both silent, and all that must come right again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.lab.host import REPO
from examples.lab.layout import OUTSIDE
from examples.lab.scenario import NEXT, SERVICE, Scenario
from tests.harness.etcd import etcd
from tests.harness.lab import Formed, lab
from tests.harness.machine import run
from tests.harness.wait import until


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Formed]:
    archive = tmp_path / "hello.tar"
    run(str(REPO / "examples/hello/build-image"), str(archive))
    with lab(managers=3, workers=2) as formed:
        formed.load(archive)
        yield formed


def play(made: Formed) -> None:
    scenario = Scenario(made.cluster)
    scenario.run()
    assert len(scenario.timings) == 5
    assert all(seconds < 60 for seconds in scenario.timings.values())
    assert not {SERVICE, NEXT} & set(made.cluster.ask("service", "ls", "--format", "{{.Name}}").split())
    for host in made.hosts:
        until(lambda at=host: at.docker("ps", "-aq") == "", f"{host.name} has no containers left")


def test_a_cluster_gets_over_the_loss_of_its_leader_and_of_a_worker(made: Formed) -> None:
    play(made)


def test_so_does_one_whose_state_lies_in_etcd(made: Formed) -> None:
    inside = ["nsenter", f"--target={made.rack.alive().pid}", "--net", "--"]
    with etcd(3, inside=inside, address=OUTSIDE) as server:
        made.managers[0].shoal("cluster", "migrate", "--to", server.store)
        made.cluster.until_ready()
        play(made)
