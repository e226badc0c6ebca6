"""What the membership needs of the launcher."""

from __future__ import annotations

from typing import Protocol

from common.identity import Identity
from common.identity.start import ManagerStart


class ManagerProcess(Protocol):
    """The manager child of this node; shoal/supervisor.py is the real one."""

    def want(self, start: ManagerStart | None) -> None:
        """Let a manager run as `start` says, anew if one runs already; None: let none run."""

    def update(self, identity: Identity) -> None:
        """Tell the manager that runs of a new certificate, new roots or new managers."""

    async def stopped(self) -> None:
        """After `want(None)`: return once no manager runs."""
