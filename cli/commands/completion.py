"""`shoal completion`, and what the shells' scripts ask for."""

from __future__ import annotations

import os

import click

from cli.errors import CliError
from cli.flags.command import command

COMPLETE = "_SHOAL_COMPLETE"
SHELLS = ("bash", "zsh", "fish")


@command(
    usage="[bash|zsh|fish]",
    examples=["source <(shoal completion bash)", "shoal completion fish > ~/.config/fish/completions/shoal.fish"],
)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, /, shell: str) -> None:
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        raise CliError(f"no completion for {shell}: known are {', '.join(SHELLS)}")
    script = kind(ctx.find_root().command, {}, "shoal", COMPLETE)
    print(script.source_template % script.source_vars())


def complete(root: click.Command) -> int:
    """Answer the completion script's question, which is in the environment."""
    from click.shell_completion import shell_complete

    return shell_complete(root, {}, "shoal", COMPLETE, os.environ[COMPLETE])
