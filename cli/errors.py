"""How a command fails: errors that carry the sentence for the user and the exit code of the process.

    CliError         1    what the user asked for cannot be done
    ├── ApiError     1    the daemon refused ("Error response from daemon: …")
    ├── ConnectError 1    no daemon could be reached
    └── Silent       n    all was said already; only the exit code is left

Exit codes follow Docker's: 125 a daemon's refusal in `run` and misused flags, 126 and 127 a command that cannot be
executed or found, 130 Ctrl-C, else 1. Wrong usage is click's UsageError.
"""

from __future__ import annotations

EXIT_DAEMON = 125
EXIT_NOT_EXECUTABLE = 126
EXIT_NOT_FOUND = 127
EXIT_INTERRUPTED = 130


class CliError(Exception):
    """Base of all failures; `exit_code` is the process's."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code


class ApiError(CliError):
    """The daemon's refusal; `reason` is its own sentence, `status` the HTTP status."""

    def __init__(self, status: int, reason: str, exit_code: int = 1) -> None:
        super().__init__(f"Error response from daemon: {reason}", exit_code)
        self.status = status
        self.reason = reason


class ConnectError(CliError):
    """The daemon cannot be reached, or the connection broke."""


class Silent(CliError):
    def __init__(self, exit_code: int) -> None:
        super().__init__("", exit_code)
