"""`shoal events`."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import click

from cli.flags.command import command
from cli.flags.shared import filter_option, filters_query, list_format_option
from cli.flags.types import MOMENT
from cli.session import Session


@command(examples=["shoal events --since 10m", "shoal events -f type=container -f event=die --format '{{json .}}'"])
@filter_option("type=container, event=die, container=web, label=key")
@list_format_option
@click.option("--since", type=MOMENT, help="From this time on: 2026-01-02T15:04:05Z, a UNIX time, or 42m ago")
@click.option("--until", type=MOMENT, help="End at this time")
@click.pass_obj
def events(session: Session, filters: dict[str, list[str]], form: str, since: str | None, until: str | None) -> None:
    show = _printer(form)
    query = {"since": since, "until": until, "filters": filters_query(filters)}
    with session.client.stream("GET", "/events", query=query) as response:
        for event in response.documents():
            print(show(event), flush=True)


def _printer(form: str) -> Any:
    if form == "json":
        return lambda event: json.dumps(event, ensure_ascii=False)
    if not form:
        return line
    from cli.template import Template

    return Template(form.replace("\\t", "\t").replace("\\n", "\n")).render


def line(event: dict[str, Any]) -> str:
    """One event as a line: time, kind, action, id, attributes."""
    actor = event.get("Actor") or {}
    attributes = ", ".join(f"{k}={v}" for k, v in sorted((actor.get("Attributes") or {}).items()))
    text = f"{_moment(event)} {event.get('Type', '')} {event.get('Action', '')} {actor.get('ID', '')}"
    return f"{text} ({attributes})" if attributes else text


def _moment(event: dict[str, Any]) -> str:
    whole, rest = divmod(event.get("timeNano") or event.get("time", 0) * 10**9, 10**9)
    local = datetime.fromtimestamp(whole).astimezone()
    zone = local.strftime("%z")
    return f"{local.strftime('%Y-%m-%dT%H:%M:%S')}.{rest:09d}{zone[:3]}:{zone[3:]}"
