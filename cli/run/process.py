"""What runs in the container, and as whom: command, environment, user, labels, terminal."""

from __future__ import annotations

import os
from typing import Any

import click

from cli.flags.field import field, many, pairs, put, switch, together
from cli.flags.types import LABEL, PAIR
from cli.parse.pairs import environment, labels

options = together(
    many("HostConfig.Annotations", "--annotation", type=PAIR, shape=pairs, help="Annotation for the OCI runtime"),
    click.option("-a", "--attach", multiple=True, help="Attach to stdin, stdout or stderr only"),
    field("Domainname", "--domainname", help="Domain name"),
    click.option("--entrypoint", help="Instead of the image's ENTRYPOINT"),
    click.option("-e", "--env", multiple=True, metavar="NAME[=VALUE]", help="Environment variable"),
    click.option("--env-file", multiple=True, metavar="FILE", help="File of environment variables"),
    many("HostConfig.GroupAdd", "--group-add", help="Further group of the user"),
    field("Hostname", "-h", "--hostname", help="Host name"),
    switch("HostConfig.Init", "--init", help="Run an init inside that passes signals on and reaps processes"),
    click.option("-i", "--interactive", is_flag=True, help="Keep standard input open"),
    click.option("-l", "--label", multiple=True, type=LABEL, help="Label, key=value"),
    click.option("--label-file", multiple=True, metavar="FILE", help="File of labels"),
    field("StopSignal", "--stop-signal", help="Signal that stops the container"),
    field("StopTimeout", "--stop-timeout", type=int, help="Seconds that it has to stop before it is killed"),
    click.option("-t", "--tty", is_flag=True, help="Give it a terminal"),
    field("User", "-u", "--user", metavar="NAME|UID[:GROUP|GID]", help="User, and group"),
    field("WorkingDir", "-w", "--workdir", help="Working folder inside"),
)


def fill(params: dict[str, Any], body: dict[str, Any]) -> None:
    variables = environment(params["env_file"], params["env"], os.environ)
    if variables:
        body["Env"] = variables
    found = labels(params["label_file"], params["label"])
    if found:
        body["Labels"] = found
    if params["entrypoint"] is not None:
        body["Entrypoint"] = [params["entrypoint"]]
    if params["words"]:
        body["Cmd"] = list(params["words"])
    _streams(params, body)


def _streams(params: dict[str, Any], body: dict[str, Any]) -> None:
    wanted = {name.lower() for name in params["attach"]}
    if wanted - {"stdin", "stdout", "stderr"}:
        raise ValueError(f"invalid streams to attach: {', '.join(sorted(wanted))}: known are stdin, stdout, stderr")
    detached = params.get("detach", False)
    if wanted and detached:
        raise ValueError("conflicting options: -d and --attach")
    if not wanted and not detached:
        wanted = {"stdout", "stderr"} | ({"stdin"} if params["interactive"] else set())
    for name in ("stdin", "stdout", "stderr"):
        body[f"Attach{name.capitalize()}"] = name in wanted
    body.update(Tty=params["tty"], OpenStdin=params["interactive"])
    if params["interactive"] and "stdin" in wanted:
        put(body, "StdinOnce", True)
