"""What a command receives: the global options, and the daemon's client made on first use."""

from __future__ import annotations

import os
from functools import cached_property

from cli.api.client import Client
from cli.endpoint import Choice, Endpoint, choose


class Session:
    """One run of the command line. click passes it to commands by `@click.pass_obj`."""

    def __init__(self, choice: Choice, debug: bool = False) -> None:
        self.choice = choice
        self.debug = debug

    @cached_property
    def endpoint(self) -> Endpoint:
        return choose(self.choice)

    @cached_property
    def client(self) -> Client:
        return Client(self.endpoint, os.environ.get("DOCKER_API_VERSION", ""))
