"""A daemon that is killed at any moment of a container's life: its successor finds the truth, and nothing stays behind."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.harness.bundles import Workshop, workshop
from worker.runtime.base import Exit
from worker.runtime.cgroups import hierarchies
from worker.runtime.conmon import ConmonRuntime

SEED = int(os.environ.get("SEED", "0")) or random.SystemRandom().randrange(1 << 30)
TRIES = int(os.environ.get("TRIES", "20"))
REPO = Path(__file__).resolve().parents[2]

# Makes, starts, execs in, kills and deletes the container "c" again and again.
VICTIM = """
import asyncio, sys
from pathlib import Path
from common.settings import Settings
from worker.runtime.base import ExecSpec, Launch
from worker.runtime.conmon import ConmonRuntime

async def main(folder, runtime):
    bundle = folder / "bundles/c"
    r = ConmonRuntime(Settings(root=folder / "root", state=folder / "state", runtime=runtime))
    await r.start_up()
    print("go", flush=True)
    process = {"user": {"uid": 0, "gid": 0}, "args": ["true"], "env": ["PATH=/bin"], "cwd": "/"}
    while True:
        await r.create(Launch(id="c", bundle=bundle, log=bundle / "log", log_max_size=1000, log_max_files=3))
        await r.start("c")
        handle = await r.exec("c", ExecSpec(id="e", process=process))
        handle.streams.close()
        await handle.wait()
        await r.kill("c", 9)
        await r.wait("c")
        await r.delete("c")

asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
"""


@pytest.fixture
async def shop() -> AsyncIterator[Workshop]:
    async with workshop() as made:
        yield made


def processes(folder: Path) -> list[str]:
    """Command lines that name `folder`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in text:
            found.append(text)
    return found


def work_and_die(shop: Workshop, delay: float) -> None:
    """Let a victim work for `delay` seconds, then kill it."""
    argv = [sys.executable, "-c", VICTIM, str(shop.folder), shop.settings.runtime]
    with subprocess.Popen(argv, cwd=REPO, stdout=subprocess.PIPE) as victim:
        assert victim.stdout is not None
        victim.stdout.readline()
        time.sleep(delay)  # the moment of the kill is what is tried
        victim.send_signal(signal.SIGKILL)


async def recover(shop: Workshop) -> None:
    """What the next daemon does."""
    runtime = ConmonRuntime(shop.settings)
    await runtime.start_up()
    async with asyncio.timeout(20):
        seen = await runtime.recover("c", shop.bundle("c"))
        if isinstance(seen, int):
            await runtime.kill("c", signal.SIGKILL)
            assert (await runtime.wait("c")).code == 137
        elif isinstance(seen, Exit):
            assert seen.code == 137
        await runtime.delete("c", force=True)
    await runtime.close()


@pytest.mark.slow
async def test_nothing_is_left_whenever_the_daemon_is_killed(shop: Workshop) -> None:
    print(f"seed {SEED}")  # noqa: T201 - to repeat a failure
    rng = random.Random(SEED)
    bundle = shop.bundle("c")
    bundle.mkdir(parents=True)
    (bundle / "config.json").write_text(json.dumps(shop.config("c", ["sleep", "1000"])))
    for _ in range(TRIES):
        await asyncio.to_thread(work_and_die, shop, rng.random() * 0.15)
        await recover(shop)
        assert list(shop.runtime.oci.root.iterdir()) == []
        assert not any((mount / shop.settings.cgroup_root[1:]).exists() for mount in hierarchies().mounts())
        left = {path.name for path in bundle.iterdir() if not path.name.startswith("log")}
        assert left <= {"config.json", "exit", "persist", "execs"}
        deadline = time.monotonic() + 10
        while found := processes(shop.folder):
            assert time.monotonic() < deadline, found
            await asyncio.sleep(0.01)
