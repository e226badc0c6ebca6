"""Settings come from flags, environment and file, and mean the same everywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import InvalidArgument
from common.settings import Settings, decode, encode
from common.store_address import etcd_urls
from shoal.settings import load


def _load(*argv: str, env: dict[str, str] | None = None) -> Settings:
    return load(["--runtime", "sh", "--conmon", "sh", *argv], env or {})[0]


def test_the_last_place_wins(tmp_path: Path) -> None:
    file = tmp_path / "shoald.toml"
    file.write_text('log-level = "debug"\nlog-driver = "none"\nlabels = ["a=1"]\nlog-opts = { max-size = "1m" }\n')
    env = {"SHOAL_LOG_DRIVER": "local", "SHOAL_LABELS": "b=2,c=3", "SHOAL_SHUTDOWN_TIMEOUT": "3"}
    settings = _load("--config", str(file), "--log-driver", "json-file", env=env)
    assert (settings.log_level, settings.log_driver) == ("debug", "json-file")
    assert settings.labels == ["b=2", "c=3"]
    assert settings.log_opts == {"max-size": "1m"}
    assert settings.shutdown_timeout == 3


def test_flags_reach_every_setting() -> None:
    settings = _load(
        "--root", "/a", "--hosts", "unix:///x", "--hosts", "unix:///y", "--log-opts", "max-file=3", "--dns", "1.1.1.1"
    )
    assert settings.root == Path("/a")
    assert settings.hosts == ["unix:///x", "unix:///y"]
    assert settings.socket == Path("/x")
    assert settings.log_opts == {"max-file": "3"}


def test_a_store_in_etcd_names_its_members() -> None:
    settings = _load("--store", "etcd://10.0.0.1:2379,[::1]:2379,etcd.example:2379", "--store-prefix", "/shoal/prod")
    assert settings.store_prefix == "/shoal/prod"
    assert etcd_urls(settings.store) == ["http://10.0.0.1:2379", "http://[::1]:2379", "http://etcd.example:2379"]
    assert etcd_urls("etcd://a:1", tls=True) == ["https://a:1"]


def test_settings_survive_the_way_to_the_child() -> None:
    settings = _load("--root", "/a")
    assert decode(encode(settings)) == settings


def test_daemons_with_other_roots_have_other_names() -> None:
    one, two = _load("--root", "/a"), _load("--root", "/b")
    assert {one.bridge_name, one.nft_table, one.cgroup_root}.isdisjoint(
        {two.bridge_name, two.nft_table, two.cgroup_root}
    )
    assert len(one.bridge_name) <= 15
    assert _load().bridge_name == "shoal0"


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["--log-level", "loud"], "invalid log-level 'loud'"),
        (["--store", "postgres"], "invalid store 'postgres': use raft, or etcd://HOST:PORT"),
        (["--store", "etcd://a"], "invalid etcd member 'a' in store 'etcd://a': it looks like HOST:2379"),
        (["--store", "etcd://a:1,b:99999"], "invalid etcd member 'b:99999'"),
        (["--store", "etcd://a:1", "--store-prefix", "x y"], "invalid store prefix 'x y': it looks like /shoal/NAME"),
        (["--store", "etcd://a:1", "--store-prefix", "/a:b"], "invalid store prefix '/a:b'"),
        (["--store-ca", "/ca.pem"], "store-ca '/ca.pem' is not a file"),
        (["--store", "etcd://a:1", "--store-cert", "/c"], "give --store-cert and --store-key together"),
        (["--store", "etcd://a:1", "--store-ca", "/nowhere"], "store-ca '/nowhere' is not a file"),
        (["--hosts", "tcp://0.0.0.0:2376"], "needs mutual TLS: give --tls-ca, --tls-cert, --tls-key too"),
        (["--hosts", "http://x"], "invalid host 'http://x'"),
        (["--address-pools", "10.0.0.0/8"], "invalid address pool"),
        (["--address-pools", "10.0.0.0/8:4"], "invalid address pool"),
        (["--dns", "dns.example"], "invalid name server"),
        (["--labels", "plain"], "it looks like KEY=VALUE"),
        (["--runtime", "no-such-runtime"], "is not on this machine"),
        (["--config", "/no/such/file"], "does not exist"),
        (["--shutdown-timeout", "soon"], "invalid setting"),
    ],
)
def test_bad_settings_are_refused_with_a_sentence(argv: list[str], sentence: str) -> None:
    with pytest.raises(InvalidArgument, match=sentence):
        _load(*argv)


def test_an_unknown_setting_in_the_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "shoald.toml"
    file.write_text("colour = 1\n")
    with pytest.raises(InvalidArgument, match="unknown setting 'colour'"):
        _load("--config", str(file))
