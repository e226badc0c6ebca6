"""The log in etcd with several replicas, against a real member: what the conformance suite, with one, cannot show."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from common.errors import InvalidArgument, ShoalError, Unavailable
from common.settings import Settings
from manager.etcd import client as client_module
from manager.etcd import proposer
from manager.etcd.client import Client
from manager.etcd.keys import Keys
from manager.etcd.log import EtcdLog, Options
from manager.etcd.opening import etcd_log as from_settings
from manager.etcd.wire import Op, Range, after, delete, put
from tests.harness.certificates import Authority
from tests.harness.etcd import Etcd, etcd
from tests.harness.logs import Recorder, etcd_log
from tests.harness.wait import eventually, until


@pytest.fixture(scope="module")
def server() -> Iterator[Etcd]:
    with etcd() as running:
        yield running


@pytest.fixture
def prefix(tmp_path: Path) -> str:
    return str(tmp_path)


@pytest.fixture
async def client(server: Etcd) -> AsyncIterator[Client]:
    async with Client(server.urls) as opened:
        yield opened


@asynccontextmanager
async def replicas(
    server: Etcd, prefix: str, *names: str, **options: float
) -> AsyncIterator[list[tuple[EtcdLog, Recorder]]]:
    async with AsyncExitStack() as stack:
        opened = []
        for name in names:
            log, machine = etcd_log(server.urls, prefix, name, **options), Recorder()
            await stack.enter_async_context(log.run(machine))
            opened.append((log, machine))
        yield opened


async def names(client: Client, keys: Keys) -> list[bytes]:
    found = await client.range(keys.all, after(keys.all))
    return [kv.key for kv in found.kvs]


async def test_replicas_apply_the_same_under_the_same_index(server: Etcd, prefix: str) -> None:
    async with replicas(server, prefix, "a", "b", "c") as opened:
        proposals = [log.propose(b"%d.%d" % (n, at)) for n in range(100) for at, (log, _) in enumerate(opened)]
        indices = await asyncio.gather(*proposals)
        await asyncio.gather(*(log.barrier() for log, _ in opened))
        first, second, third = (machine.applied for _, machine in opened)
    assert first == second == third
    assert sorted(indices) == [index for index, _ in first] == list(range(1, 301))


async def test_a_barrier_sees_what_another_replica_committed(server: Etcd, prefix: str) -> None:
    async with replicas(server, prefix, "a", "b") as ((one, _), (other, machine)):
        for n in range(50):
            await one.propose(b"%d" % n)
            await other.barrier()
            assert machine.data[-1] == b"%d" % n


async def test_one_leads_and_the_next_takes_over_at_once_when_it_stops(server: Etcd, prefix: str) -> None:
    async with replicas(server, prefix, "b") as [(second, _)], replicas(server, prefix, "a") as [(late, _)]:
        assert second.is_leader()
        assert not late.is_leader()
        with pytest.raises(Unavailable, match="leads no more"):
            await late.propose(b"x", leading=True)
        assert await late.propose(b"from a follower") == 1
        assert await second.propose(b"from the leader", leading=True) == 2
    async with replicas(server, prefix, "a", "b") as ((first, _), (second, machine)):
        assert first.is_leader()
        async with asyncio.timeout(5):
            await first._running().election.resign()
            await second.leadership(True)
            await second.propose(b"now me", leading=True)
        assert machine.data[-1] == b"now me"


async def test_a_member_that_comes_back_after_a_crash_need_not_wait_for_its_own_lease(
    server: Etcd, prefix: str, client: Client
) -> None:
    lease = await client.grant(600)
    former = Keys(prefix).election + b"%016x" % lease.id
    await client.txn([], [put(former, b"a", lease.id)])
    async with replicas(server, prefix, "a") as [(log, _)]:
        assert log.is_leader()
        assert former not in await names(client, Keys(prefix))


async def test_writes_of_a_leader_whose_key_is_gone_do_not_count(server: Etcd, prefix: str, client: Client) -> None:
    keys = Keys(prefix)
    async with replicas(server, prefix, "a") as [(log, machine)]:
        await log.propose(b"before", leading=True)
        await client.txn([], [delete(keys.election, after(keys.election))])
        with pytest.raises(Unavailable, match="leads no more"):
            await log.propose(b"after", leading=True)
        async with asyncio.timeout(10):
            await log.leadership(False)
            await log.leadership(True)  # it stood anew
        await log.propose(b"again", leading=True)
        assert machine.data == [b"before", b"again"]


async def test_managers_enter_themselves_and_are_taken_out_by_the_leader(server: Etcd, prefix: str) -> None:
    async with replicas(server, prefix, "a") as [(log, _)]:
        async with replicas(server, prefix, "b", "c") as ((other, _), (third, _)):
            await eventually(lambda: [m.id for m in log.members() if m.reachable] == ["a", "b", "c"])
            assert [m.id for m in log.members() if m.leader] == ["a"]
            with pytest.raises(Unavailable, match="does not lead"):
                await other.remove("c")
            await log.remove("c")
            await eventually(lambda: [m.id for m in log.members()] == ["a", "b"])
            await third.barrier()  # it may read on, until it is told to go
            with pytest.raises(Unavailable, match="leads no more"):
                await log.remove("a")
            async with asyncio.timeout(5):
                await other.leadership(True)
            await other.remove("a")
            assert not third.is_leader()
            await other.add("a", "10.0.0.1:2377")
            await eventually(
                lambda: [m.address for m in other.members() if m.id == "a" and m.reachable] == ["10.0.0.1:2377"]
            )
        async with asyncio.timeout(5):
            await log.leadership(True)
        await eventually(lambda: [m.reachable for m in log.members() if m.id == "b"] == [False])


async def test_an_entry_larger_than_a_request_is_split(server: Etcd, prefix: str) -> None:
    large = bytes(range(256)) * (5 << 12) + b"end"  # 5 MiB
    async with replicas(server, prefix, "a", "b") as ((one, mine), (other, theirs)):
        assert await one.propose(b"small") == 1
        assert await one.propose(large) == 2
        await other.barrier()
        assert mine.data == theirs.data == [b"small", large]
    async with replicas(server, prefix, "c") as [(_, again)]:
        assert again.data == [b"small", large]


async def test_parts_without_their_entry_count_for_nothing_and_go(
    server: Etcd, prefix: str, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = Keys(prefix)
    async with replicas(server, prefix, "a", snapshot_every=5) as [(log, machine)]:
        await log.propose(b"x")

        class Crash(Exception): ...

        async def crash(compare: list[Op], success: list[Op], failure: object = ()) -> None:
            raise Unavailable("crash")

        proposing = log._running().proposer
        real = proposing._client
        async with Client(server.urls) as dying:
            txn, sent = dying.txn, 0

            async def some(compare: list[Op], success: list[Op], failure: list[Op] = []) -> object:  # noqa: B006
                nonlocal sent
                sent += 1
                return await (txn if sent <= 2 else crash)(compare, success, failure)  # type: ignore[operator]

            monkeypatch.setattr(dying, "txn", some)
            proposing._client = dying
            with pytest.raises(Unavailable, match="crash"):
                await log.propose(b"y" * (3 << 20))
            proposing._client = real
        left = await client.range(keys.parts, after(keys.parts))
        assert len(left.kvs) == 2
        assert machine.data == [b"x"]
        for n in range(30):
            await log.propose(b"%d" % n)
        await eventually(lambda: log._running().compactor.taken >= 2)
        assert not (await client.range(keys.parts, after(keys.parts))).kvs
        assert len(machine.data) == 31


async def test_snapshots_delete_what_they_stand_for(server: Etcd, prefix: str, client: Client) -> None:
    keys = Keys(prefix)
    async with replicas(server, prefix, "a", snapshot_every=10) as [(log, machine)]:
        for n in range(200):
            await log.propose(b"%d" % n)
        await eventually(lambda: log._running().compactor.taken >= 5)
        frames = await client.range(keys.entries, after(keys.entries))
        assert len(frames.kvs) < 100
        ids = {kv.key.split(b"/")[-2] for kv in (await client.range(keys.snapshots, after(keys.snapshots))).kvs}
        assert len(ids) <= 2
    async with replicas(server, prefix, "b") as [(_, again)]:
        assert again.applied == machine.applied
        assert again.restored


async def test_a_large_state_is_read_in_pages(server: Etcd, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the gateway carries 4 MiB at most, as those of some releases do."""
    large = b"x" * (3 << 20)
    async with replicas(server, prefix, "a", snapshot_every=8) as [(log, machine)]:
        for n in range(8):
            await log.propose(b"%d" % n + large)
        await eventually(lambda: log._running().compactor.taken > 0)
        await log.propose(b"last" + large)
    real, refused = Client._once, 0

    async def narrow(self: Client, url: str, data: bytes, kind: type) -> object:
        nonlocal refused
        answer = await real(self, url, data, kind)
        if isinstance(answer, Range) and sum(len(kv.value) for kv in answer.kvs) > 4 << 20:
            refused += 1
            raise client_module._failure(b'{"code": 8, "error": "grpc: received message larger than max (5 vs. 4)"}')
        return answer

    monkeypatch.setattr(Client, "_once", narrow)
    async with replicas(server, prefix, "b") as [(_, again)]:
        assert again.applied == machine.applied
        assert again.restored
    assert refused


