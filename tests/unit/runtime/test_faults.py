"""What runtimes complain about, in Docker's words and exit codes."""

from __future__ import annotations

import pytest

from worker.runtime.faults import EXEC, StartFailed, explain

CRUN_MISSING = "executable file `nope` not found in $PATH: No such file or directory"
CRUN_PATH = "executable file `/nope/x` not found: No such file or directory"
CRUN_FOLDER = "open executable: Operation not permitted"
RUNC_MISSING = (
    'time="2026-11-23T22:57:56Z" level=error msg="runc create failed: unable to start container process: '
    'exec: \\"nope\\": executable file not found in $PATH"'
)


@pytest.mark.parametrize(
    ("message", "code", "words"),
    [
        (CRUN_MISSING, 127, 'exec: "nope": executable file not found in $PATH'),
        (RUNC_MISSING, 127, 'exec: "nope": executable file not found in $PATH'),
        (CRUN_PATH, 127, "stat /nope/x: no such file or directory"),
        (CRUN_FOLDER, 126, "permission denied"),
        ("exec format error: Exec format error", 126, "exec format error"),
    ],
)
def test_faults_of_the_command(message: str, code: int, words: str) -> None:
    error = explain(message, EXEC)
    assert isinstance(error, StartFailed)
    assert error.exit_code == code
    assert words in error.message
    assert error.message.startswith("OCI runtime exec failed")
    assert error.status == 400


def test_other_faults_are_the_daemons() -> None:
    error = explain("mount `proc` to `proc`: Invalid argument")
    assert not isinstance(error, StartFailed)
    assert error.status == 500
    assert "Invalid argument" in error.message
