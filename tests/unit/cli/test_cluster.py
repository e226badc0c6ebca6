"""`shoal cluster migrate` against canned answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.main import run
from tests.unit.cli.fake import answer, fake_daemon

PLACE = {"store": "etcd://a:2379", "prefix": "/shoal/x", "number": 3}


def test_it_asks_waits_and_says_where_the_state_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SHOAL_CONFIG", str(tmp_path))
    moved = answer(PLACE)
    answers = {"POST /shoal/v1/cluster/migrate": moved, "GET /shoal/v1/cluster/store": moved}
    with fake_daemon(tmp_path, answers) as daemon:
        line = "cluster migrate --to etcd://a:2379 --prefix /shoal/x"
        assert run(["-H", daemon.url, *line.split()]) == 0
    assert capsys.readouterr().out == "The cluster's state lies in etcd://a:2379 below /shoal/x now.\n"
    assert daemon.lines == ["POST /shoal/v1/cluster/migrate", "GET /shoal/v1/cluster/store"]
    assert json.loads(daemon.requests[0][1]) == {"store": "etcd://a:2379", "prefix": "/shoal/x"}


def test_the_way_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("SHOAL_CONFIG", str(tmp_path))
    answers = {"POST /shoal/v1/cluster/migrate": answer({"store": "raft", "prefix": "", "number": 4})}
    with fake_daemon(tmp_path, answers) as daemon:
        assert run(["-H", daemon.url, "cluster", "migrate", "-d", "--to", "raft"]) == 0
    assert capsys.readouterr().out == "The cluster's managers keep its state now.\n"
