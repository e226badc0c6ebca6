"""`shoal stats`."""

from __future__ import annotations

import sys
import threading
import time

import click

from cli.api.client import Client
from cli.api.urls import item
from cli.errors import ApiError, CliError, ConnectError
from cli.flags.command import command
from cli.flags.shared import list_format_option, no_trunc_option
from cli.session import Session
from cli.show.listing import print_list
from cli.show.usage import Usage, columns, usage

INTERVAL = 1.0  # seconds between two drawings
SHOWN = ["ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs"]
_CLEAR = "\033[H\033[2J"


@command(
    usage="[CONTAINER...]", examples=["shoal stats", "shoal stats --no-stream --format '{{.Name}}: {{.CPUPerc}}' web"]
)
@click.option("-a", "--all", "everything", is_flag=True, help="Also those that do not run")
@list_format_option
@click.option("--no-stream", is_flag=True, help="Show one sample and end")
@no_trunc_option
@click.argument("names", nargs=-1)
@click.pass_obj
def stats(
    session: Session, everything: bool, form: str, no_stream: bool, no_trunc: bool, names: tuple[str, ...]
) -> None:
    board = Board(session.client, names, everything)
    live = not no_stream
    board.update()
    while True:
        figures = board.figures(wait=no_stream)
        if live and sys.stdout.isatty():
            sys.stdout.write(_CLEAR)
        print_list(figures, columns(not no_trunc), SHOWN, form=form, trunc=not no_trunc)
        sys.stdout.flush()
        if not live or (names and board.ended):
            return
        time.sleep(INTERVAL)
        board.update()


class Board:
    """The newest figures of each container, each kept up by a thread of its own that reads its stream."""

    def __init__(self, client: Client, names: tuple[str, ...], everything: bool) -> None:
        self._client = client
        self._names = names
        self._everything = everything
        self._figures: dict[str, Usage] = {}
        self._threads: dict[str, threading.Thread] = {}
        if names:
            for name in names:
                client.get(item("containers", name, "json"))

    @property
    def ended(self) -> bool:
        return not any(thread.is_alive() for thread in self._threads.values())

    def update(self) -> None:
        """Follow containers that are new, forget those that are gone."""
        wanted = self._names or tuple(
            container["Id"] for container in self._client.get("/containers/json", all=self._everything)
        )
        for name in set(self._threads) - set(wanted):
            del self._threads[name]
            self._figures.pop(name, None)
        for name in wanted:
            if name not in self._threads:
                self._threads[name] = threading.Thread(target=self._follow, args=(name,), daemon=True)
                self._threads[name].start()

    def figures(self, *, wait: bool = False, timeout: float = 5.0) -> list[Usage]:
        """What is known now, in order; `wait` for the first full sample of each."""
        deadline = time.monotonic() + timeout
        while wait and not self._complete() and time.monotonic() < deadline:
            time.sleep(0.02)
        return [self._figures.get(name, Usage(name="", id=name)) for name in self._threads]

    def _complete(self) -> bool:
        return all(name in self._figures or not thread.is_alive() for name, thread in self._threads.items())

    def _follow(self, name: str) -> None:
        try:
            with self._client.stream("GET", item("containers", name, "stats"), query={"stream": True}) as response:
                for number, message in enumerate(response.documents()):
                    # The first message has no earlier sample to compare with, so its CPU share says nothing.
                    if number or (message.get("precpu_stats") or {}).get("system_cpu_usage"):
                        self._figures[name] = usage(message)
        except (ApiError, ConnectError, CliError):
            self._figures.pop(name, None)
