"""Printing lists: tables, templates, JSON and ids, by one definition of an object's columns.

A list command has `Columns`: field name → (header, function of the API's object). `--format` picks from these fields by
their names; the table shows the default ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from cli.show import table

Item = Any
Columns = Mapping[str, tuple[str, Callable[[Item], str]]]


class Row(Mapping[str, Any]):
    """An object as its columns, each computed when it is asked for; `.Label "key"` gives one label."""

    def __init__(self, columns: Columns, item: Item) -> None:
        self._columns = columns
        self.item = item

    def __getitem__(self, name: str) -> Any:
        if name == "Label":
            labels = self.item.get("Labels") or self.item.get("Spec", {}).get("Labels") or {}
            return lambda key: labels.get(key, "")
        return self._columns[name][1](self.item)

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)


def print_list(
    items: Sequence[Item],
    columns: Columns,
    default: Sequence[str],
    *,
    form: str = "",
    quiet: str = "",
    trunc: bool = True,
) -> None:
    """Print `items`: only the field `quiet` where it is named, else as `form` says ("", "table …", "json", a template)."""
    rows = [Row(columns, item) for item in items]
    if quiet and form in ("", "table"):
        for row in rows:
            print(row[quiet])
    elif form in ("", "table"):
        table.show([[columns[name][0] for name in default], *([row[n] for n in default] for row in rows)], trunc=trunc)
    elif form == "json":
        for row in rows:
            print(json.dumps(dict(row), ensure_ascii=False))
    else:
        _print_template(rows, columns, form, trunc)


def _label_title(key: str) -> str:
    return key.rpartition(".")[2].replace("-", " ").replace("_", " ")


def labels_text(labels: Mapping[str, str] | None) -> str:
    """Labels in one line: "a=1,b=2"."""
    return ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items()))


def _print_template(rows: Sequence[Row], columns: Columns, form: str, trunc: bool) -> None:
    from cli.template import Template

    text = form.replace("\\t", "\t").replace("\\n", "\n")
    if not form.startswith("table "):
        template = Template(text)
        for row in rows:
            print(template.render(row))
        return
    template = Template(text.removeprefix("table ").strip())
    titles = {name: title for name, (title, _) in columns.items()}
    header = template.render({**titles, "Label": _label_title})
    lines = [header.split("\t"), *(template.render(row).split("\t") for row in rows)]
    longest = max(len(line) for line in lines)
    table.show([[*line, *[""] * (longest - len(line))] for line in lines], trunc=trunc)
