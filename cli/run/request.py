"""From the flags of `run` and `create` to POST /containers/create."""

from __future__ import annotations

import os
import sys
from contextlib import redirect_stdout
from typing import Any

import click

from cli.api.client import Client
from cli.errors import EXIT_DAEMON, ApiError, CliError
from cli.flags.command import as_usage_error
from cli.flags.field import Decorator, body, put, together
from cli.run import health, isolation, network, process, resources, storage

_CONCEPTS = (process, network, storage, isolation, health)

create_options: Decorator = together(
    click.option("--cidfile", metavar="FILE", help="Write the container's id to this file, which must not exist"),
    click.option("--name", help="Name of the container"),
    click.option("--platform", help="Platform of the image, as linux/amd64"),
    click.option(
        "--pull",
        type=click.Choice(["always", "missing", "never"]),
        default="missing",
        help="When to pull the image before: always, missing (the default: where it is not here) or never",
    ),
    click.option("--rm", "remove", is_flag=True, help="Remove it, and its anonymous volumes, when it ends"),
    process.options,
    network.options,
    storage.options,
    resources.options,
    isolation.options,
    health.options,
)


def create_body(ctx: click.Context) -> dict[str, Any]:
    """The request's body. Raises click.UsageError where the flags contradict each other."""
    params = ctx.params
    result = body(ctx)
    result["Image"] = params["image"]
    with as_usage_error():
        for concept in _CONCEPTS:
            concept.fill(params, result)
        if params["remove"]:
            put(result, "HostConfig.AutoRemove", True)
            _check_restart(result)
    return result


def _check_restart(result: dict[str, Any]) -> None:
    if result["HostConfig"].get("RestartPolicy", {}).get("Name", "no") != "no":
        raise ValueError("conflicting options: --rm and --restart")


def create_container(client: Client, ctx: click.Context, request: dict[str, Any]) -> str:
    """Create it; returns its id. Warnings go to stderr, the id to --cidfile."""
    params = ctx.params
    cidfile = params["cidfile"]
    if cidfile and os.path.exists(cidfile):
        raise CliError(
            f"container ID file found, make sure the other container isn't running or delete {cidfile}", EXIT_DAEMON
        )
    try:
        created = _create(client, params, request)
    except ApiError as error:
        raise ApiError(error.status, error.reason, EXIT_DAEMON) from None
    for warning in created.get("Warnings") or []:
        click.echo(f"WARNING: {warning}", err=True)
    if cidfile:
        _write_cidfile(cidfile, created["Id"])
    return str(created["Id"])


def _create(client: Client, params: dict[str, Any], request: dict[str, Any]) -> Any:
    """Create it, pulling its image before as --pull says."""

    def create() -> Any:
        return client.post("/containers/create", request, name=params["name"], platform=params["platform"])

    if params["pull"] == "always":
        _pull(client, params)
    try:
        return create()
    except ApiError as error:
        if params["pull"] != "missing" or error.status != 404 or "No such image" not in error.reason:
            raise
    click.echo(f"Unable to find image '{params['image']}' locally", err=True)
    _pull(client, params)
    return create()


def _pull(client: Client, params: dict[str, Any]) -> None:
    """Its messages go to stderr: stdout is the container's."""
    from cli.commands.image.registry import fetch
    from cli.parse.references import split_reference

    repository, tag = split_reference(params["image"])
    with redirect_stdout(sys.stderr):
        fetch(client, repository, tag or "latest", platform=params["platform"])


def _write_cidfile(path: str, container_id: str) -> None:
    try:
        with open(path, "x", encoding="ascii") as file:
            file.write(container_id)
    except OSError as error:
        raise CliError(f"cannot write {path}: {error.strerror or error}", EXIT_DAEMON) from None
