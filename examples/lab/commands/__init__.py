"""`lab`: the command line. Each command finds the lab by --dir and --name and calls one method of hosts.py.

base.py has the global options and what the commands share; about.py commands about the whole lab and for looking into it, life.py
those that stop and start hosts, wrong.py those that break things.
"""

from __future__ import annotations

import sys

import click

from examples.lab.commands import about, life, wrong  # noqa: F401 - they add their commands to `root`, in this order
from examples.lab.commands.base import root
from examples.lab.layout import LabError


def main() -> int:
    """Exit codes: 0 done, 1 with a sentence where it could not be done, 2 for a wrong command line."""
    try:
        root(prog_name="lab", standalone_mode=False)
    except (LabError, OSError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.Abort:
        return 130
    except click.ClickException as error:
        error.show()
        return 2
    return 0
