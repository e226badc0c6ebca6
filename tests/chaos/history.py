"""Whether what clients were told of one object could have happened one operation after another (linearizability).

Pure. An object is a register that may be absent: it is created, swapped from one mark to another, removed and read. An operation
whose outcome nobody knows may take effect at any time after it began, or never. The search is Wing's and Gong's, with the memory
of Lowe's: which operations are in order already, and what the object is then.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

Kind = Literal["create", "swap", "remove", "read"]
Outcome = Literal["done", "refused", "unknown"]


class Operation(msgspec.Struct, frozen=True):
    """`mark`: what a create or a swap leaves, what a read saw (None: nothing was there). `of`: what a swap replaces.

    Refused are only a create of what is there already, and a swap or a removal of what is not there, or not as was seen.
    """

    kind: Kind
    begun: float
    ended: float = math.inf
    mark: str | None = None
    of: str | None = None
    outcome: Outcome = "done"
    by: str = ""  # who did it, through which manager

    def step(self, state: str | None) -> list[str | None]:
        """The states that may follow; none where this cannot happen then."""
        if self.kind == "read":
            return [state] if state == self.mark else []
        possible = {
            "create": state is None,
            "swap": state is not None and state == self.of,
            "remove": state is not None,
        }
        if self.outcome == "refused":
            return [] if possible[self.kind] else [state]
        return [None if self.kind == "remove" else self.mark] if possible[self.kind] else []


def explain(operations: Iterable[Operation]) -> list[Operation] | None:
    """None where an order exists; otherwise the longest beginning of one, for a reader to see where it ends."""
    known = sorted((o for o in operations if o.kind != "read" or o.outcome == "done"), key=lambda o: o.begun)
    certain = frozenset(at for at, o in enumerate(known) if o.outcome != "unknown")
    longest: list[int] = []
    seen: set[tuple[frozenset[int], str | None]] = set()
    path: list[int] = []
    stack = [(frozenset[int](), _next(known, frozenset(), None))]
    while stack:
        done, following = stack[-1]
        found = next(following, None)
        if found is None:
            stack.pop()
            del path[len(stack) - 1 :]
            continue
        at, state = found
        reached = done | {at}
        if (reached, state) in seen:
            continue
        seen.add((reached, state))
        path.append(at)
        if certain <= reached:
            return None
        longest = max(longest, [*path], key=len)
        stack.append((reached, _next(known, reached, state)))
    return [known[at] for at in longest] if certain else None


def _next(known: list[Operation], done: frozenset[int], state: str | None) -> Iterator[tuple[int, str | None]]:
    """Operations that may come next: none that is still to come ended before they began. Certain ones are tried first."""
    left = [at for at in range(len(known)) if at not in done]
    limit = min((known[at].ended for at in left), default=math.inf)
    ready = [at for at in left if known[at].begun <= limit]
    for at in sorted(ready, key=lambda at: (known[at].outcome == "unknown", known[at].ended)):
        for following in known[at].step(state):
            yield at, following
