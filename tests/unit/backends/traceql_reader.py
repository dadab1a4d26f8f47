"""Reads the part of TraceQL that framescope writes, as strictly as Tempo's own lexer does."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

CHUNK = 1024
_TOKEN = re.compile(
    r"""\s*(?:
      (?P<string>"(?:[^"\\]|\\.)*")
    | (?P<name>(?:span|resource)[.:](?:"(?:[^"\\]|\\["\\])*"|[^\s{}()=~!<>&|^,"])+)
    | (?P<duration>\d+ns)
    | (?P<word>[a-z_]+)
    | (?P<mark>&&|\|\||!=|>=|<=|[<=|,(){}])
    )""",
    re.VERBOSE,
)
_ESCAPE = re.compile(r'\\(?:u([0-9a-f]{4})|U([0-9a-f]{8})|(["\\]))')

Values = Mapping[str, Any]
Test = Callable[[Values], bool]


@dataclass(frozen=True)
class Comparison:
    name: str
    operator: str
    value: Any

    def holds(self, values: Values) -> bool:
        found = values.get(self.name)
        if self.operator == "!=":
            assert self.value is None
            return found is not None
        if found is None or isinstance(found, str) is not isinstance(self.value, str):
            return False
        return {"=": found == self.value, ">=": found >= self.value, "<": found < self.value}[self.operator]


@dataclass(frozen=True)
class Query:
    """``spansets``: each a conjunction of alternatives; a trace matches if it has spans for each."""

    spansets: Sequence[Sequence[Sequence[Comparison]]]
    selected: Sequence[str]
    most_recent: bool

    def matching(self, spans: Sequence[Values]) -> list[Values]:
        found: list[Values] = []
        for spanset in self.spansets:
            part = [one for one in spans if all(any(c.holds(one) for c in some) for some in spanset)]
            if not part:
                return []
            found += [one for one in part if one not in found]
        return found


def unquoted(literal: str) -> str:
    """What a Go string literal means. Only the escapes that are written may stand in it."""
    inner = literal[1:-1]
    assert inner.isascii() and inner.isprintable()
    assert "\\" not in _ESCAPE.sub("", inner)
    return _ESCAPE.sub(lambda m: m[3] or chr(int(m[1] or m[2], 16)), inner)


def read(text: str) -> Query:
    """The query; an assertion fails for text that is none, or that Tempo would lose a part of."""
    reader = _Reader(_tokens(text))
    query = reader.query()
    assert reader.at_end
    return query


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens, at = [], 0
    text = text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        assert match, text[at:]
        kind = match.lastgroup
        assert kind
        start, at = len(text[: match.start(kind)].encode()), match.end()
        size = len(match[kind].encode())
        # Tempo reads on from the next chunk while it looks at what follows a name, and loses it.
        assert kind == "string" or start // CHUNK == (start + size) // CHUNK
        tokens.append((kind, match[kind]))
    return tokens


class _Reader:
    def __init__(self, tokens: Sequence[tuple[str, str]]) -> None:
        self._tokens = list(tokens)

    @property
    def at_end(self) -> bool:
        return not self._tokens

    def _next(self, *expected: str) -> str:
        kind, text = self._tokens.pop(0)
        assert not expected or text in expected or kind in expected, (text, expected)
        return text

    def _is(self, text: str) -> bool:
        return bool(self._tokens) and self._tokens[0][1] == text

    def query(self) -> Query:
        spansets = self._spansets()
        selected: list[str] = []
        if self._is("|"):
            self._next("|"), self._next("select"), self._next("(")
            selected.append(_plain_name(self._next("name")))
            while self._is(","):
                self._next(",")
                selected.append(_plain_name(self._next("name")))
            self._next(")")
        recent = self._is("with")
        if recent:
            for text in ("with", "(", "most_recent", "=", "true", ")"):
                self._next(text)
        return Query(spansets, selected, recent)

    def _spansets(self) -> list[list[list[Comparison]]]:
        if not self._is("("):
            return [self._spanset()]
        self._next("(")
        found = self._spansets()
        while self._is("&&"):
            self._next("&&")
            found += self._spansets()
        self._next(")")
        return found

    def _spanset(self) -> list[list[Comparison]]:
        self._next("{")
        found = [self._alternatives()]
        while self._is("&&"):
            self._next("&&")
            found.append(self._alternatives())
        self._next("}")
        return found

    def _alternatives(self) -> list[Comparison]:
        if not self._is("("):
            return [self._comparison()]
        self._next("(")
        found = [self._comparison()]
        while self._is("||"):
            self._next("||")
            found.append(self._comparison())
        self._next(")")
        return found

    def _comparison(self) -> Comparison:
        name = _plain_name(self._next("name"))
        operator = self._next("=", "!=", ">=", "<")
        kind, text = self._tokens.pop(0)
        assert kind in ("string", "duration") or text == "nil"
        value: Any = {"string": unquoted, "duration": lambda t: int(t[:-2])}.get(kind, lambda _: None)(text)
        return Comparison(name, operator, value)


def _plain_name(token: str) -> str:
    scope, name = token[: token.index(".") + 1] if "." in token else "", token
    if not scope or '"' not in name:
        return token
    return scope + re.sub(r"\\(.)", r"\1", name.removeprefix(scope)[1:-1])
