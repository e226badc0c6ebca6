"""Which daemon is chosen, and contexts."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli import contexts
from cli.endpoint import Choice, Endpoint, Tls, choose, parse
from cli.errors import CliError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SHOAL_CONFIG", str(tmp_path))
    return tmp_path


def lab(host: str = "tcp://10.0.0.5:2376") -> None:
    contexts.save({"Name": "lab", "Metadata": {"Description": ""}, "Endpoints": {"docker": {"Host": host}}})


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("unix:///run/x.sock", Endpoint("unix:///run/x.sock", path="/run/x.sock")),
        ("/run/x.sock", Endpoint("unix:///run/x.sock", path="/run/x.sock")),
        ("tcp://h:99", Endpoint("tcp://h:99", host="h", port=99)),
        ("h", Endpoint("tcp://h", host="h", port=2375)),
        ("tcp://[::1]:99", Endpoint("tcp://[::1]:99", host="::1", port=99)),
        ("https://h", Endpoint("tcp://h", host="h", port=2376, tls=Tls())),
    ],
)
def test_addresses(host: str, expected: Endpoint) -> None:
    assert parse(host) == expected


@pytest.mark.parametrize("host", ["ssh://h", "npipe://x", "tcp://h:port", "tcp://h:99999"])
def test_bad_addresses(host: str) -> None:
    with pytest.raises(CliError, match="invalid address"):
        parse(host)


def test_order_of_choice() -> None:
    lab()
    both = {"SHOAL_HOST": "tcp://shoal:1", "DOCKER_HOST": "tcp://docker:1"}
    assert choose(Choice(), {}).url == "unix:///run/shoal/shoal.sock"
    assert choose(Choice(), {"DOCKER_HOST": "tcp://docker:1"}).url == "tcp://docker:1"
    assert choose(Choice(), both).url == "tcp://shoal:1"
    assert choose(Choice(context="lab"), both).url == "tcp://10.0.0.5:2376"
    assert choose(Choice(host="tcp://flag:1"), both).url == "tcp://flag:1"
    assert choose(Choice(), {"SHOAL_CONTEXT": "lab"}).url == "tcp://10.0.0.5:2376"
    contexts.use("lab")
    assert choose(Choice(), {}).url == "tcp://10.0.0.5:2376"
    assert choose(Choice(context="default"), {}).url == "unix:///run/shoal/shoal.sock"
    with pytest.raises(CliError, match="not both"):
        choose(Choice(host="tcp://h", context="lab"), {})


def test_tls_from_flags_and_environment(folder: Path) -> None:
    (folder / "ca.pem").touch()
    found = choose(Choice(host="tcp://h", tlsverify=True, cert="/c"), {})
    assert (found.port, found.tls) == (2376, Tls(str(folder / "ca.pem"), "/c", "", verify=True))
    assert choose(Choice(host="tcp://h"), {"DOCKER_TLS_VERIFY": "1"}).tls is not None
    assert choose(Choice(host="tcp://h", tls=True), {}).tls == Tls(str(folder / "ca.pem"), verify=False)


def test_contexts_are_kept() -> None:
    assert (contexts.names(), contexts.current()) == ([], "default")
    lab()
    contexts.use("lab")
    assert (contexts.names(), contexts.current()) == (["lab"], "lab")
    contexts.use("default")
    contexts.remove("lab")
    assert (contexts.names(), contexts.current()) == ([], "default")


@pytest.mark.parametrize("name", ["default", "../x", "a b", ""])
def test_bad_names_of_contexts(name: str) -> None:
    with pytest.raises(CliError):
        contexts.save({"Name": name})
    with pytest.raises(CliError, match="does not exist"):
        contexts.load(name)


def test_broken_configuration_is_named(folder: Path) -> None:
    (folder / "config.json").write_text("{")
    with pytest.raises(CliError, match=r"cannot read .*config\.json"):
        contexts.current()
