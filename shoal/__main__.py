"""The launcher: `shoal` (the command line), `shoald` (the daemon), and `python -m shoal …` for both and for child processes.

In the wheel the other packages lie inside this one: its folder goes on the path first, so that `import common` is the same
module everywhere.
"""

from __future__ import annotations

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))
if os.path.isdir(os.path.join(_HERE, "common")):
    sys.path.insert(0, _HERE)


def main() -> int:
    """The `shoal` command line."""
    from cli.main import main as run

    return run()


def daemon() -> int:
    """The `shoald` node daemon."""
    from shoal.daemon import main as run

    return run(sys.argv[1:])


def _dispatch() -> int:
    """`python -m shoal daemon …` and `python -m shoal manager …` are the daemons, anything else is the command line."""
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    if word == "daemon":
        del sys.argv[1]
        return daemon()
    if word == "manager":
        from shoal.daemon import manager

        return manager(sys.argv[2:])
    return main()


if __name__ == "__main__":
    sys.exit(_dispatch())
