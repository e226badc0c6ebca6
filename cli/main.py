"""The entry point: global options, and how failures become sentences and exit codes. Nothing ends in a traceback."""

from __future__ import annotations

import os
import sys
from types import TracebackType

import click

from cli import catalog
from cli.endpoint import Choice
from cli.errors import EXIT_DAEMON, EXIT_INTERRUPTED, CliError
from cli.flags.command import GROUP_SETTINGS
from cli.groups import LazyGroup
from cli.session import Session
from common.version import VERSION


def _version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        click.echo(f"Shoal version {VERSION}")
        ctx.exit()


@click.group(
    cls=LazyGroup, table=catalog.ROOT, help="Containers, and clusters of them.", context_settings=GROUP_SETTINGS
)
@click.option("--config", metavar="FOLDER", help="Folder of this client's configuration (default ~/.shoal)")
@click.option("-c", "--context", default="", help="Context to use (see `shoal context ls`)")
@click.option("-D", "--debug", is_flag=True, help="Show where an internal error happened")
@click.option("-H", "--host", default="", help="Daemon to talk to: unix:///path or tcp://address:port")
@click.option("--tls", is_flag=True, help="Use TLS; implied by --tlsverify")
@click.option("--tlscacert", default="", metavar="FILE", help="Trust certificates signed by this CA only")
@click.option("--tlscert", default="", metavar="FILE", help="This client's certificate")
@click.option("--tlskey", default="", metavar="FILE", help="This client's private key")
@click.option("--tlsverify", is_flag=True, help="Use TLS and verify the daemon")
@click.option(
    "-v", "--version", is_flag=True, expose_value=False, callback=_version, is_eager=True, help="Show the version"
)
@click.pass_context
def root(
    ctx: click.Context,
    config: str | None,
    context: str,
    debug: bool,
    host: str,
    tls: bool,
    tlscacert: str,
    tlscert: str,
    tlskey: str,
    tlsverify: bool,
) -> None:
    if config:
        os.environ["SHOAL_CONFIG"] = config
    ctx.obj = Session(Choice(host, context, tls, tlsverify, tlscacert, tlscert, tlskey), debug)


def main() -> int:
    """Run the command line of this process; returns its exit code."""
    if "_SHOAL_COMPLETE" in os.environ:
        from cli.commands.completion import complete

        return complete(root)
    args = sys.argv[1:]
    if not {"-D", "--debug"} & set(args):
        sys.excepthook = _internal_error
    return run(args)


def run(args: list[str]) -> int:
    """Run one command line and say what went wrong; returns the exit code."""
    try:
        with root.make_context("shoal", args) as ctx:
            root.invoke(ctx)
        sys.stdout.flush()
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.UsageError as error:
        return _usage(error)
    except click.ClickException as error:
        return _fail(error.format_message(), error.exit_code)
    except CliError as error:
        return _fail(error.message, error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        return _quiet()
    return 0


def _usage(error: click.UsageError) -> int:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.message)
        return 0
    path = error.ctx.command_path if error.ctx else "shoal"
    bad_option = isinstance(error, (click.NoSuchOption, click.BadOptionUsage)) or (
        isinstance(error, click.BadParameter) and isinstance(error.param, click.Option)
    )
    return _fail(
        f"{error.format_message()}\nRun '{path} --help' for more information", EXIT_DAEMON if bad_option else 1
    )


def _fail(message: str, code: int) -> int:
    if message:
        sys.stdout.flush()
        click.echo(message, err=True)
    return code


def _quiet() -> int:
    """The reader of our output is gone: leave without a word, and keep the interpreter's last flush silent too."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


def _internal_error(kind: type[BaseException], error: BaseException, _: TracebackType | None) -> None:
    sys.stderr.write(f"shoal: internal error: {kind.__name__}: {error}. Run again with --debug to see where\n")