async def test_a_txn_that_is_sent_twice_counts_once(server: Etcd, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection breaks after etcd took the request: it is sent again, also long after."""
    async with replicas(server, prefix, "a", "b", snapshot_every=7) as ((log, machine), (other, _)):
        sending = log._running().proposer._client
        real, requests = sending._once, []

        async def twice(url: str, data: bytes, kind: type) -> object:
            if url.endswith("/txn"):
                requests.append((url, data, kind))
                await real(url, data, kind)
            return await real(url, data, kind)

        monkeypatch.setattr(sending, "_once", twice)
        for n in range(40):
            assert await log.propose(b"%d" % n) == n + 1
        for request in requests:
            await real(*request)
        await other.barrier()
        await log.barrier()
        assert machine.data == [b"%d" % n for n in range(40)]


async def test_clusters_of_other_prefixes_do_not_meet(server: Etcd, prefix: str) -> None:
    prefixes = [prefix, prefix + "/log", prefix + "2", prefix + "/log/entry"]
    async with AsyncExitStack() as stack:
        opened = []
        for each in prefixes:
            opened += await stack.enter_async_context(replicas(server, each, "a", snapshot_every=5))
        for n in range(40):
            await asyncio.gather(
                *(log.propose(f"{p} {n}".encode()) for (log, _), p in zip(opened, prefixes, strict=True))
            )
        for (log, machine), each in zip(opened, prefixes, strict=True):
            assert log.is_leader()
            assert machine.data == [f"{each} {n}".encode() for n in range(40)]


async def test_a_watch_that_etcd_compacted_away_goes_on_without_a_gap(
    server: Etcd, prefix: str, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replica sleeps; the others write, snapshot, and etcd forgets its history: with entries left, and with none."""
    async with replicas(server, prefix, "a", "b", snapshot_every=20) as ((log, machine), (sleeper, slow)):
        following = sleeper._running().barriers._follower
        real = following._client.watch
        for count in (5, 100):
            monkeypatch.setattr(following._client, "watch", _nothing)
            following.watch_again()
            await eventually(lambda: following._patience is None)
            for n in range(count):
                await log.propose(b"%d %d" % (count, n))
            await asyncio.to_thread(server.members[0].compact)
            await asyncio.to_thread(server.members[0].defragment)
            assert len(slow.applied) < len(machine.applied)
            monkeypatch.setattr(following._client, "watch", real)
            await sleeper.barrier()
            assert slow.applied == machine.applied
        assert slow.restored


async def _nothing(*args: object, **options: object) -> AsyncIterator[None]:
    raise Unavailable("asleep")
    yield


async def test_an_etcd_that_went_back_in_time_is_refused_in_a_sentence(prefix: str) -> None:
    with (
        etcd() as server,
        pytest.raises(ShoalError, match=r"was it made anew or restored|lost changes or was restored"),
    ):
        await _live_through(server, prefix)


async def _live_through(server: Etcd, prefix: str) -> None:
    async with replicas(server, prefix, "a") as [(log, _)]:
        await log.propose(b"x")
        await asyncio.to_thread(_make_anew, server)
        async with asyncio.timeout(20):
            await asyncio.get_running_loop().create_future()


def _make_anew(server: Etcd) -> None:
    server.members[0].wipe()
    server.start()


async def test_etcd_over_tls_wants_our_certificate(tmp_path: Path) -> None:
    ca = Authority(tmp_path / "ca")
    cert, key = ca.issue("etcd", use="both")  # etcd's gateway is a client of etcd
    mine, mine_key = ca.issue("node", use="client")
    flags = ("--cert-file", str(cert), "--key-file", str(key), "--client-cert-auth", "--trusted-ca-file", str(ca.file))
    with etcd(1, *flags, scheme="https") as server:
        store = "etcd://" + server.urls[0].removeprefix("https://")
        trusted = {"store_ca": str(ca.file), "store_cert": str(mine), "store_key": str(mine_key)}
        context = ssl.create_default_context(cafile=str(ca.file))
        context.load_cert_chain(mine, mine_key)
        until(lambda: server.members[0].healthy(context), "etcd answers")
        machine = Recorder()
        log = from_settings(Settings(store=store, **trusted), "a")
        async with log.run(machine):
            await log.propose(b"x", leading=True)
        assert machine.data == [b"x"]
        nameless = ssl.create_default_context(cafile=str(ca.file))
        stranger = EtcdLog(server.urls, "/shoal", "b", context=nameless, options=Options(patience=1))
        with pytest.raises(Unavailable, match="no member of etcd"):
            async with stranger.run(Recorder()):
                pass
    with pytest.raises(InvalidArgument, match="certificates for etcd cannot be used"):
        from_settings(Settings(store="etcd://a:1", store_ca=str(mine_key)), "a")


async def test_many_proposals_go_into_few_txns(server: Etcd, prefix: str, client: Client) -> None:
    async with replicas(server, prefix, "a") as [(log, machine)]:
        await asyncio.gather(*(log.propose(b"%d" % n) for n in range(3000)))
        frames = await client.range(Keys(prefix).entries, after(Keys(prefix).entries))
    assert len(machine.data) == 3000
    assert len(frames.kvs) < 100
    assert proposer.FRAME_ENTRIES > 100
