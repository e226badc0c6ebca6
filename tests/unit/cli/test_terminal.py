"""Frames, detach keys, switches, and the pump between streams."""

from __future__ import annotations

import os
import socket
import threading

import click
import pytest

from cli.api.connection import Connection
from cli.commands.service.logs import parse_details
from cli.endpoint import Endpoint
from cli.errors import CliError
from cli.flags.switches import take
from cli.terminal.frames import Splitter
from cli.terminal.keys import Watch, parse_keys
from cli.terminal.pump import Pump
from tests.unit.cli.fake import frame

STREAM = frame(1, b"out") + frame(2, b"error") + frame(1, b"")


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_frames_in_any_pieces(size: int) -> None:
    splitter = Splitter()
    found = {1: b"", 2: b""}
    for start in range(0, len(STREAM), size):
        for stream, payload in splitter.feed(STREAM[start : start + size]):
            found[stream] += payload
    assert found == {1: b"out", 2: b"error"}


def test_what_is_no_frame() -> None:
    with pytest.raises(CliError, match="not multiplexed"):
        list(Splitter().feed(b"plain text"))


def test_detach_keys() -> None:
    assert parse_keys("ctrl-p,ctrl-q") == b"\x10\x11"
    assert parse_keys("a,ctrl-@,ctrl-[") == b"a\0\x1b"
    for bad in ("", "ctrl-", "ctrl-1", "ab", "a,,b"):
        with pytest.raises(ValueError, match="invalid detach keys"):
            parse_keys(bad)
    watch = Watch(b"\x10\x11")
    watch.typed(b"x\x10")
    assert not watch.matched
    watch.typed(b"\x11")
    assert watch.matched
    watch.typed(b"y")
    assert not watch.matched


OPTIONS = [
    click.Option(["-d", "--detach"], is_flag=True),
    click.Option(["-i"], is_flag=True),
    click.Option(["-n", "--name"]),
]


@pytest.mark.parametrize(
    ("args", "interspersed", "rest", "given"),
    [
        ("--detach=false img", False, ["img"], {"detach": False}),
        ("-d=1 -i=f", False, [], {"detach": True, "i": False}),
        ("--name --detach=false img", False, ["--name", "--detach=false", "img"], {}),
        ("-in --detach=false", False, ["-in", "--detach=false"], {}),
        ("-nx --detach=false", False, ["-nx"], {"detach": False}),
        ("img --detach=false", False, ["img", "--detach=false"], {}),
        ("img --detach=false", True, ["img"], {"detach": False}),
        ("-- --detach=false", True, ["--", "--detach=false"], {}),
        ("--name=a=b --detach=T", False, ["--name=a=b"], {"detach": True}),
    ],
)
def test_switches_with_values(args: str, interspersed: bool, rest: list[str], given: dict[str, bool]) -> None:
    assert take(args.split(), OPTIONS, interspersed) == (rest, given)


def test_the_pump_moves_both_ways(capfd: pytest.CaptureFixture[str]) -> None:
    ours, theirs = socket.socketpair()
    read, write = os.pipe()
    received: list[bytes] = []

    def daemon() -> None:
        while data := theirs.recv(65536):
            received.append(data)
        theirs.sendall(frame(1, b"got all") + frame(2, b"bye"))
        theirs.close()

    thread = threading.Thread(target=daemon)
    thread.start()
    feeder = threading.Thread(target=lambda: (os.write(write, b"x" * 200_000), os.close(write)))
    feeder.start()
    Pump(Connection(ours, Endpoint("unix:///x", path="/x")), stdin=read, multiplexed=True).run()
    feeder.join()
    thread.join()
    os.close(read)
    assert len(b"".join(received)) == 200_000
    assert capfd.readouterr() == ("got all", "bye")


def test_details_of_a_service_log() -> None:
    assert parse_details("a=1,b=x%2Cy%3Dz,c=") == {"a": "1", "b": "x,y=z", "c": ""}
