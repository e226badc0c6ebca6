"""`shoal swarm ca` and `join-token` against canned answers, and how far nodes have followed to a new root."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from cli.main import run
from cli.show.root_rotation import rotation
from tests.unit.cli.fake import Fake, answer, fake_daemon

INFO = {"TrustRoot": "new root\n", "CertIssuerPublicKey": "new"}
OLD = {"TrustRoot": "old root\n", "CertIssuerPublicKey": "old"}
SWARM: dict[str, Any] = {
    "Version": {"Index": 7},
    "Spec": {"Name": "default", "CAConfig": {"NodeCertExpiry": 1, "ForceRotate": 2}},
    "TLSInfo": INFO,
    "JoinTokens": {"Worker": "SWMTKN-1-w", "Manager": "SWMTKN-1-m"},
    "RootRotationInProgress": False,
}


def node(name: str, info: dict[str, str], state: str = "ready") -> dict[str, Any]:
    return {"ID": f"id-{name}", "Status": {"State": state}, "Description": {"Hostname": name, "TLSInfo": info}}


Serve = Callable[[dict[str, Any]], Fake]


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    monkeypatch.setenv("SHOAL_CONFIG", str(tmp_path))
    with ExitStack() as stack:

        def start(swarm: dict[str, Any]) -> Fake:
            answers = {
                "GET /swarm": answer(swarm),
                "GET /nodes": answer([node("a", INFO)]),
                "GET /info": answer({"Swarm": {"RemoteManagers": [{"Addr": "10.0.0.1:2377"}]}}),
                "POST /swarm/update": answer(None),
            }
            made = stack.enter_context(fake_daemon(tmp_path, answers))
            monkeypatch.setenv("DOCKER_HOST", made.url)
            return made

        yield start


def sent(fake: Fake) -> tuple[str, dict[str, Any]]:
    line, body = next(request for request in fake.requests if request[0].startswith("POST"))
    return line, json.loads(body)


def test_the_root_is_shown(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    serve(SWARM)
    assert run(["swarm", "ca"]) == 0
    assert capsys.readouterr().out == "new root\n"


def test_rotating_asks_waits_and_shows_the_new_root(
    serve: Serve, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    fake = serve(SWARM)
    (tmp_path / "ca.pem").write_text("user root\n")
    (tmp_path / "key.pem").write_text("its key\n")
    files = ["--ca-cert", f"{tmp_path}/ca.pem", "--ca-key", f"{tmp_path}/key.pem"]
    assert run(["swarm", "ca", "--rotate", *files, "--cert-expiry", "2h"]) == 0
    line, spec = sent(fake)
    assert line == "POST /swarm/update?version=7"
    expected = {"NodeCertExpiry": 7200 * 10**9, "ForceRotate": 3}
    assert spec["CAConfig"] == expected | {"SigningCACert": "user root\n", "SigningCAKey": "its key\n"}
    out, err = capsys.readouterr()
    assert out == "new root\n"
    assert err.splitlines()[1:] == [
        "  rotated TLS certificates: 1/1 nodes",
        "  rotated CA certificates: 1/1 nodes",
    ]


def test_detached_and_quiet(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    fake = serve(SWARM)
    external = "protocol=cfssl,url=https://ca.example/sign"
    assert run(["swarm", "ca", "--rotate", "-d", "--external-ca", external]) == 0
    assert sent(fake)[1]["CAConfig"]["ExternalCAs"] == [{"Protocol": "cfssl", "URL": "https://ca.example/sign"}]
    assert run(["swarm", "ca", "--rotate", "-q"]) == 0
    assert capsys.readouterr() == ("new root\n", "")


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("ca --cert-expiry 2h", "need --rotate"),
        ("ca --rotate --ca-key /dev/null", "--ca-key needs --ca-cert"),
        ("ca --rotate --ca-cert /nonexistent", "cannot read /nonexistent"),
        ("ca --rotate --external-ca url=https://x", "protocol=cfssl,url=URL"),
    ],
)
def test_mistakes(serve: Serve, line: str, part: str, capsys: pytest.CaptureFixture[str]) -> None:
    fake = serve(SWARM)
    assert run(["swarm", *line.split()]) != 0
    assert part in capsys.readouterr().err
    assert fake.requests == []


def test_a_node_alone_has_neither_root_nor_tokens(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    serve({**SWARM, "TLSInfo": {}, "JoinTokens": {"Worker": "", "Manager": ""}})
    assert run(["swarm", "ca"]) == 1
    assert run(["swarm", "join-token", "worker"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("shoal swarm init") == 2


def test_join_tokens(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    fake = serve(SWARM)
    assert run(["swarm", "join-token", "-q", "manager"]) == 0
    assert capsys.readouterr().out == "SWMTKN-1-m\n"
    assert run(["swarm", "join-token", "--rotate", "worker"]) == 0
    assert sent(fake)[0] == "POST /swarm/update?version=7&rotateWorkerToken=1"
    assert "shoal swarm join --token SWMTKN-1-w 10.0.0.1:2377" in capsys.readouterr().out


def test_how_far_nodes_are() -> None:
    busy = {**SWARM, "RootRotationInProgress": True}
    half = {"TrustRoot": "old root\n", "CertIssuerPublicKey": "new"}
    nodes = [node("a", INFO), node("b", half), node("c", OLD, "down"), node("d", {})]
    now = rotation(busy, nodes)
    assert (now.nodes, now.certified, now.trusting, now.late, now.over) == (4, 2, 1, ("c",), False)
    assert now.lines[-1] == "  down: c: bring them back, or remove them by `shoal node rm`"
    assert not rotation(SWARM, nodes).over
    assert rotation(SWARM, [node("a", INFO), node("c", OLD, "down")]).over
    assert not rotation(busy, [node("a", INFO)]).over
