"""TraceQL as text, made of names, values and operators: a value is never more than a value.

An expression is a tuple of tokens and only this file makes tokens, so nothing that came from outside can
end a string or begin an operator. Syntax: Tempo 3.0.3, ``pkg/traceql/lexer.go`` and ``expr.y``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from framescope import signals

CHUNK: Final = 1024
"""Tempo reads a query in pieces of so many bytes, and loses what follows where a name or a duration lies
across two (grafana/tempo#3513; seen in 3.0.3: selected attributes go missing without an error)."""
GREATEST_NAME: Final = 500
_GREATEST_INTEGER: Final = 2**63 - 1

Tokens = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Field:
    """Something of a span that can be compared or selected. Made by the functions below."""

    token: str


@dataclass(frozen=True, slots=True)
class Condition:
    """What one span must fulfil."""

    tokens: Tokens


@dataclass(frozen=True, slots=True)
class Spans:
    """The spans of a trace that fulfil something."""

    tokens: Tokens


SPAN_NAME: Final = Field("span:name")
SPAN_DURATION: Final = Field("span:duration")


def span_attribute(name: str) -> Field:
    """An attribute of the span itself."""
    return Field(f"span.{_quoted_name(name)}")


def resource_attribute(name: str) -> Field:
    """An attribute of the resource the span came from."""
    return Field(f"resource.{_quoted_name(name)}")


def can_be(value: str) -> bool:
    """Whether any attribute can have this text: OTLP's are UTF-8, which has no lone surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in value)


def equals(field: Field, value: str) -> Condition:
    """The field is this text. Raises ``ValueError`` for text that ``can_be`` refuses."""
    return Condition((field.token, "=", _string(value)))


def equals_any(field: Field, values: Sequence[str]) -> Condition:
    """The field is one of these texts (at least one)."""
    if not values:
        raise ValueError("one of no values is nothing")
    alternatives: list[str] = []
    for value in values:
        alternatives += ["||", *equals(field, value).tokens]
    return Condition(("(", *alternatives[1:], ")"))


def exists(field: Field) -> Condition:
    """The span has the field, with whatever value."""
    return Condition((field.token, "!=", "nil"))


def lasts_at_least(duration_ns: int) -> Condition:
    """The span is at least so long."""
    return Condition((SPAN_DURATION.token, ">=", _duration(duration_ns)))


def lasts_less_than(duration_ns: int) -> Condition:
    """The span is shorter."""
    return Condition((SPAN_DURATION.token, "<", _duration(duration_ns)))


def spans(conditions: Sequence[Condition]) -> Spans:
    """The spans that fulfil all of the conditions (at least one): Tempo is fastest at conjunctions."""
    if not conditions:
        raise ValueError("spans are asked for by a condition")
    tokens: list[str] = []
    for condition in conditions:
        tokens += ["&&", *condition.tokens]
    return Spans(("{", *tokens[1:], "}"))


def together(*parts: Spans) -> Spans:
    """The spans of all parts, of the traces in which each part has one."""
    tokens: list[str] = []
    for part in parts:
        tokens += ["&&", *part.tokens]
    return Spans(("(", *tokens[1:], ")"))


def query(found: Spans, fields: Iterable[Field] = (), most_recent: bool = False) -> str:
    """The text that asks for the spans with these fields; ``most_recent`` keeps the newest traces where
    there are more than the limit, else Tempo keeps those it meets first."""
    tokens: list[str] = [*found.tokens]
    selected = [token for field in fields for token in (",", field.token)]
    if selected:
        tokens += ["|", "select(", *selected[1:], ")"]
    if most_recent:
        tokens += ["with(", "most_recent", "=", "true", ")"]
    return "".join(_laid_out(tokens))


def _laid_out(tokens: Iterable[str]) -> Iterator[str]:
    """Tokens apart by spaces, so that none but a string, which Tempo reads right, lies across ``CHUNK``."""
    at = 0
    for token in tokens:
        room, size = CHUNK - at % CHUNK, len(token.encode())
        if not token.startswith('"') and size + 2 > room:  # 2: Tempo looks at what follows a name
            yield " " * room
            at += room
        yield token + " "
        at += size + 1


def can_be_name(name: str) -> bool:
    """Whether an attribute of this name can be asked for."""
    return 0 < len(name.encode("utf-8", "replace")) <= GREATEST_NAME and name.isprintable()


def _quoted_name(name: str) -> str:
    if not can_be_name(name):
        raise ValueError(f"attribute names are printable and at most {GREATEST_NAME} bytes long")
    if all(character.isalnum() or character in "._-" for character in name):
        return name
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _string(value: str) -> str:
    """A Go string literal in ASCII: what is not plain is written as an escape."""
    if not can_be(value):
        raise ValueError("no attribute can be this text: it is not Unicode")
    return '"' + "".join(map(_escaped, value)) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if " " <= character <= "~":
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _duration(duration_ns: int) -> str:
    """Whole ns, kept within what Tempo's durations hold (no span is longer, none shorter than 0)."""
    return f"{max(0, min(duration_ns, _GREATEST_INTEGER))}ns"


# --- framescope's own spans ---------------------------------------------------------------------------

SERVICE: Final = resource_attribute(signals.SERVICE_NAME)
VERSION: Final = resource_attribute(signals.SERVICE_VERSION)
HOST: Final = resource_attribute(signals.HOST_NAME)
PIPELINE: Final = span_attribute(signals.FRAME_PIPELINE)
STAGE: Final = span_attribute(signals.FRAME_STAGE_NAME)
