"""What an OCI runtime's complaint means to the user: Docker's words and Docker's exit code.

Clients decide by these words: `docker run` ends with 127 for "executable file not found", with 126 for "permission denied".
"""

from __future__ import annotations

import re

from common.errors import InvalidArgument, ShoalError

CREATE = "failed to create task for container: OCI runtime create failed"
EXEC = "OCI runtime exec failed: exec failed: unable to start container process"
_LOGRUS = re.compile(r'level=error msg="((?:[^"\\]|\\.)*)"')  # how runc writes
_NOT_FOUND = re.compile(
    r"executable file [`'\"]?([^`'\"]*)[`'\"]? not found|exec: \"([^\"]*)\": executable file not found"
)
_MISSING = re.compile(r"(?:open|exec|stat)[^:]*: no such file or directory|no such file or directory", re.IGNORECASE)
_DENIED = re.compile(r"permission denied|exec format error|is a directory|operation not permitted", re.IGNORECASE)


class StartFailed(InvalidArgument):
    """The process could not be started, by the fault of what it was asked to run. `exit_code` as Docker records it."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def explain(message: str, prefix: str = CREATE) -> ShoalError:
    """The error for what the runtime or the monitor said when a process could not be created."""
    logged = _LOGRUS.findall(message)
    text = (logged[-1].replace('\\"', '"') if logged else message).strip() or "the OCI runtime gave no reason"
    if found := _NOT_FOUND.search(text):
        name = found[1] or found[2]
        reason = f"stat {name}: no such file or directory" if "/" in name else "executable file not found in $PATH"
        return StartFailed(f'{prefix}: exec: "{name}": {reason}', 127)
    if _DENIED.search(text):
        return StartFailed(f"{prefix}: {_lower(text)}", 126)
    if _MISSING.search(text):
        return StartFailed(f"{prefix}: {_lower(text)}", 127)
    return ShoalError(f"{prefix}: {text}")


def _lower(text: str) -> str:
    """The system's messages in Go's spelling: crun says "No such file or directory"."""
    text = text.replace("open executable: Operation not permitted", "open executable: permission denied")
    for words in ("No such file or directory", "Permission denied", "Is a directory", "Exec format error"):
        text = text.replace(words, words.lower())
    return text
