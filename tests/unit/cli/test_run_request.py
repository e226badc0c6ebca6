"""Flags of `run` → the body of POST /containers/create."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest

from cli.commands.container.run import run
from cli.run.request import create_body

STREAMS = {
    "AttachStdin": False,
    "AttachStdout": True,
    "AttachStderr": True,
    "Tty": False,
    "OpenStdin": False,
    "Image": "img",
}


def body(*args: str) -> dict[str, Any]:
    return create_body(run.make_context("run", [*args, "img"]))


def changed(*args: str) -> dict[str, Any]:
    """What the flags add to the plain request."""
    return {key: value for key, value in body(*args).items() if STREAMS.get(key) != value}


def test_plain_request() -> None:
    assert body() == STREAMS


def test_command_is_untouched() -> None:
    found = create_body(run.make_context("run", ["--rm", "img", "sh", "-c", "--rm", "--", "-it", "--detach=false"]))
    assert found["Cmd"] == ["sh", "-c", "--rm", "--", "-it", "--detach=false"]


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ("-it", {"AttachStdin": True, "Tty": True, "OpenStdin": True, "StdinOnce": True}),
        ("-d", {"AttachStdout": False, "AttachStderr": False}),
        ("-di", {"AttachStdout": False, "AttachStderr": False, "OpenStdin": True}),
        ("-a stdout", {"AttachStderr": False}),
        ("--detach=true --init=false", {"AttachStdout": False, "AttachStderr": False, "HostConfig": {"Init": False}}),
        ("-e A=1 -e B=x=y", {"Env": ["A=1", "B=x=y"]}),
        ("-l a=b -l c", {"Labels": {"a": "b", "c": ""}}),
        (
            "-u 1000:100 -w /srv -h box --domainname lan",
            {"User": "1000:100", "WorkingDir": "/srv", "Hostname": "box", "Domainname": "lan"},
        ),
        ("--entrypoint /bin/sh", {"Entrypoint": ["/bin/sh"]}),
        ("--stop-signal INT --stop-timeout 3", {"StopSignal": "INT", "StopTimeout": 3}),
        (
            "-m 512m --memory-swap -1 --cpus 1.5",
            {"HostConfig": {"Memory": 536870912, "MemorySwap": -1, "NanoCpus": 1500000000}},
        ),
        ("--pids-limit 100 --cpu-shares 512", {"HostConfig": {"PidsLimit": 100, "CpuShares": 512}}),
        ("--restart on-failure:3", {"HostConfig": {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}}}),
        ("--restart always", {"HostConfig": {"RestartPolicy": {"Name": "always"}}}),
        ("--rm", {"HostConfig": {"AutoRemove": True}}),
        ("--ulimit nofile=1024:2048", {"HostConfig": {"Ulimits": [{"Name": "nofile", "Soft": 1024, "Hard": 2048}]}}),
        ("--cap-add NET_ADMIN --cap-drop ALL", {"HostConfig": {"CapAdd": ["NET_ADMIN"], "CapDrop": ["ALL"]}}),
        ("--security-opt no-new-privileges", {"HostConfig": {"SecurityOpt": ["no-new-privileges"]}}),
        ("--security-opt systempaths=unconfined", {"HostConfig": {"MaskedPaths": [], "ReadonlyPaths": []}}),
        (
            "--privileged --read-only --pid host --ipc private --uts host",
            {
                "HostConfig": {
                    "Privileged": True,
                    "ReadonlyRootfs": True,
                    "PidMode": "host",
                    "IpcMode": "private",
                    "UTSMode": "host",
                }
            },
        ),
        ("--sysctl net.ipv4.ip_forward=1", {"HostConfig": {"Sysctls": {"net.ipv4.ip_forward": "1"}}}),
        (
            "--device /dev/fuse --device /dev/a:/dev/b:r",
            {
                "HostConfig": {
                    "Devices": [
                        {"PathOnHost": "/dev/fuse", "PathInContainer": "/dev/fuse", "CgroupPermissions": "rwm"},
                        {"PathOnHost": "/dev/a", "PathInContainer": "/dev/b", "CgroupPermissions": "r"},
                    ]
                }
            },
        ),
        (
            "--device-read-bps /dev/sda:1mb",
            {"HostConfig": {"BlkioDeviceReadBps": [{"Path": "/dev/sda", "Rate": 1048576}]}},
        ),
        ("--gpus all", {"HostConfig": {"DeviceRequests": [{"Count": -1, "Capabilities": [["gpu"]]}]}}),
        (
            "--tmpfs /run:size=64m --tmpfs /tmp --shm-size 1g",
            {"HostConfig": {"Tmpfs": {"/run": "size=64m", "/tmp": ""}, "ShmSize": 1 << 30}},
        ),
        ("-v data:/data:ro -v /cache", {"HostConfig": {"Binds": ["data:/data:ro"]}, "Volumes": {"/cache": {}}}),
        (
            "--mount type=bind,src=/a,dst=/b,ro,bind-propagation=rslave",
            {
                "HostConfig": {
                    "Mounts": [
                        {
                            "Type": "bind",
                            "Source": "/a",
                            "Target": "/b",
                            "ReadOnly": True,
                            "BindOptions": {"Propagation": "rslave"},
                        }
                    ]
                }
            },
        ),
        (
            "--mount src=v,dst=/b,volume-opt=type=nfs,volume-nocopy,volume-subpath=x",
            {
                "HostConfig": {
                    "Mounts": [
                        {
                            "Type": "volume",
                            "Source": "v",
                            "Target": "/b",
                            "VolumeOptions": {
                                "DriverConfig": {"Options": {"type": "nfs"}},
                                "NoCopy": True,
                                "Subpath": "x",
                            },
                        }
                    ]
                }
            },
        ),
        (
            "--mount type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=0700",
            {
                "HostConfig": {
                    "Mounts": [{"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 1048576, "Mode": 0o700}}]
                }
            },
        ),
        (
            "-p 8080:80",
            {
                "ExposedPorts": {"80/tcp": {}},
                "HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}},
            },
        ),
        (
            "-p 127.0.0.1:53:53/udp -p [::1]::80",
            {
                "ExposedPorts": {"53/udp": {}, "80/tcp": {}},
                "HostConfig": {
                    "PortBindings": {
                        "53/udp": [{"HostIp": "127.0.0.1", "HostPort": "53"}],
                        "80/tcp": [{"HostIp": "::1", "HostPort": ""}],
                    }
                },
            },
        ),
        (
            "-p 7000-7001:80-81",
            {
                "ExposedPorts": {"80/tcp": {}, "81/tcp": {}},
                "HostConfig": {
                    "PortBindings": {
                        "80/tcp": [{"HostIp": "", "HostPort": "7000"}],
                        "81/tcp": [{"HostIp": "", "HostPort": "7001"}],
                    }
                },
            },
        ),
        (
            "-p 7000-7010:80",
            {
                "ExposedPorts": {"80/tcp": {}},
                "HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "7000-7010"}]}},
            },
        ),
        (
            "-p published=80,target=8080",
            {
                "ExposedPorts": {"8080/tcp": {}},
                "HostConfig": {"PortBindings": {"8080/tcp": [{"HostIp": "", "HostPort": "80"}]}},
            },
        ),
        (
            "-P --expose 90-91/udp",
            {"ExposedPorts": {"90/udp": {}, "91/udp": {}}, "HostConfig": {"PublishAllPorts": True}},
        ),
        ("--network none", {"HostConfig": {"NetworkMode": "none"}}),
        (
            "--network front --network-alias a --ip 10.0.0.5",
            {
                "HostConfig": {"NetworkMode": "front"},
                "NetworkingConfig": {
                    "EndpointsConfig": {
                        "front": {"Aliases": ["a"], "IPAMConfig": {"IPv4Address": "10.0.0.5"}},
                    }
                },
            },
        ),
        (
            "--network name=front,alias=x --network back",
            {
                "HostConfig": {"NetworkMode": "front"},
                "NetworkingConfig": {
                    "EndpointsConfig": {
                        "front": {"Aliases": ["x"]},
                        "back": {},
                    }
                },
            },
        ),
        (
            "--add-host db:10.0.0.1 --add-host v6=::1 --dns 1.1.1.1 --dns-search lan",
            {
                "HostConfig": {
                    "ExtraHosts": ["db:10.0.0.1", "v6:::1"],
                    "Dns": ["1.1.1.1"],
                    "DnsSearch": ["lan"],
                }
            },
        ),
        (
            "--health-cmd true --health-interval 5s --health-retries 2",
            {"Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 5000000000, "Retries": 2}},
        ),
        ("--no-healthcheck", {"Healthcheck": {"Test": ["NONE"]}}),
        (
            "--log-driver local --log-opt max-size=1m",
            {"HostConfig": {"LogConfig": {"Type": "local", "Config": {"max-size": "1m"}}}},
        ),
    ],
)
def test_flags(args: str, expected: dict[str, Any]) -> None:
    assert changed(*args.split()) == expected


@pytest.mark.parametrize(
    ("args", "part"),
    [
        ("--memory lots", "invalid size 'lots'"),
        ("--cpus many", "invalid number of CPUs"),
        ("--restart sometimes", "invalid restart policy"),
        ("--restart always:3", "only on-failure takes a count"),
        ("--rm --restart always", "conflicting options: --rm and --restart"),
        ("--no-healthcheck --health-cmd x", "conflicting options"),
        ("-p 99999:80", "is not within 1 to 65535"),
        ("-p 1-2:80-85", "are not of one length"),
        ("-p 80/icmp", "known protocols"),
        ("-v :/x", "the source is empty"),
        ("--mount type=bind,target=/x", "needs a source"),
        ("--mount type=bind,source=/a,target=/x,volume-nocopy", "do not fit type=bind"),
        ("--mount type=bind,source=/a,target=/x,nonsense=1", "invalid field 'nonsense'"),
        ("--mount source=/a", "target is required"),
        ("--device fuse", "invalid device"),
        ("--ulimit nofile", "NAME=SOFT"),
        ("--ulimit nofile=10:5", "above the hard limit"),
        ("--add-host db", "NAME:ADDRESS"),
        ("--add-host db:nowhere", "no IP address"),
        ("--network name=a,ip=1.2.3.4 --ip 1.2.3.5", "given twice"),
        ("-e =x", "has no name"),
        ("--env-file /nonexistent", "cannot read /nonexistent"),
        ("-d -a stdout", "conflicting options"),
        ("--detach=maybe", "true or false"),
        ("--health-interval soon", "invalid duration"),
    ],
)
def test_wrong_flags_are_named(args: str, part: str) -> None:
    with pytest.raises(click.UsageError) as caught:
        body(*args.split())
    assert part in caught.value.format_message()


def test_files_of_variables_and_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "env").write_text("# comment\n\nA=1\nFROM_HERE\nABSENT\nB=two words\n")
    (tmp_path / "labels").write_text("x=1\ny\n")
    monkeypatch.setenv("FROM_HERE", "yes")
    found = body(
        "--env-file", str(tmp_path / "env"), "-e", "A=2", "--label-file", str(tmp_path / "labels"), "-l", "x=3"
    )
    assert found["Env"] == ["A=1", "FROM_HERE=yes", "B=two words", "A=2"]
    assert found["Labels"] == {"x": "3", "y": ""}


def test_seccomp_profile_is_read(tmp_path: Path) -> None:
    profile = tmp_path / "p.json"
    profile.write_text('{ "defaultAction": "SCMP_ACT_ALLOW" }')
    found = body("--security-opt", f"seccomp={profile}")["HostConfig"]["SecurityOpt"]
    assert [json.loads(found[0].partition("=")[2])] == [{"defaultAction": "SCMP_ACT_ALLOW"}]


def test_relative_sources_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert body("-v", "./x:/x")["HostConfig"]["Binds"] == [f"{tmp_path}/x:/x"]
    assert body("--mount", "type=bind,src=.,dst=/x")["HostConfig"]["Mounts"][0]["Source"] == str(tmp_path)
