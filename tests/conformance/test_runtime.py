"""What every OCI runtime has to do for us, through conmon: life, streams, limits, recovery, no traces."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from common.errors import Conflict, NotFound
from tests.harness.bundles import Workshop, read_all, runtimes, workshop
from worker.runtime.base import Exit
from worker.runtime.cgroups import Cgroup, hierarchies
from worker.runtime.conmon import ConmonRuntime
from worker.runtime.faults import StartFailed

pytestmark = pytest.mark.parametrize("shop", runtimes(), indirect=True)
# Waits for its terminal's size: resizing is the monitor's work, done some time after it was told.
SIZED = 'until [ "$(stty size 2>&1)" = "{}" ]; do sleep 0.01; done; echo sized $(tty)'


@pytest.fixture
async def shop(request: pytest.FixtureRequest) -> AsyncIterator[Workshop]:
    async with workshop(request.param) as made:
        yield made
    left = [mount for mount in hierarchies().mounts() if (mount / made.settings.cgroup_root.lstrip("/")).exists()]
    assert left == []


def limit(**resources: Any) -> Any:
    return lambda config: config["linux"]["resources"].update(resources)


async def test_output_and_exit_code(shop: Workshop) -> None:
    await shop.run("c", "sh", "-c", "echo out; echo err >&2; exit 3")
    exit = await shop.runtime.wait("c")
    assert (exit.code, exit.oom_killed) == (3, False)
    assert sorted(await shop.lines("c")) == [b"err\n", b"out\n"]


async def test_the_process_waits_for_its_start(shop: Workshop) -> None:
    await shop.create("c", "echo", "hi")
    assert await shop.lines("c") == []
    streams = await shop.runtime.attach("c")
    await shop.runtime.start("c")
    assert await read_all(streams) == {1: b"hi\n", 2: b""}
    streams.close()


async def test_any_number_may_wait_and_again(shop: Workshop) -> None:
    await shop.run("c", "sh", "-c", "exit 5")
    exits = await asyncio.gather(*(shop.runtime.wait("c") for _ in range(20)))
    assert {exit.code for exit in exits} == {5}
    assert await shop.runtime.wait("c") == exits[0]


async def test_stdin_until_its_end(shop: Workshop) -> None:
    await shop.create("c", "sh", "-c", "wc -c; exit 1", stdin=True, stdin_once=True)
    streams = await shop.runtime.attach("c")
    await shop.runtime.start("c")
    async with asyncio.TaskGroup() as group:
        output = group.create_task(read_all(streams))
        await streams.write(b"x" * 1_000_000)
        streams.close_stdin()
    assert output.result()[1].strip() == b"1000000"
    streams.close()


async def test_a_terminal_has_a_size(shop: Workshop) -> None:
    await shop.create("c", "sh", "-c", SIZED.format("33 77"), tty=True, stdin=True)
    streams = await shop.runtime.attach("c")
    await shop.runtime.start("c")
    shop.runtime.resize("c", 33, 77)
    output = await asyncio.wait_for(read_all(streams), 20)
    streams.close()
    assert output[1].endswith(b"sized /dev/pts/0\r\n")
    assert output[2] == b""


async def test_signals(shop: Workshop) -> None:
    await shop.run("c", "sh", "-c", "trap 'exit 7' USR1; echo ready; while :; do sleep 0.05; done")
    async for _ in shop.runtime.log("c", shop.log("c")).read(follow=True):
        break
    await shop.runtime.kill("c", signal.SIGUSR1)
    assert (await shop.runtime.wait("c")).code == 7
    with pytest.raises(Conflict, match="not running"):
        await shop.runtime.kill("c", signal.SIGKILL)


async def test_a_paused_container_can_be_killed(shop: Workshop) -> None:
    await shop.run("c", "sleep", "1000")
    await shop.runtime.pause("c")
    assert Cgroup(f"{shop.settings.cgroup_root}/c").frozen()
    await shop.runtime.kill("c", signal.SIGKILL)
    assert (await shop.runtime.wait("c")).code == 137


async def test_pause_and_resume(shop: Workshop) -> None:
    await shop.run("c", "sh", "-c", "read x; echo done", stdin=True)
    await shop.runtime.pause("c")
    await shop.runtime.resume("c")
    assert not Cgroup(f"{shop.settings.cgroup_root}/c").frozen()
    streams = await shop.runtime.attach("c")
    await streams.write(b"\n")
    assert (await read_all(streams))[1] == b"done\n"
    streams.close()


async def test_the_memory_limit_is_told(shop: Workshop) -> None:
    hungry = limit(memory={"limit": 20 << 20, "swap": 20 << 20})
    await shop.run("c", "dd", "if=/dev/zero", "of=/dev/null", "bs=200M", change=hungry)
    exit = await shop.runtime.wait("c")
    assert (exit.code, exit.oom_killed) == (137, True)


async def test_limits_change_while_it_runs(shop: Workshop) -> None:
    await shop.run("c", "sleep", "1000", change=limit(memory={"limit": 20 << 20}, pids={"limit": 10}))
    assert (await shop.runtime.stats("c"))["memory_stats"]["limit"] == 20 << 20
    await shop.runtime.update("c", {"memory": {"limit": 40 << 20}, "pids": {"limit": 20}})
    got = await shop.runtime.stats("c")
    assert (got["memory_stats"]["limit"], got["pids_stats"]["limit"]) == (40 << 20, 20)
    assert got["pids_stats"]["current"] == 1
    assert got["cpu_stats"]["cpu_usage"]["total_usage"] > 0


async def test_all_processes_are_known(shop: Workshop) -> None:
    pid = await shop.run("c", "sh", "-c", "sleep 1000 & echo ready; wait")
    async for _ in shop.runtime.log("c", shop.log("c")).read(follow=True):
        break
    pids = await shop.runtime.pids("c")
    assert pid in pids
    assert len(pids) == 2
    await shop.runtime.kill("c", signal.SIGKILL, all=True)
    await shop.runtime.wait("c")


async def test_an_exec_has_streams_and_a_code(shop: Workshop) -> None:
    await shop.run("c", "sleep", "1000")
    handle = await shop.runtime.exec("c", shop.exec_spec("e", "sh", "-c", "cat; echo err >&2; exit 4", stdin=True))
    await handle.streams.write(b"in\n")
    handle.streams.close_stdin()
    assert await read_all(handle.streams) == {1: b"in\n", 2: b"err\n"}
    handle.streams.close()
    assert await handle.wait() == 4
    assert list((shop.bundle("c") / "execs").iterdir()) == []


async def test_an_exec_with_a_terminal(shop: Workshop) -> None:
    await shop.run("c", "sleep", "1000")
    handle = await shop.runtime.exec("c", shop.exec_spec("e", "sh", "-c", SIZED.format("11 22"), tty=True, stdin=True))
    handle.resize(11, 22)
    output = await asyncio.wait_for(read_all(handle.streams), 20)
    assert b"sized /dev/pts/" in output[1]
    handle.streams.close()
    assert await handle.wait() == 0


async def test_an_exec_ends_with_its_container(shop: Workshop) -> None:
    await shop.run("c", "sleep", "1000")
    handle = await shop.runtime.exec("c", shop.exec_spec("e", "sleep", "1000"))
    handle.streams.close()
    code: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    handle.on_exit(code.set_result)
    await shop.runtime.delete("c", force=True)
    assert await asyncio.wait_for(code, 10) == 137


@pytest.mark.parametrize(("command", "code"), [("nope", 127), ("/nope", 127), ("/etc", 126)])
async def test_what_cannot_be_run_leaves_nothing(shop: Workshop, command: str, code: int) -> None:
    with pytest.raises(StartFailed) as failed:
        await shop.create("c", command)
    assert failed.value.exit_code == code
    assert not any((mount / f"{shop.settings.cgroup_root[1:]}/c").exists() for mount in hierarchies().mounts())
    assert list(shop.runtime.oci.root.iterdir()) == []
    with pytest.raises(NotFound):
        await shop.runtime.wait("c")
    await shop.run("d", "sleep", "1000")
    with pytest.raises(StartFailed) as failed:
        await shop.runtime.exec("d", shop.exec_spec("e", command))
    assert failed.value.exit_code == code
    assert list((shop.bundle("d") / "execs").iterdir()) == []


async def test_a_container_runs_again_in_its_bundle(shop: Workshop) -> None:
    for number in range(3):
        await shop.run("c", "sh", "-c", f"echo {number}; exit {number}")
        assert (await shop.runtime.wait("c")).code == number
        await shop.runtime.delete("c")
        await shop.runtime.delete("c")
    assert await shop.lines("c") == [b"0\n", b"1\n", b"2\n"]


async def test_a_running_one_is_deleted_only_by_force(shop: Workshop) -> None:
    pid = await shop.run("c", "sleep", "1000")
    with pytest.raises(Conflict, match="running"):
        await shop.runtime.delete("c")
    await shop.runtime.delete("c", force=True)
    assert not Path(f"/proc/{pid}").exists()


async def successor(shop: Workshop) -> ConmonRuntime:
    """What a daemon that starts after this one has: no memory, the same folders."""
    runtime = ConmonRuntime(shop.settings)
    await runtime.start_up()
    return runtime


async def test_a_new_daemon_finds_what_runs(shop: Workshop) -> None:
    pid = await shop.run("c", "sh", "-c", "read x; echo $x; exit 9", stdin=True)
    runtime = await successor(shop)
    assert await runtime.recover("c", shop.bundle("c")) == pid
    streams = await runtime.attach("c")
    await streams.write(b"again\n")
    assert (await read_all(streams))[1] == b"again\n"
    streams.close()
    assert (await runtime.wait("c")).code == 9
    await runtime.close()


async def test_a_new_daemon_learns_how_it_ended(shop: Workshop) -> None:
    await shop.run("c", "sh", "-c", "exit 6")
    exit = await shop.runtime.wait("c")
    runtime = await successor(shop)
    assert await runtime.recover("c", shop.bundle("c")) == exit
    await runtime.delete("c")
    await runtime.close()


async def test_a_new_daemon_knows_nothing_of_what_never_ran(shop: Workshop) -> None:
    shop.bundle("c").mkdir(parents=True)
    assert await shop.runtime.recover("c", shop.bundle("c")) is None
    (shop.bundle("c") / "config.json").write_text("{}")
    assert await shop.runtime.recover("c", shop.bundle("c")) is None


async def test_a_container_without_its_monitor_is_ended(shop: Workshop) -> None:
    pid = await shop.run("c", "sleep", "1000")
    os.kill(int((shop.bundle("c") / "conmon.pid").read_text()), signal.SIGKILL)
    exit = await asyncio.wait_for(shop.runtime.wait("c"), 10)
    assert exit.code == 137
    assert not Path(f"/proc/{pid}/exe").exists()


async def test_a_flood_reaches_all_who_attached(shop: Workshop) -> None:
    await shop.create("c", "seq", "1", "200000")
    attached = [await shop.runtime.attach("c") for _ in range(3)]
    await shop.runtime.start("c")
    outputs = await asyncio.gather(*map(read_all, attached))
    expected = b"".join(b"%d\n" % number for number in range(1, 200001))
    assert all(output[1] == expected for output in outputs)
    for streams in attached:
        streams.close()
    assert b"".join(await shop.lines("c")) == expected


async def test_attaching_to_what_has_ended_is_refused(shop: Workshop) -> None:
    await shop.run("c", "true")
    ended: Exit = await shop.runtime.wait("c")
    assert ended.code == 0
    with pytest.raises(Conflict, match="ended"):
        await shop.runtime.attach("c")
    with pytest.raises(Conflict, match="ended"):
        shop.runtime.resize("c", 1, 1)
