"""`shoal cluster migrate`: where the cluster keeps its state."""

from __future__ import annotations

import time

import click

from cli.errors import ApiError, CliError, ConnectError
from cli.flags.command import command
from cli.session import Session

PATH, STORE = "/shoal/v1/cluster/migrate", "/shoal/v1/cluster/store"
POLL = 0.2  # seconds
PATIENCE = 60.0  # seconds that the manager of this node may take


@command(
    examples=[
        "shoal cluster migrate --to etcd://10.0.0.1:2379,10.0.0.2:2379 --prefix /shoal/prod",
        "shoal cluster migrate --to raft",
    ]
)
@click.option("--to", "store", required=True, metavar="STORE", help="raft, or etcd://HOST:PORT with more behind commas")
@click.option("--prefix", default="", help="Where the keys lie in etcd; --store-prefix of the daemon by default")
@click.option("-d", "--detach", is_flag=True, help="Do not wait until this node's manager has followed")
@click.pass_obj
def migrate(session: Session, store: str, prefix: str, detach: bool) -> None:
    place = session.client.post(PATH, {"store": store, "prefix": prefix})
    if not detach:
        _wait(session, place["number"])
    print(_sentence(place))


def _wait(session: Session, number: int) -> None:
    """Until this node's manager serves from there; while it changes over it does not answer."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            if session.client.get(STORE)["number"] >= number:
                return
        except (ApiError, ConnectError):
            pass
        time.sleep(POLL)
    raise CliError("The cluster's state moves, but this node's manager has not followed yet: see its log.")


def _sentence(place: dict[str, str]) -> str:
    if place["store"] == "raft":
        return "The cluster's managers keep its state now."
    return f"The cluster's state lies in {place['store']} below {place['prefix']} now."
