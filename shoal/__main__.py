"""The launcher: `shoal` (the command line), `shoald` (the daemon), and `python -m shoal …` for both and for child processes.

In the wheel the other packages lie inside this one: its folder goes on the path first, so that `import common` is the same
module everywhere.
"""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress
from typing import NoReturn

_OBJECTS_BEFORE_GC = 100_000  # the default's collections take a tenth of a command's time
_HERE = os.path.dirname(os.path.abspath(__file__))
if os.path.isdir(os.path.join(_HERE, "common")):
    sys.path.insert(0, _HERE)


def main() -> NoReturn:
    """The `shoal` command line. A command is short: what it leaves goes with the process, uncollected."""
    gc.set_threshold(_OBJECTS_BEFORE_GC)
    from cli.main import main as run

    code = run()
    with suppress(OSError):
        sys.stdout.flush()
    with suppress(OSError):
        sys.stderr.flush()
    os._exit(code)


def daemon() -> int:
    """The `shoald` node daemon."""
    _spare_rich()
    from shoal.daemon import main as run

    return run(sys.argv[1:])


def _spare_rich() -> None:
    """structlog takes rich along wherever it is installed, for tracebacks in colour: 4 MB in each daemon."""
    sys.modules["rich"] = None  # type: ignore[assignment]
    import structlog  # noqa: F401

    del sys.modules["rich"]


def _dispatch() -> int:
    """`python -m shoal daemon …` and `python -m shoal manager …` are the daemons, anything else is the command line."""
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    if word == "daemon":
        del sys.argv[1]
        return daemon()
    if word == "manager":
        _spare_rich()
        from shoal.daemon import manager

        return manager(sys.argv[2:])
    return main()


if __name__ == "__main__":
    sys.exit(_dispatch())
