"""A control loop: one class with two pure methods. Loops never call one another; they meet in the store.

The driver alone knows leadership, batching and retries: for every event it asks each loop which keys it concerns, then
reconciles those keys against a fresh view and commits what comes back. A conflict means the key is tried again.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

import msgspec

from manager.store.base import Change, Changed, View


class Wake(msgspec.Struct, frozen=True):
    """Reconcile `key` again at `at`, whatever happens until then."""

    key: str
    at: datetime


class Loop(Protocol):
    name: str
    serial: bool  # each key is reconciled on what the one before it has committed: keys compete for the same things

    def keys(self, change: Changed) -> Iterable[str]:
        """Which of this loop's keys one changed object concerns; constant work, never a scan."""

    def start(self, view: View) -> Iterable[str]:
        """All keys to look at when leadership begins."""

    def reconcile(self, view: View, key: str) -> list[Change | Wake]:
        """What has to change so that `key` is as wanted. Pure: `view.now` is the only clock."""
