"""Running a syntax tree over a value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cli.template.errors import TemplateError
from cli.template.functions import call, method
from cli.template.nodes import Block, Call, Expression, Leave, Literal, Node, Path, Pipe, Show, Text
from cli.template.values import Missing, lookup, show, truth, type_name

_NOTHING = object()


class Scope:
    """Variables, inner over outer."""

    def __init__(self, names: dict[str, Any], outer: Scope | None = None) -> None:
        self.names = names
        self._outer = outer

    def get(self, name: str) -> Any:
        return self._owner(name).names[name]

    def set(self, name: str, value: Any) -> None:
        self._owner(name).names[name] = value

    def _owner(self, name: str) -> Scope:
        if name in self.names:
            return self
        if self._outer is None:
            raise TemplateError(f'undefined variable "{name}"')
        return self._outer._owner(name)


class _Left(Exception):
    """{{break}} or {{continue}} on its way to its loop."""

    def __init__(self, kind: str) -> None:
        self.kind = kind


def execute(nodes: tuple[Node, ...], dot: Any, scope: Scope, out: list[str]) -> None:
    """Append the output of `nodes` to `out`."""
    for node in nodes:
        if isinstance(node, Text):
            out.append(node.text)
        elif isinstance(node, Show):
            value = _pipe(node.pipe, dot, scope)
            if not node.pipe.declares:
                out.append(show(value))
        elif isinstance(node, Leave):
            raise _Left(node.kind)
        else:
            _block(node, dot, scope, out)


def _block(node: Block, dot: Any, scope: Scope, out: list[str]) -> None:
    inner = Scope({}, scope)
    if node.kind == "range":
        _range(node, dot, inner, out)
        return
    value = _pipe(node.pipe, dot, inner)
    chosen = node.body if truth(value) else node.otherwise
    execute(chosen, value if node.kind == "with" and truth(value) else dot, inner, out)


def _range(node: Block, dot: Any, scope: Scope, out: list[str]) -> None:
    items = _items(_pipe(node.pipe._replace(declares=()), dot, scope))
    if not items:
        execute(node.otherwise, dot, scope, out)
    names = node.pipe.declares
    for key, value in items:
        given = {names[0]: value} if len(names) == 1 else dict(zip(names, (key, value), strict=False))
        try:
            execute(node.body, value, Scope(given, scope), out)
        except _Left as left:
            if left.kind == "break":
                break


def _items(value: Any) -> list[tuple[Any, Any]]:
    if value is None or isinstance(value, Missing):
        return []
    if isinstance(value, Mapping):
        return sorted(value.items())
    if isinstance(value, (list, tuple)):
        return list(enumerate(value))
    if isinstance(value, int):
        return [(number, number) for number in range(value)]
    raise TemplateError(f"range can't iterate over a {type_name(value)}")


def _pipe(pipe: Pipe, dot: Any, scope: Scope) -> Any:
    value: Any = _NOTHING
    for step in pipe.steps:
        value = _evaluate(step, dot, scope, value)
    for name in pipe.declares:
        if pipe.assigns:
            scope.set(name, value)
        else:
            scope.names[name] = value
    return value


def _evaluate(node: Expression, dot: Any, scope: Scope, piped: Any = _NOTHING) -> Any:
    if isinstance(node, Call):
        arguments = [_evaluate(argument, dot, scope) for argument in node.arguments]
        arguments += [] if piped is _NOTHING else [piped]
        if isinstance(node.function, str):
            return call(node.function, arguments)
        return _method(node.function, arguments, dot, scope)
    if piped is not _NOTHING:
        raise TemplateError("only functions can stand behind '|'")
    if isinstance(node, Literal):
        return node.value
    return _pipe(node, dot, scope) if isinstance(node, Pipe) else _path(node, dot, scope)


def _path(node: Path, dot: Any, scope: Scope) -> Any:
    value = _start(node, dot, scope)
    for name in node.fields:
        value = lookup(value, name)
    return value


def _method(node: Path, arguments: list[Any], dot: Any, scope: Scope) -> Any:
    owner = _path(node._replace(fields=node.fields[:-1]), dot, scope)
    return method(owner, node.fields[-1], arguments)


def _start(node: Path, dot: Any, scope: Scope) -> Any:
    if isinstance(node.start, Pipe):
        return _pipe(node.start, dot, scope)
    return dot if node.start == "." else scope.get(node.start)
