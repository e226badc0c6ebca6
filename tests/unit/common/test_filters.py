"""Filters of list endpoints."""

from __future__ import annotations

import pytest

from common.errors import InvalidArgument
from common.filters import Filters


def test_both_of_dockers_forms_are_read() -> None:
    for text in ('{"label": ["a", "b=1"]}', '{"label": {"a": true, "b=1": true, "c": false}}'):
        assert Filters.parse(text, ["label"]).values("label") == ("a", "b=1")


@pytest.mark.parametrize("text", ["{", "[]", '{"label": 3}', '{"colour": ["red"]}'])
def test_bad_filters_are_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        Filters.parse(text, ["label"])


def test_labels_need_every_value_and_label_not_forbids() -> None:
    labels = {"a": "1", "b": ""}
    assert Filters({"label": ["a", "b"]}).labels(labels)
    assert not Filters({"label": ["a=2"]}).labels(labels)
    assert not Filters({"label!": ["a"]}).labels(labels)


def test_absent_filters_let_everything_through() -> None:
    filters = Filters.parse(None, [])
    assert filters.exact("type", "x")
    assert filters.prefix("id", "x")
    assert filters.match("name", "x")
    assert filters.flag("dangling") is None


def test_names_are_patterns_and_ids_prefixes() -> None:
    filters = Filters({"name": ["^we", "["], "id": ["ab"], "dangling": ["1"]})
    assert filters.match("name", "web")
    assert not filters.match("name", "db")
    assert filters.match("name", "a[b")
    assert filters.prefix("id", "abc")
    assert not filters.prefix("id", "cab")
    assert filters.flag("dangling") is True
