"""Several daemons in one network namespace as one cluster: enough for membership and failover, without hosts of their own.

Each has its own root, state and ports; the addresses differ by the port alone. Hosts of their own are the lab's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from tests.harness.daemon import Daemon, daemon
from tests.harness.wait import until

PORT = 2377


class Team:
    """`daemons[0]` has made the cluster."""

    def __init__(self, daemons: list[Daemon]) -> None:
        self.daemons = daemons
        self._numbers = {id(one): number for number, one in enumerate(daemons)}

    def __getitem__(self, number: int) -> Daemon:
        return self.daemons[number]

    def address(self, one: Daemon) -> str:
        return f"{one.address}:{PORT + self._numbers[id(one)]}"

    def init(self, *options: str) -> None:
        first = self[0]
        port = f"0.0.0.0:{PORT}"
        first.docker("swarm", "init", "--listen-addr", port, "--advertise-addr", self.address(first), *options)

    def join(self, one: Daemon, role: str, by: Daemon | None = None) -> None:
        by = by or self[0]
        token = by.docker("swarm", "join-token", "-q", role).strip()
        listen = f"0.0.0.0:{PORT + self._numbers[id(one)]}"
        options = ("--token", token, "--listen-addr", listen, "--advertise-addr", self.address(one))
        one.docker("swarm", "join", *options, self.address(by))

    def node_id(self, one: Daemon) -> str:
        return one.docker("info", "-f", "{{.Swarm.NodeID}}").strip()

    def nodes(self, by: Daemon) -> list[dict[str, Any]]:
        client = by.client()
        try:
            found: list[dict[str, Any]] = client.api.nodes()
            return found
        finally:
            client.close()

    def until_nodes(self, by: Daemon, count: int, *, managers: int | None = None, timeout: float = 30) -> None:
        """Wait until `count` nodes are ready, of which `managers` are reachable members of the group."""

        def settled() -> bool:
            nodes = self.nodes(by)
            ready = [node for node in nodes if node["Status"]["State"] == "ready"]
            members = [n for n in nodes if (n.get("ManagerStatus") or {}).get("Reachability") == "reachable"]
            return len(ready) == count and managers in (None, len(members))

        until(settled, f"{count} nodes are ready, {managers} of them managers", timeout=timeout, every=0.1)

    def leader(self, by: Daemon) -> Daemon:
        """The daemon whose manager leads, as `by` knows it."""
        ids = {self.node_id(one): one for one in self.daemons if one.process and one.process.poll() is None}

        def found() -> Daemon | None:
            leaders = [n["ID"] for n in self.nodes(by) if (n.get("ManagerStatus") or {}).get("Leader")]
            return ids.get(leaders[0]) if leaders else None

        return until(found, "a manager leads") or by


@contextmanager
def team(managers: int, workers: int = 0, *options: str, form: bool = True) -> Iterator[Team]:
    """A cluster of daemons. `options` go to `swarm init`; without `form` they are daemons beside each other, no more."""
    with ExitStack() as stack:
        first = stack.enter_context(daemon())
        others = [stack.enter_context(daemon(beside=first)) for _ in range(managers + workers - 1)]
        made = Team([first, *others])
        if form:
            made.init(*options)
            for number, one in enumerate(others, 1):
                made.join(one, "manager" if number < managers else "worker")
            made.until_nodes(first, managers + workers, managers=managers)
        yield made
