"""`python -m examples.lab`: the command line of the lab."""

import sys

from examples.lab.commands import main

sys.exit(main())
