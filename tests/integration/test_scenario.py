"""The lab's scenario on a real cluster of hosts: a dead leader and a dead worker, both silent, and all that must come right again."""

from __future__ import annotations

from pathlib import Path

from examples.lab.host import REPO
from examples.lab.scenario import NEXT, SERVICE, Scenario
from tests.harness.lab import lab
from tests.harness.machine import run
from tests.harness.wait import until


def test_a_cluster_gets_over_the_loss_of_its_leader_and_of_a_worker(tmp_path: Path) -> None:
    archive = tmp_path / "hello.tar"
    run(str(REPO / "examples/hello/build-image"), str(archive))
    with lab(managers=3, workers=2) as made:
        made.load(archive)
        scenario = Scenario(made.cluster)
        scenario.run()
        assert len(scenario.timings) == 5
        assert all(seconds < 60 for seconds in scenario.timings.values())
        assert not {SERVICE, NEXT} & set(made.cluster.ask("service", "ls", "--format", "{{.Name}}").split())
        for host in made.hosts:
            until(lambda at=host: at.docker("ps", "-aq") == "", f"{host.name} has no containers left")
