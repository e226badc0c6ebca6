"""What the container may do and see: capabilities, namespaces, devices, security options."""

from __future__ import annotations

from typing import Any

import click

from cli.flags.field import field, many, pairs, put, switch, together
from cli.flags.types import PAIR, Parsed
from cli.parse.devices import parse_device, parse_gpus
from cli.parse.policies import security

options = together(
    many("HostConfig.CapAdd", "--cap-add", help="Add a Linux capability"),
    many("HostConfig.CapDrop", "--cap-drop", help="Drop a Linux capability"),
    field("HostConfig.CgroupParent", "--cgroup-parent", help="Parent cgroup"),
    field("HostConfig.CgroupnsMode", "--cgroupns", help="Cgroup namespace: host or private"),
    many(
        "HostConfig.Devices", "--device", type=Parsed("device", parse_device), help="Device, PATH[:PATH INSIDE][:rwm]"
    ),
    many("HostConfig.DeviceCgroupRules", "--device-cgroup-rule", help="Rule for devices, as 'c 42:* rmw'"),
    field("HostConfig.DeviceRequests", "--gpus", type=Parsed("gpus", parse_gpus), help="GPUs: all, a count, device=…"),
    field("HostConfig.IpcMode", "--ipc", help="IPC namespace: none, private, shareable, host, container:NAME"),
    field("HostConfig.Isolation", "--isolation", help="Isolation technology"),
    field("HostConfig.PidMode", "--pid", help="PID namespace: host, container:NAME"),
    switch("HostConfig.Privileged", "--privileged", help="Give it all rights on the machine"),
    field("HostConfig.Runtime", "--runtime", help="OCI runtime"),
    click.option("--security-opt", multiple=True, help="seccomp=FILE|unconfined, no-new-privileges, apparmor=PROFILE…"),
    many("HostConfig.Sysctls", "--sysctl", type=PAIR, shape=pairs, help="Kernel setting inside, name=value"),
    field("HostConfig.UsernsMode", "--userns", help="User namespace: host"),
    field("HostConfig.UTSMode", "--uts", help="UTS namespace: host"),
)


def fill(params: dict[str, Any], body: dict[str, Any]) -> None:
    found = security(params["security_opt"])
    if found:
        put(body, "HostConfig", {**body.get("HostConfig", {}), **found})
