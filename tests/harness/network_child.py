"""A process that opens and closes sandboxes until it is killed: python -m tests.harness.network_child ROOT STATE SEED."""

from __future__ import annotations

import asyncio
import random
import sys
from contextlib import suppress
from pathlib import Path

from common.errors import ShoalError
from common.ids import hex_id
from common.model import NetworkSpec
from common.settings import Settings
from tests.harness.networks import Plane, tcp
from worker.engine.events import EventBus
from worker.network.base import Attachment, SandboxSpec
from worker.network.networks import LocalNetworks


async def main(root: str, state: str, seed: str) -> None:
    source = random.Random(int(seed))
    networks = LocalNetworks(Settings(root=Path(root), state=Path(state)), EventBus(), Plane())
    await networks.start_up()
    await networks.recover([])
    print("ready", flush=True)  # noqa: T201
    await asyncio.gather(*(_churn(networks, random.Random(source.random()), number) for number in range(3)))


async def _churn(networks: LocalNetworks, source: random.Random, number: int) -> None:
    """Everything that changes something, in random order, for ever."""
    name = f"net{number}"
    while True:
        with suppress(ShoalError):
            await networks.create(NetworkSpec(name=name, enable_ipv6=source.random() < 0.5))
        spec = SandboxSpec(
            container_id=hex_id(),
            name=f"c{number}",
            hostname="h",
            attachments=(Attachment(network=source.choice(("bridge", name))),),
            ports=(tcp(80, 8000 + number),),
        )
        await networks.open(spec)
        with suppress(ShoalError):
            await networks.connect(spec.container_id, Attachment(network=name))
            await networks.disconnect(spec.container_id, name)
        if source.random() < 0.8:
            await networks.close(spec.container_id)
            with suppress(ShoalError):
                await networks.remove(name)
        else:
            await networks.close(spec.container_id)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
