"""From tokens to the syntax tree."""

from __future__ import annotations

from collections.abc import Sequence

from cli.template.errors import TemplateError
from cli.template.lexer import Token, pieces, unquote
from cli.template.nodes import Block, Call, Expression, Leave, Literal, Node, Path, Pipe, Show, Text

_BLOCKS = ("if", "with", "range")
_REFUSED = ("define", "template", "block")
_CONSTANTS = {"true": True, "false": False, "nil": None}


def parse(text: str) -> tuple[Node, ...]:
    """Raises TemplateError."""
    parts = [*pieces(text)]
    reader = _Nodes(parts)
    nodes, stop = reader.until(())
    assert not stop
    return nodes


class _Nodes:
    """Reads literal text and actions in order, blocks within blocks."""

    def __init__(self, parts: Sequence[tuple[str, list[Token] | None]]) -> None:
        self._parts = iter(parts)

    def until(self, stops: tuple[str, ...]) -> tuple[tuple[Node, ...], list[Token]]:
        """Nodes up to an action that starts with one of `stops`, and that action's tokens."""
        nodes: list[Node] = []
        for literal, tokens in self._parts:
            if literal:
                nodes.append(Text(literal))
            if not tokens:
                continue
            word = tokens[0].text if tokens[0].kind == "word" else ""
            if word in stops:
                return tuple(nodes), tokens
            nodes.append(self._node(word, tokens))
        if stops:
            raise TemplateError("unexpected end: an {{end}} is missing")
        return tuple(nodes), []

    def _node(self, word: str, tokens: list[Token]) -> Node:
        if word in _BLOCKS:
            return self._block(word, tokens[1:])
        if word in ("break", "continue"):
            return Leave(word)
        if word in ("end", "else"):
            raise TemplateError(f"unexpected {{{{{word}}}}}")
        if word in _REFUSED:
            raise TemplateError(f"{{{{{word}}}}} is not supported in formats")
        return Show(_pipeline(tokens))

    def _block(self, kind: str, tokens: list[Token]) -> Block:
        pipe = _pipeline(tokens)
        body, stop = self.until(("else", "end"))
        otherwise: tuple[Node, ...] = ()
        if stop[0].text == "else":
            if len(stop) > 1 and stop[1].text in ("if", "with"):
                otherwise = (self._block(stop[1].text, stop[2:]),)
            else:
                otherwise, _ = self.until(("end",))
        return Block(kind, pipe, body, otherwise)


def _pipeline(tokens: list[Token]) -> Pipe:
    reader = _Expressions(tokens)
    pipe = reader.pipe()
    if reader.rest():
        raise TemplateError(f"unexpected {reader.rest()[0].text!r}")
    return pipe


class _Expressions:
    """Reads the pipeline of one action."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0

    def rest(self) -> list[Token]:
        return self._tokens[self._at :]

    def pipe(self) -> Pipe:
        names, assigns = self._declaration()
        steps = [self._step()]
        while self._take("|"):
            steps.append(self._step())
        return Pipe(tuple(steps), names, assigns)

    def _declaration(self) -> tuple[tuple[str, ...], bool]:
        """`$a :=`, `$a, $b :=` or `$a =` at the front."""
        kinds = [(token.kind, token.text) for token in self.rest()[:4]]
        for length in (1, 3):
            head = kinds[: length + 1]
            if len(head) == length + 1 and head[-1][0] == "assign" and all(k == "variable" for k, _ in head[:-1:2]):
                if length == 3 and head[1][1] != ",":
                    break
                self._at += length + 1
                return tuple(text for _, text in head[:-1:2]), head[-1][1] == "="
        return (), False

    def _step(self) -> Expression:
        first = self._operand()
        arguments = []
        while self.rest() and not (self.rest()[0].kind == "mark" and self.rest()[0].text != "("):
            arguments.append(self._operand())
        if isinstance(first, Call):
            return first._replace(arguments=tuple(arguments))
        if not arguments:
            return first
        if isinstance(first, Path) and first.fields:
            return Call(first, tuple(arguments))
        raise TemplateError("only functions take arguments")

    def _operand(self) -> Expression:
        if not self.rest():
            raise TemplateError("an action lacks its value")
        token = self._tokens[self._at]
        self._at += 1
        if token.kind in ("string", "raw", "char"):
            return Literal(unquote(token))
        if token.kind == "number":
            return Literal(float(token.text) if any(c in token.text for c in ".eE") else int(token.text))
        if token.kind == "word":
            return Literal(_CONSTANTS[token.text]) if token.text in _CONSTANTS else Call(token.text, ())
        if token.text == "(":
            return self._parenthesis()
        if token.kind in ("dot", "field", "variable"):
            start = token.text if token.kind == "variable" else "."
            return Path(start, ((token.text[1:],) if token.kind == "field" else ()) + self._fields())
        raise TemplateError(f"unexpected {token.text!r}")

    def _parenthesis(self) -> Expression:
        inner = self.pipe()
        if not self._take(")"):
            raise TemplateError("a closing ')' is missing")
        fields = self._fields()
        return Path(inner, fields) if fields else inner

    def _fields(self) -> tuple[str, ...]:
        names = []
        while self.rest() and self.rest()[0].kind == "field" and not self.rest()[0].spaced:
            names.append(self.rest()[0].text[1:])
            self._at += 1
        return tuple(names)

    def _take(self, mark: str) -> bool:
        if self.rest() and self.rest()[0].kind == "mark" and self.rest()[0].text == mark:
            self._at += 1
            return True
        return False
