"""Sizes, durations and numbers as Docker's users write them."""

from __future__ import annotations

import re

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgtp]?)(?:i?b)?", re.IGNORECASE)
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
_NANOSECONDS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}


def parse_bytes(text: str) -> int:
    """ "512m" → 536870912: powers of 1024; "-1" stays."""
    if text == "-1":
        return -1
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"invalid size {text!r}: write a number with b, k, m, g, t or p behind it, as 512m")
    return int(float(match[1]) * 1024 ** " kmgtp".index(match[2].lower() or " "))


def parse_duration(text: str) -> int:
    """Nanoseconds of a duration as Go writes it: "1h30m", "1.5s", "0"."""
    body = text.strip().removeprefix("+")
    if body == "0":
        return 0
    parts = _PART.findall(body)
    if not parts or "".join(number + unit for number, unit in parts) != body:
        raise ValueError(f"invalid duration {text!r}: write a number and a unit (ns, us, ms, s, m, h), as 1m30s")
    return sum(round(float(number) * _NANOSECONDS[unit]) for number, unit in parts)


def parse_cpus(text: str) -> int:
    """Billionths of a CPU: "1.5" → 1500000000."""
    try:
        cpus = round(float(text) * 10**9)
    except (ValueError, OverflowError):
        cpus = -1
    if cpus < 0:
        raise ValueError(f"invalid number of CPUs {text!r}: write a decimal, as 1.5")
    return cpus


def parse_uint(text: str) -> int:
    if not text.strip().isascii() or not text.strip().isdigit():
        raise ValueError(f"invalid number {text!r}: a whole number from 0 is needed")
    return int(text)
