"""Starting a container with its streams attached, and waiting for its end: what `run` and `start -a` have in common."""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

from cli.api.client import Client
from cli.api.urls import item
from cli.errors import EXIT_DAEMON, EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND, ApiError
from cli.terminal.attached import Streams, run_attached
from cli.terminal.signals import proxied

if TYPE_CHECKING:
    from cli.api.connection import Connection
    from cli.api.response import Response


class Attachment:
    """One container by id, with what of it is attached."""

    def __init__(
        self, client: Client, container: str, streams: Streams, *, outputs: tuple[bool, bool] = (True, True)
    ) -> None:
        self._client = client
        self._id = container
        self._streams = streams
        self._outputs = outputs

    def connect(self, *, logs: bool = False) -> Connection:
        stdout, stderr = self._outputs
        return self._client.hijack(
            item("containers", self._id, "attach"),
            stream=True,
            stdin=self._streams.stdin,
            stdout=stdout,
            stderr=stderr,
            logs=logs or None,
            detachKeys=self._streams.keys or None,
        )

    def run(self, *, removed: bool = False, proxy: bool = True) -> int:
        """Attach, start, and return the exit code; 0 where the user detached. `removed`: wait until it is gone, too."""
        with ExitStack() as stack:
            connection = stack.enter_context(closing(self.connect()))
            ended = stack.enter_context(closing(self.wait("removed" if removed else "next-exit")))
            stack.enter_context(proxied(self._signal, proxy and not self._streams.tty))
            start(self._client, self._id)
            return self._follow(connection, ended)

    def join(self, *, proxy: bool = True) -> int:
        """Attach to one that runs; as `run` otherwise."""
        with ExitStack() as stack:
            ended = stack.enter_context(closing(self.wait("not-running")))
            connection = stack.enter_context(closing(self.connect()))
            stack.enter_context(proxied(self._signal, proxy and not self._streams.tty))
            return self._follow(connection, ended)

    def wait(self, condition: str) -> Response:
        """The answer that comes when the container ends; its head is here already, so nothing can be missed."""
        return self._client.stream("POST", item("containers", self._id, "wait"), query={"condition": condition})

    def _follow(self, connection: Connection, ended: Response) -> int:
        detached = run_attached(connection, self._streams, self._resize)
        if detached and self._running():
            return 0
        return exit_code(ended)

    def _running(self) -> bool:
        try:
            return bool(self._client.get(item("containers", self._id, "json"))["State"]["Running"])
        except ApiError:
            return False

    def _resize(self, rows: int, columns: int) -> None:
        self._client.post(item("containers", self._id, "resize"), h=rows, w=columns)

    def _signal(self, name: str) -> None:
        self._client.post(item("containers", self._id, "kill"), signal=name)


def start(client: Client, container: str) -> None:
    """Start it. Raises ApiError with the exit code that shells expect for a command that is not there."""
    try:
        client.post(item("containers", container, "start"))
    except ApiError as error:
        raise ApiError(error.status, error.reason, _start_code(error.reason.lower())) from None


def exit_code(ended: Response) -> int:
    """The code in the answer of a wait, once it comes."""
    found = ended.json() or {}
    problem = (found.get("Error") or {}).get("Message")
    if problem:
        raise ApiError(500, problem, EXIT_DAEMON)
    return int(found.get("StatusCode", EXIT_DAEMON))


def _start_code(reason: str) -> int:
    if any(text in reason for text in ("executable file not found", "no such file or directory", "cannot find")):
        return EXIT_NOT_FOUND
    if "permission denied" in reason or "is a directory" in reason:
        return EXIT_NOT_EXECUTABLE
    return EXIT_DAEMON
