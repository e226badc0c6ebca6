"""Groups of hosts, and faults as nftables rules and tc commands."""

from __future__ import annotations

import pytest

from examples.lab.layout import Blueprint, LabError
from examples.lab.links import Fault, Faults, Link, between, members, parse_delay, parse_rate

HOSTS = Blueprint(managers=2, workers=2).hosts()
AB, BA = Link("manager1", "worker1"), Link("worker1", "manager1")


def test_members() -> None:
    assert members(HOSTS, "all") == ["manager1", "manager2", "worker1", "worker2"]
    assert members(HOSTS, "worker2,managers,manager1") == ["worker2", "manager1", "manager2"]
    with pytest.raises(LabError, match="no host 'x' in this lab"):
        members(HOSTS, "manager1,x")


def test_between() -> None:
    assert between(HOSTS, "manager1", "worker1") == [AB, BA]
    assert between(HOSTS, "manager1", "worker1", one_way=True) == [AB]
    assert between(HOSTS, "managers", one_way=True) == [
        Link(f"manager{m}", f"worker{w}") for m in (1, 2) for w in (1, 2)
    ]
    assert between(HOSTS, "managers", "managers") == [Link("manager1", "manager2"), Link("manager2", "manager1")]
    with pytest.raises(LabError, match="no link"):
        between(HOSTS, "worker1", "worker1")
    with pytest.raises(LabError, match="no link"):
        between(HOSTS, "all")


def test_faults_add_up_and_heal() -> None:
    faults = Faults()
    faults.set([AB, BA], cut=True)
    faults.set([AB], drop=5.0)
    assert faults.on(AB) == Fault(cut=True, drop=5.0)
    faults.set([AB, BA], cut=False)
    assert faults.entries == [(AB, Fault(drop=5.0))]
    faults.heal([AB])
    assert faults.entries == []


def test_ruleset() -> None:
    faults = Faults()
    assert "drop" not in faults.ruleset(HOSTS)
    faults.set([AB, BA], cut=True)
    faults.set([Link("manager2", "worker2")], drop=12.5)
    faults.set([AB], rate=1_000_000)
    assert faults.ruleset(HOSTS).splitlines()[:-4] == [
        "table bridge lab",
        "delete table bridge lab",
        "table bridge lab {",
        "  chain links {",
        "    type filter hook forward priority 0; policy accept;",
        '    iifname . oifname { "manager1" . "worker1", "worker1" . "manager1" } drop',
        '    iifname . oifname { "manager2" . "worker2" } numgen random mod 100000 < 12500 drop',
        '    meta priority set iifname . oifname map { "manager1" . "worker1" : 1:1 }',
        "  }",
        "}",
    ]


def test_shaping_takes_away_and_gives_anew() -> None:
    faults = Faults()
    faults.set([Link("worker2", "manager1")], rate=64000)
    assert faults.shaping(HOSTS).splitlines() == [
        "qdisc del dev manager1 root",
        "qdisc add dev manager1 root handle 1: htb",
        "class add dev manager1 parent 1: classid 1:4 htb rate 64000bit quantum 20000",
        "qdisc add dev manager1 parent 1:4 pfifo limit 100",
        "qdisc del dev manager2 root",
        "qdisc del dev worker1 root",
        "qdisc del dev worker2 root",
    ]


def test_parse_rate() -> None:
    assert [parse_rate(text) for text in ("500kbit", "1.5mbit", "1gbit", "64000")] == [500_000, 1_500_000, 10**9, 64000]
    for text in ("fast", "", "0", "-1mbit", "10mb"):
        with pytest.raises(LabError, match="a rate looks like"):
            parse_rate(text)


def test_delayed_links_are_led_aside_unless_they_are_cut() -> None:
    faults = Faults()
    faults.set([AB, BA], delay=20.0)
    faults.set([AB], drop=1.0)
    faults.set([Link("manager1", "manager2")], delay=5.0, cut=True)
    assert faults.delayed()
    assert faults.ruleset(HOSTS, ["manager1", "manager2"]).splitlines()[-7:] == [
        "table netdev lab {",
        "  chain manager1 {",
        '    type filter hook ingress device "manager1" priority 0; policy accept;',
        "    ether daddr 02:6c:61:62:00:65 numgen random mod 100000 < 1000 drop",
        '    ether daddr 02:6c:61:62:00:65 fwd to "delay0"',
        "  }",
        "}",
    ]


def test_parse_delay() -> None:
    assert [parse_delay(text) for text in ("30ms", "1.5s", "20", "0")] == [30.0, 1500.0, 20.0, 0.0]
    for text in ("", "long", "-1ms", "2h", "100s"):
        with pytest.raises(LabError, match="a delay looks like"):
            parse_delay(text)
