"""Sizes, ages and names in words, as Docker's users are used to read them."""

from __future__ import annotations

import time

from cli.parse.times import seconds

_DECIMAL = ("B", "kB", "MB", "GB", "TB", "PB")
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def size(count: float, digits: int = 4) -> str:
    """Powers of 1000, as disk space is shown: 1234567 → "1.235MB"."""
    return _scaled(count, 1000, _DECIMAL, digits)


def binary_size(count: float, digits: int = 4) -> str:
    """Powers of 1024, as memory is shown: 1073741824 → "1GiB"."""
    return _scaled(count, 1024, _BINARY, digits)


def _scaled(count: float, base: int, names: tuple[str, ...], digits: int) -> str:
    step = 0
    while count >= base and step < len(names) - 1:
        count /= base
        step += 1
    return f"{count:.{digits}g}{names[step]}"


def span(duration: float) -> str:
    """A length of time in seconds, roughly: "About a minute", "3 weeks"."""
    if duration < 1:
        return "Less than a second"
    if duration < _MINUTE:
        return "1 second" if duration < 2 else f"{int(duration)} seconds"
    if duration < _HOUR:
        return "About a minute" if duration < 2 * _MINUTE else f"{int(duration // _MINUTE)} minutes"
    hours = int(duration / _HOUR + 0.5)
    if hours < 48:
        return "About an hour" if hours == 1 else f"{hours} hours"
    return _long_span(hours, duration)


def _long_span(hours: int, duration: float) -> str:
    for limit, unit, name in ((14, 1, "days"), (60, 7, "weeks"), (730, 30, "months")):
        if hours < 24 * limit:
            return f"{hours // 24 // unit} {name}"
    return f"{int(duration // _DAY // 365)} years"


def ago(moment: float, now: float | None = None) -> str:
    """A UNIX time as its distance: "5 minutes ago"; "N/A" for none."""
    if not moment:
        return "N/A"
    return f"{span((time.time() if now is None else now) - moment)} ago"


def ago_text(timestamp: str | None) -> str:
    return ago(seconds(timestamp))


def short_id(text: str, length: int = 12) -> str:
    return text.partition(":")[2][:length] if ":" in text else text[:length]


def nanoseconds(count: int) -> str:
    """A duration in Go's form: 90000000000 → "1m30s"."""
    if not count:
        return "0s"
    whole, rest = divmod(count, 10**9)
    if not whole:
        name, unit = next((n, u) for n, u in (("ms", 10**6), ("µs", 10**3), ("ns", 1)) if rest >= u)
        return f"{rest / unit:g}{name}"
    hours, minutes, left = whole // _HOUR, whole % _HOUR // _MINUTE, whole % _MINUTE + rest / 10**9
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + f"{left:g}s"


def ellipsis(text: str, width: int) -> str:
    """At most `width` characters, the last one … where something was cut."""
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…"
