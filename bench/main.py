"""The command line of bench/run. Every module of this package with a `main() -> list[Figure]` is a NAME;
`--nodes` and `--tasks` go to the NAMEs that take them."""

from __future__ import annotations

import argparse
import importlib
import inspect
from collections.abc import Sequence

from bench.figure import Figure, line, table

NAMES = (
    "start",
    "service",
    "memory",
    "api",
    "cli",
    "consensus",
    "managers",
    "etcd_log",
    "scheduler",
    "hollow",
    "scale",
    "failover",
    "pull",
    "overlay",
)


def main(arguments: Sequence[str]) -> int:
    """Exits with code 2 and the usage where a NAME is not known."""
    given = _parser().parse_args(arguments)
    sizes = {name: value for name in ("nodes", "tasks") if (value := getattr(given, name)) is not None}
    figures: list[Figure] = []
    for name in NAMES if "all" in given.names else given.names:
        measure = importlib.import_module(f"bench.{name}").main
        found: list[Figure] = measure(**sizes) if inspect.signature(measure).parameters else measure()
        figures += found
        if given.json:
            print("\n".join(map(line, found)), flush=True)
    if not given.json:
        print(table(figures))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("bench/run")
    parser.add_argument("names", nargs="+", metavar="NAME", choices=(*NAMES, "all"), help=", ".join((*NAMES, "all")))
    parser.add_argument("--json", action="store_true", help="one JSON object per figure")
    parser.add_argument("--nodes", type=int, help="how many hollow nodes")
    parser.add_argument("--tasks", type=int, help="how many hollow tasks")
    return parser
