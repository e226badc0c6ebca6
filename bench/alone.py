"""The Membership of a node whose place never changes: one manager, by its UNIX socket."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from pathlib import Path

from common.model.node import TLSInfo
from common.wire import Membership as MembershipMessage


class Alone:
    """See worker/session/base.py."""

    def __init__(self, node_id: str, socket: Path) -> None:
        self.node_id = node_id
        self._managers = [f"unix://{socket}"]

    def managers(self) -> Sequence[str]:
        return self._managers

    def client_context(self) -> ssl.SSLContext | None:
        return None

    def tls_info(self) -> TLSInfo | None:
        return None

    def data_path(self) -> str:
        return ""

    def told(self, message: MembershipMessage) -> None: ...

    def refused(self, reason: str) -> None: ...

    async def changed(self) -> None:
        await asyncio.get_running_loop().create_future()
