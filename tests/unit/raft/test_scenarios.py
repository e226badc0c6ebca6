"""Runs the scripts in scenarios/. With SHOAL_REWRITE_SCENARIOS set, each is written anew with the trace that it leaves
now: read the difference before you keep it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.unit.raft.script import Script

SCENARIOS = sorted((Path(__file__).parent / "scenarios").glob("*.txt"))


def replay(text: str) -> str:
    """The scenario with its trace filled in anew; comments and blank lines stay."""
    script, lines = Script(), []
    for line in text.splitlines():
        if line.startswith("> "):
            lines += [line, *("    " + trace for trace in script.perform(line[2:]))]
        elif not line.startswith("    "):
            lines.append(line)
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_scenario(path: Path) -> None:
    text = path.read_text()
    trace = replay(text)
    if "SHOAL_REWRITE_SCENARIOS" in os.environ:
        path.write_text(trace)
    assert trace == text
