"""The command line of bench/run. Every module of this package with a `main() -> list[Figure]` is a NAME."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from bench.figure import Figure, line, table

NAMES = ("start", "service", "memory", "api", "cli", "consensus", "scheduler")


def main(arguments: Sequence[str]) -> int:
    """Exit code 2 and the usage where a NAME is not known."""
    names = [name for name in arguments if name != "--json"]
    if names == ["all"]:
        names = list(NAMES)
    if not names or not set(names) <= set(NAMES):
        print(f"usage: bench/run NAME... | all [--json]; NAME is one of {', '.join(NAMES)}")
        return 2
    figures: list[Figure] = []
    for name in names:
        found: list[Figure] = importlib.import_module(f"bench.{name}").main()
        figures += found
        if "--json" in arguments:
            print("\n".join(map(line, found)), flush=True)
    if "--json" not in arguments:
        print(table(figures))
    return 0
