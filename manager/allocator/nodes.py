"""The nodes' own addresses on the ingress network: by them a published port reaches tasks on other nodes, and answers come back."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from common.model import NetworkAttachment, Node, Service
from manager.allocator.addresses import Addresses
from manager.allocator.services import ingress
from manager.store.base import Put, View


def ingress_addresses(view: View) -> Iterator[Put]:
    """An address for each node that has none, as soon as a service is on the network; none where they are exhausted.

    Until its node is removed, or the network is another one.
    """
    network = ingress(view)
    if network is None or not network.ipam.config or not view.find(Service, "network", network.id):
        return
    waiting = [node for node in view.all(Node) if all(a.network_id != network.id for a in node.attachments)]
    if not waiting:
        return
    free = Addresses(view, network)
    for node in sorted(waiting, key=lambda node: node.id):
        if addresses := free.take():
            yield Put(replace(node, attachments=[NetworkAttachment(network_id=network.id, addresses=addresses)]))
