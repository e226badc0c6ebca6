"""Whole command lines against canned answers: what is printed, and the exit code."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from cli import catalog
from cli.groups import Entry, LazyGroup
from cli.main import root, run
from tests.unit.cli.fake import Fake, answer, chunked, failure, fake_daemon, frame

WEB = {
    "Id": "0123456789abcdef",
    "Image": "img",
    "Command": "sleep 1",
    "Created": 0,
    "Status": "Up",
    "State": "running",
    "Names": ["/web"],
}
INSPECT = {"Id": "0123456789abcdef", "Config": {"Tty": False, "Cmd": ["x"]}, "State": {"Status": "running"}}
ANSWERS = {
    "GET /containers/json": answer([WEB]),
    "GET /containers/web/json": answer(INSPECT),
    "GET /containers/web/logs": chunked(frame(1, b"out\n"), frame(2, b"err\n")),
    "GET /containers/none/json": failure(404, "No such container: none"),
    "POST /containers/web/stop": b"HTTP/1.1 204 No Content\r\n\r\n",
    "POST /containers/none/stop": failure(404, "No such container: none"),
    "POST /containers/web/wait": answer({"StatusCode": 3}),
    "DELETE /containers/none": failure(404, "No such container: none"),
    "POST /containers/create": answer({"Id": "new", "Warnings": ["mind the gap"]}),
    "POST /containers/new/start": failure(400, 'exec: "x": executable file not found in $PATH'),
    "GET /networks": answer([]),
    "POST /networks/prune": answer({"NetworksDeleted": ["old"]}),
}


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    monkeypatch.setenv("SHOAL_CONFIG", str(tmp_path))
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "SHOAL_CONTEXT", "DOCKER_API_VERSION"):
        monkeypatch.delenv(name, raising=False)
    with fake_daemon(tmp_path, ANSWERS) as fake:
        monkeypatch.setenv("SHOAL_HOST", fake.url)
        yield fake


@pytest.mark.parametrize(
    ("line", "code", "out", "err"),
    [
        ("ps -q", 0, "0123456789ab\n", ""),
        ("ps --format {{.Names}}", 0, "web\n", ""),
        ("container ls --no-trunc -q", 0, "0123456789abcdef\n", ""),
        ("container ps -q", 0, "0123456789ab\n", ""),
        ("network list -q", 0, "", ""),
        ("stop web", 0, "web\n", ""),
        ("stop none web", 1, "web\n", "Error response from daemon: No such container: none\n"),
        ("rm -f none", 0, "", "Error response from daemon: No such container: none\n"),
        ("rm none", 1, "", "Error response from daemon: No such container: none\n"),
        ("wait web", 0, "3\n", ""),
        ("inspect --type container -f {{.State.Status}} web", 0, "running\n", ""),
        (
            "run -d img x",
            127,
            "",
            'WARNING: mind the gap\nError response from daemon: exec: "x": executable file not found in $PATH\n',
        ),
        ("network prune -f", 0, "Deleted Networks:\nold\n", ""),
        ("network ls -q", 0, "", ""),
    ],
)
def test_commands(daemon: Fake, line: str, code: int, out: str, err: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(line.split()) == code
    assert capsys.readouterr() == (out, err)


@pytest.mark.parametrize(
    ("line", "code", "part"),
    [
        ("pss", 1, "unknown command: shoal pss. Did you mean 'ps'?"),
        ("container lst", 1, "unknown command: shoal container lst"),
        ("ps --filtre x", 125, "'--filter'"),
        ("ps --filter x", 125, "write name=value"),
        ("run", 1, "Missing argument 'IMAGE'"),
        ("run --memory lots img", 125, "invalid size"),
        ("rename a", 1, "Missing argument 'NEW_NAME'"),
        ("inspect -f {{.Nope}} web", 1, 'no entry for key "Nope"'),
        ("inspect web none", 1, "no such object: none"),
        ("-c nowhere ps", 1, 'context "nowhere" does not exist'),
        ("-H ssh://x ps", 1, "invalid address"),
        ("stop", 1, "Missing argument"),
    ],
)
def test_mistakes(daemon: Fake, line: str, code: int, part: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(line.split()) == code
    assert part in capsys.readouterr().err


def test_logs_keep_their_streams(daemon: Fake, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["logs", "--tail", "5", "web"]) == 0
    assert capfd.readouterr() == ("out\n", "err\n")
    assert daemon.lines[-1] == "GET /containers/web/logs?stdout=1&stderr=1&follow=0&tail=5&timestamps=0&details=0"


def test_nobody_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["-H", f"unix://{tmp_path}/no.sock", "ps"]) == 1
    assert "Is shoald running" in capsys.readouterr().err


def test_prune_asks(daemon: Fake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("builtins.input", lambda _: "n")
    assert run(["network", "prune"]) == 1
    assert daemon.requests == []


def test_contexts(daemon: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["context", "create", "lab", "--docker", "host=tcp://10.0.0.5:2376", "--description", "the lab"]) == 0
    assert run(["context", "use", "lab"]) == 0
    captured = capsys.readouterr()
    assert "overrides the context" in captured.err
    assert run(["context", "ls", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["Name"], row["Endpoint"]) for row in rows] == [("default", daemon.url), ("lab", "tcp://10.0.0.5:2376")]
    assert run(["context", "rm", "lab"]) == 1
    assert run(["context", "rm", "-f", "lab"]) == 0


def _all_commands(group: LazyGroup, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    ctx = click.Context(group)
    for name in group.list_commands(ctx):
        found = group.get_command(ctx, name)
        assert found is not None
        if isinstance(found, LazyGroup):
            yield from _all_commands(found, (*path, name))
        else:
            yield (*path, name), found


ALL = dict(_all_commands(root))  # type: ignore[arg-type]


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_has_help(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*path, "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"Usage: shoal {' '.join(path)}")
    names = [name for param in ALL[path].params for name in (*param.opts, *param.secondary_opts)]
    assert len(names) == len(set(names)), "an option is declared twice"


def test_the_catalog_names_what_there_is() -> None:
    entries: list[Entry] = list(catalog.ROOT.values())
    for entry in entries:
        if isinstance(entry.target, dict):
            entries.extend(entry.target.values())
        else:
            module, _, attribute = entry.target.partition(":")
            assert isinstance(getattr(importlib.import_module(module), attribute), click.Command)
