"""`python -m tests.chaos --seed N --minutes M`: chaos on a lab of this machine, as root; the hosts' logs are kept where it fails."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from tests.chaos.run import chaos


def main() -> int:
    parser = argparse.ArgumentParser("python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="which faults; the same seed means the same ones")
    parser.add_argument("--minutes", type=float, default=1.0, help="how long a seed's faults last")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds, one after another")
    parser.add_argument("--logs", type=Path, help="folder of the logs of seeds that fail (default: a new one)")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))  # with the lab taken down
    failed = []
    logs = given.logs or Path(tempfile.mkdtemp(prefix="shoal-chaos-"))
    for seed in range(given.seed, given.seed + given.seeds):
        try:
            chaos(seed, given.minutes * 60, logs / f"seed-{seed}")
        except Exception as error:  # noqa: BLE001 - the next seed may tell something else
            print(f"seed {seed}: {error}", file=sys.stderr)
            failed.append(seed)
    if not failed and given.logs is None:
        logs.rmdir()
    print(f"{given.seeds - len(failed)} of {given.seeds} seeds passed", f"failed: {failed}" if failed else "")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
