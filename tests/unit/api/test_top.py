"""Reducing ps's output."""

from __future__ import annotations

import pytest

from common.errors import InvalidArgument
from worker.api.top import select

PS = """UID          PID    PPID  C STIME TTY          TIME CMD
root           1       0  0 10:00 ?        00:00:01 /sbin/init
root        4711    4700  0 10:01 ?        00:00:00 sh -c sleep 1; echo  x
root        4712    4711  0 10:01 ?        00:00:00 sleep 1
"""


def test_only_the_containers_processes_are_shown() -> None:
    titles, rows = select(PS, {"4711", "4712"})
    assert titles == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    assert [row[1] for row in rows] == ["4711", "4712"]
    assert rows[0][-1] == "sh -c sleep 1; echo  x"


@pytest.mark.parametrize("text", ["", "USER COMMAND\nroot sh\n"])
def test_a_column_pid_is_needed(text: str) -> None:
    with pytest.raises(InvalidArgument, match="Couldn't find PID field"):
        select(text, {"1"})
