"""`shoal run`."""

from __future__ import annotations

from typing import Any

import click

from cli.errors import Silent
from cli.flags.command import as_usage_error, command, words
from cli.run.request import create_body, create_container, create_options
from cli.run.session import Attachment, start
from cli.session import Session
from cli.terminal.attached import Streams
from cli.terminal.keys import DEFAULT_KEYS, parse_keys
from cli.terminal.tty import check_terminal, size


@command(
    usage="IMAGE [COMMAND] [ARG...]",
    interspersed=False,
    examples=[
        "shoal run --rm -it debian bash",
        "shoal run -d --name web -p 8080:80 --restart unless-stopped nginx",
        "shoal run --rm -v ./data:/data -e MODE=fast worker:1.2 import /data/in.csv",
    ],
)
@click.option("-d", "--detach", is_flag=True, help="Leave it running and print its id")
@click.option("--detach-keys", default="", help=f"Keys that detach from it (default {DEFAULT_KEYS})")
@click.option("--sig-proxy", is_flag=True, default=True, help="Pass signals on to it (default true)")
@create_options
@click.argument("image", metavar="IMAGE")
@words()
@click.pass_obj
def run(session: Session, /, **_: object) -> None:
    """The exit code is that of the command: 125 where the daemon failed, 126 where the command cannot be executed, 127 where there is
    none."""
    ctx = click.get_current_context()
    request = create_body(ctx)
    _check(ctx.params, request)
    if request["Tty"] and not ctx.params["detach"]:
        request.setdefault("HostConfig", {})["ConsoleSize"] = size()
    container = create_container(session.client, ctx, request)
    if ctx.params["detach"]:
        start(session.client, container)
        print(container)
        return
    raise Silent(_attached(session, container, ctx.params, request))


def _attached(session: Session, container: str, params: dict[str, Any], request: dict[str, Any]) -> int:
    streams = Streams(request["AttachStdin"], request["Tty"], params["detach_keys"])
    outputs = (request["AttachStdout"], request["AttachStderr"])
    attachment = Attachment(session.client, container, streams, outputs=outputs)
    return attachment.run(removed=params["remove"], proxy=params["sig_proxy"])


def _check(params: dict[str, Any], request: dict[str, Any]) -> None:
    with as_usage_error():
        if params["detach_keys"]:
            parse_keys(params["detach_keys"])
    if not params["detach"]:
        check_terminal(request["AttachStdin"], request["Tty"])
