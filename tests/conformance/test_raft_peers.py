"""The real transport between two members: who may speak, and what happens on bad lines."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from common.errors import Unavailable
from common.identity.tls import SERVER_NAME, Tls
from manager.raft.core import Config, InstallSnapshot, Message, Snapshot, encode_message
from manager.raft.core.messages import Heartbeat
from manager.raft.peers import Peers, line
from manager.raft.peers.wire import OLDEST, PROTOCOL, STREAM, Hello, decode_welcome, encode, pack
from tests.harness.identities import Root
from tests.harness.raft_group import TlsNetwork
from tests.harness.wait import eventually


def beat(number: int, sender: str = "a", to: str = "b") -> Heartbeat:
    return Heartbeat(sender, to, number, 0)


class Pair:
    """a and b with births 1 and 2; `got` is what arrived at each."""

    def __init__(self, network: TlsNetwork) -> None:
        self.network = network
        self.got: dict[str, list[Message]] = {"a": [], "b": []}
        self.lost: list[str] = []  # of whom b lost sight
        addresses = {id: network.address(id) for id in "ab"}
        self.config = Config(frozenset("ab"), addresses=addresses, births={"a": "1", "b": "2"})
        self.a, self.b = network.transport("a"), network.transport("b")

    async def connected(self) -> None:
        self.a.send(beat(0))
        await eventually(lambda: self.got["b"] != [])
        self.got["b"].clear()


@pytest.fixture
async def network() -> AsyncIterator[TlsNetwork]:
    made = TlsNetwork("a", "b")
    async with made.run():
        yield made


@pytest.fixture
async def pair(network: TlsNetwork) -> AsyncIterator[Pair]:
    made = Pair(network)
    async with (
        made.a.run("1", made.got["a"].append, [].append),
        made.b.run("2", made.got["b"].append, made.lost.append),
    ):
        made.a.members(made.config)
        yield made


async def test_messages_arrive_in_order(pair: Pair) -> None:
    for number in range(500):
        pair.a.send(beat(number))
    await eventually(lambda: len(pair.got["b"]) == 500)
    assert pair.got["b"] == [beat(number) for number in range(500)]


async def test_whoever_was_greeted_can_answer_a_stranger(pair: Pair) -> None:
    await pair.connected()
    pair.b.send(beat(1, "b", "a"))  # b was never told of any member
    await eventually(lambda: pair.got["a"] == [beat(1, "b", "a")])


async def test_a_configuration_of_long_ago_says_nothing_of_who_is_heard_now(pair: Pair) -> None:
    await pair.connected()
    for addresses, births in (({"a": ""}, {}), (pair.config.addresses, {"a": "an older life"})):
        pair.b.members(Config(pair.config.voters, addresses=addresses, births=births))
        pair.got["a"].clear()
        pair.b.send(beat(1, "b", "a"))
        await eventually(lambda: pair.got["a"] == [beat(1, "b", "a")])


async def test_messages_for_another_life_are_refused(pair: Pair) -> None:
    births = {"a": "1", "b": "an older life"}
    pair.a.members(Config(pair.config.voters, addresses=pair.config.addresses, births=births))
    pair.a.send(beat(1))
    await eventually(lambda: pair.b.counts.refused > 0)
    pair.a.members(pair.config)
    pair.a.send(beat(2))
    await eventually(lambda: beat(2) in pair.got["b"])
    assert beat(1) not in pair.got["b"]


async def test_a_line_that_breaks_is_made_anew(pair: Pair) -> None:
    await pair.connected()
    for stream in list(pair.b._streams):
        await stream.close()
    assert pair.lost == ["a"]

    def again() -> bool:
        pair.a.send(beat(1))
        return pair.got["b"] != []

    await eventually(again)


async def test_a_queue_is_bounded_and_drops_the_oldest(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "LIMIT", 10)
    await pair.connected()
    for number in range(30):
        pair.a.send(beat(number))  # no turn of the loop in between
    await eventually(lambda: len(pair.got["b"]) == 10)
    assert pair.got["b"] == [beat(number) for number in range(20, 30)]
    assert pair.a.counts.dropped == 20


def snapshot() -> InstallSnapshot:
    return InstallSnapshot("a", "b", 3, Snapshot(7, 2, Config(frozenset("ab"))))


async def test_heartbeats_do_not_wait_behind_a_snapshot(pair: Pair) -> None:
    await pair.connected()
    begun, proceed = threading.Event(), threading.Event()

    def data() -> Iterator[bytes]:
        yield b"x" * 3_000_000
        begun.set()
        assert proceed.wait(10)
        yield b"y"

    sending = asyncio.ensure_future(pair.a.send_snapshot(snapshot(), data()))
    await eventually(begun.is_set)
    pair.a.send(beat(1))
    await eventually(lambda: pair.got["b"] == [beat(1)])
    proceed.set()
    await sending
    arrived = pair.got["b"][1]
    assert isinstance(arrived, InstallSnapshot)
    assert arrived.snapshot.data == b"x" * 3_000_000 + b"y"
    assert (arrived.snapshot.index, arrived.snapshot.config.voters) == (7, frozenset("ab"))


async def test_a_snapshot_that_breaks_off_does_not_arrive(pair: Pair) -> None:
    def data() -> Iterator[bytes]:
        yield b"x" * 3_000_000
        raise OSError("the disk fails")

    with pytest.raises(Unavailable, match="did not reach b"):
        await pair.a.send_snapshot(snapshot(), data())
    await pair.connected()
    assert pair.got["b"] == []


async def test_a_snapshot_for_nobody_is_told_so(pair: Pair) -> None:
    pair.a.members(Config(frozenset("ab"), addresses={"b": "127.0.0.1:9"}))
    with pytest.raises(Unavailable, match=r"did not reach b at 127.0.0.1:9"):
        await pair.a.send_snapshot(snapshot(), iter([b"x"]))


# -- by hand


async def speak(network: TlsNetwork, hello: Hello, *frames: bytes, tls: Tls | None = None) -> aiohttp.WSMessage:
    """Say `hello` and `frames` to b as `a`; what comes back after the welcome, or in its place."""
    context = (tls or network.tls["a"]).client
    url = f"https://{network.address('b')}{STREAM}"
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, ssl=context, server_hostname=SERVER_NAME) as socket,
    ):
        await socket.send_bytes(encode(hello))
        answer = await socket.receive()
        if answer.type is aiohttp.WSMsgType.BINARY:
            assert decode_welcome(answer.data).protocol == PROTOCOL
            for frame in frames:
                await socket.send_bytes(frame)
            answer = await socket.receive()
        return answer


HELLO = Hello("a", "1", "", "b", "2")


async def test_nobody_speaks_in_anothers_name(pair: Pair) -> None:
    answer = await speak(pair.network, Hello("c", "1", "", "b", "2"))
    assert (answer.data, answer.extra) == (4403, "the certificate is not that of c")
    answer = await speak(pair.network, HELLO, pack([encode_message(beat(1, "c"))]))
    assert (answer.data, answer.extra) == (4403, "a sends messages in the name of c")
    assert pair.got["b"] == []


async def test_an_unknown_root_ends_in_the_handshake(pair: Pair) -> None:
    stranger = Tls(Root("stranger").identity("a", roots=[pair.network.root.pem]))
    with pytest.raises((aiohttp.ClientError, OSError)):
        await speak(pair.network, HELLO, tls=stranger)


async def test_newer_and_older_protocols(pair: Pair) -> None:
    """The highest that both know is spoken; who knows none of ours is told to upgrade step by step."""
    unknown = encode(["Gossip", "a", "b", 3, {"what": "news"}])
    newer = Hello("a", "1", "", "b", "2", protocol=PROTOCOL + 3, oldest=OLDEST)
    asking = asyncio.ensure_future(speak(pair.network, newer, pack([unknown, encode_message(beat(1))])))
    await eventually(lambda: pair.got["b"] == [beat(1)])
    assert pair.b.counts.unknown == 1
    asking.cancel()
    answer = await speak(pair.network, Hello("a", "1", "", "b", "2", protocol=9, oldest=PROTOCOL + 1))
    assert answer.extra is not None
    assert "upgrade step by step" in answer.extra


async def test_garbage_ends_the_stream(pair: Pair) -> None:
    answer = await speak(pair.network, HELLO, b"garbage")
    assert answer.type is aiohttp.WSMsgType.CLOSE
    assert pair.b.counts.refused == 1


async def test_a_member_that_does_not_run_answers_so(network: TlsNetwork) -> None:
    peers: Peers = network.transport("b")
    assert peers.counts.refused == 0
    with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
        await speak(network, HELLO)
