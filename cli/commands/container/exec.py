"""`shoal exec`."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Any

import click

from cli.api.client import Client
from cli.api.urls import item
from cli.errors import EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND, ApiError, Silent
from cli.flags.command import as_usage_error, command, words
from cli.flags.field import body, field, switch
from cli.flags.shared import name
from cli.parse.pairs import environment
from cli.session import Session
from cli.terminal.attached import Streams, run_attached
from cli.terminal.tty import check_terminal, size

END_NOTED = 2.0  # seconds


@command(
    usage="CONTAINER COMMAND [ARG...]",
    interspersed=False,
    examples=["shoal exec -it web sh", "shoal exec -u root -e DEBUG=1 web reload"],
)
@click.option("-d", "--detach", is_flag=True, help="Do not wait for it")
@click.option("--detach-keys", default="", help="Keys that detach from it")
@click.option("-e", "--env", multiple=True, metavar="NAME[=VALUE]", help="Environment variable")
@click.option("--env-file", multiple=True, metavar="FILE", help="File of environment variables")
@click.option("-i", "--interactive", is_flag=True, help="Keep standard input open")
@switch("Privileged", "--privileged", help="Give it all rights on the machine")
@click.option("-t", "--tty", is_flag=True, help="Give it a terminal")
@field("User", "-u", "--user", metavar="NAME|UID[:GROUP|GID]", help="User, and group")
@field("WorkingDir", "-w", "--workdir", help="Working folder inside")
@name("CONTAINER", "container")
@words()
@click.pass_obj
def execute(session: Session, /, **_: object) -> None:
    """The exit code is that of the command."""
    ctx = click.get_current_context()
    params = ctx.params
    request = exec_body(ctx)
    if not params["detach"]:
        check_terminal(params["interactive"], params["tty"])
    created = session.client.post(item("containers", params["container"], "exec"), request)["Id"]
    if params["detach"]:
        session.client.post(item("exec", created, "start"), {"Detach": True, "Tty": params["tty"]})
        return
    raise Silent(_attached(session.client, created, params))


def exec_body(ctx: click.Context) -> dict[str, Any]:
    """POST /containers/…/exec."""
    params = ctx.params
    if not params["words"]:
        raise click.UsageError("'shoal exec' requires at least 2 arguments: a container and a command")
    request = body(ctx)
    with as_usage_error():
        variables = environment(params["env_file"], params["env"])
    if variables:
        request["Env"] = variables
    attached = not params["detach"]
    request.update(
        Cmd=list(params["words"]),
        Tty=params["tty"],
        AttachStdin=attached and params["interactive"],
        AttachStdout=attached,
        AttachStderr=attached,
    )
    if params["detach_keys"]:
        request["DetachKeys"] = params["detach_keys"]
    if attached and params["tty"]:
        request["ConsoleSize"] = size()
    return request


def _attached(client: Client, exec_id: str, params: dict[str, Any]) -> int:
    streams = Streams(params["interactive"], params["tty"], params["detach_keys"])
    try:
        connection = client.hijack(item("exec", exec_id, "start"), {"Detach": False, "Tty": streams.tty})
    except ApiError as error:
        raise ApiError(error.status, error.reason, _start_code(error.reason.lower())) from None
    with closing(connection):
        resize = item("exec", exec_id, "resize")
        detached = run_attached(connection, streams, lambda h, w: client.post(resize, h=h, w=w))
    return 0 if detached else _exit_code(client, exec_id)


def _exit_code(client: Client, exec_id: str) -> int:
    """The command's code. Its streams can end a moment before its end is noted."""
    deadline = time.monotonic() + END_NOTED
    while True:
        found = client.get(item("exec", exec_id, "json"))
        if not found.get("Running") or time.monotonic() > deadline:
            return int(found.get("ExitCode") or 0)
        time.sleep(0.01)


def _start_code(reason: str) -> int:
    if "not found" in reason or "no such file" in reason:
        return EXIT_NOT_FOUND
    return EXIT_NOT_EXECUTABLE if "permission denied" in reason or "is a directory" in reason else 1
