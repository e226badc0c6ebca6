"""Tables, units, ports, usage and lists as text."""

from __future__ import annotations

import json

import pytest

from cli.parse.times import parse_moment, seconds
from cli.parse.units import parse_bytes, parse_cpus, parse_duration
from cli.show.listing import print_list
from cli.show.ports import ports_text
from cli.show.progress import bar, show_messages
from cli.show.table import render
from cli.show.units import ago, binary_size, ellipsis, nanoseconds, short_id, size, span
from cli.show.usage import usage


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), ("1", 1), ("1b", 1), ("2k", 2048), ("2KB", 2048), ("1.5MiB", 1572864), ("1 g", 1 << 30), ("-1", -1)],
)
def test_sizes_are_read(text: str, value: int) -> None:
    assert parse_bytes(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), ("1s", 10**9), ("1m30s", 90 * 10**9), ("1.5h", 5400 * 10**9), ("10ms", 10**7), ("3us", 3000)],
)
def test_durations_are_read(text: str, value: int) -> None:
    assert parse_duration(text) == value


@pytest.mark.parametrize("text", ["", "1", "s", "1x", "1s2", "-1s", "1 s"])
def test_bad_durations(text: str) -> None:
    with pytest.raises(ValueError, match="invalid duration"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["", "x", "-5", "nan", "inf"])
def test_bad_cpus(text: str) -> None:
    with pytest.raises(ValueError, match="invalid number of CPUs"):
        parse_cpus(text)


def test_moments() -> None:
    assert parse_moment("1700000000") == "1700000000"
    assert parse_moment("1h", now=10000.0) == "6400.000000000"
    assert float(parse_moment("2026-01-02T03:04:05Z")) == 1767323045.0
    assert seconds("2026-01-02T03:04:05.123456789Z") == pytest.approx(1767323045.123456789)
    assert seconds("0001-01-01T00:00:00Z") == 0.0
    with pytest.raises(ValueError, match="invalid time"):
        parse_moment("yesterday")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.5, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (121, "2 minutes"),
        (3600, "About an hour"),
        (47 * 3600, "47 hours"),
        (3 * 86400, "3 days"),
        (15 * 86400, "2 weeks"),
        (70 * 86400, "2 months"),
        (800 * 86400, "2 years"),
    ],
)
def test_spans(value: float, text: str) -> None:
    assert span(value) == text


def test_units() -> None:
    assert [size(0), size(999), size(1234567), size(1234567, 3)] == ["0B", "999B", "1.235MB", "1.23MB"]
    assert [binary_size(1 << 30), binary_size(1536)] == ["1GiB", "1.5KiB"]
    assert [nanoseconds(n) for n in (0, 10**6, 10**9, 90 * 10**9, 3600 * 10**9)] == [
        "0s",
        "1ms",
        "1s",
        "1m30s",
        "1h0m0s",
    ]
    assert ago(0) == "N/A"
    assert ago(100, now=160.5) == "About a minute ago"
    assert short_id("sha256:0123456789abcdef") == "0123456789ab"
    assert ellipsis("abcdef", 4) == "abc…"


def test_ports_are_gathered_into_ranges() -> None:
    ports = [
        {"PrivatePort": p, "PublicPort": p + 1000, "IP": ip, "Type": "tcp"}
        for p in (80, 81)
        for ip in ("0.0.0.0", "::")
    ]
    ports += [{"PrivatePort": 90, "Type": "udp"}, {"PrivatePort": 92, "Type": "udp"}]
    assert ports_text(ports) == "0.0.0.0:1080-1081->80-81/tcp, [::]:1080-1081->80-81/tcp, 90/udp, 92/udp"


def test_tables_fit_the_terminal() -> None:
    rows = [["ID", "COMMAND"], ["1", "x" * 60]]
    assert render(rows) == ["ID   COMMAND", f"1    {'x' * 60}"]
    assert render(rows, width=30) == ["ID   COMMAND", f"1    {'x' * 24}…"]
    assert render(rows, width=3)[1] == f"1    {'x' * 9}…"
    assert "\033[" not in "".join(render([["STATUS"], ["Up 2 hours"]]))
    assert render([["STATUS"], ["Up 2 hours"]], colour=True) == ["STATUS", "\033[32mUp 2 hours\033[0m"]


COLUMNS = {"ID": ("THE ID", lambda o: o["Id"][:2]), "Name": ("NAME", lambda o: o["Name"])}
OBJECTS = [{"Id": "abc", "Name": "one", "Labels": {"com.x.tier": "a"}}, {"Id": "def", "Name": "two"}]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "THE ID   NAME\nab       one\nde       two\n"),
        ({"quiet": "ID"}, "ab\nde\n"),
        ({"form": "{{.Name}}={{.ID}}"}, "one=ab\ntwo=de\n"),
        ({"form": "table {{.Name}}\\t{{.ID}}"}, "NAME   THE ID\none    ab\ntwo    de\n"),
        ({"form": 'table {{.Label "com.x.tier"}}'}, "tier\na\n\n"),
        ({"form": "{{json .}}"}, '{"ID":"ab","Name":"one"}\n{"ID":"de","Name":"two"}\n'),
    ],
)
def test_lists(options: dict[str, str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_list(OBJECTS, COLUMNS, ["ID", "Name"], **options)
    assert capsys.readouterr().out == expected


def test_lists_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    print_list(OBJECTS, COLUMNS, ["ID"], form="json")
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()][1] == {"ID": "de", "Name": "two"}


def test_usage_of_a_container() -> None:
    found = usage(
        {
            "id": "x",
            "name": "/web",
            "cpu_stats": {"cpu_usage": {"total_usage": 300}, "system_cpu_usage": 2000, "online_cpus": 2},
            "precpu_stats": {"cpu_usage": {"total_usage": 100}, "system_cpu_usage": 1000},
            "memory_stats": {"usage": 100, "limit": 400, "stats": {"inactive_file": 20}},
            "networks": {"eth0": {"rx_bytes": 1, "tx_bytes": 2}, "eth1": {"rx_bytes": 3, "tx_bytes": 4}},
            "blkio_stats": {"io_service_bytes_recursive": [{"op": "Read", "value": 5}, {"op": "write", "value": 6}]},
            "pids_stats": {"current": 7},
        }
    )
    assert (found.name, found.cpu, found.memory, found.memory_share) == ("web", 40.0, 80, 20.0)
    assert (found.received, found.sent, found.read, found.written, found.pids) == (4, 6, 5, 6, 7)
    assert usage({}).cpu == 0.0


def test_progress_of_bytes() -> None:
    assert bar(0, 0) == "0B"
    assert bar(50, 100) == f"[{'=' * 15}>{' ' * 14}]  50B/100B"
    assert bar(200, 100).startswith(f"[{'=' * 30}]")


def test_messages_of_the_daemon(capsys: pytest.CaptureFixture[str]) -> None:
    show_messages(
        [
            {"stream": "Loaded x\n"},
            {"status": "Loading", "id": "ab", "progressDetail": {"current": 1}},
            {"status": "done"},
        ]
    )
    assert capsys.readouterr().out == "Loaded x\ndone\n"
