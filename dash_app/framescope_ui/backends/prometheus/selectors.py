"""PromQL as text. Every name and value goes through ``quoted``: none can end its own quotes.

A selector is ``{__name__=~"a|b",label="value"}``. Names that are not plain are quoted as PromQL has it since
Prometheus 3.0 and MetricsQL too: ``{"service.name"="value"}``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

_PLAIN_LABEL: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_SPECIAL: Final = re.compile(r"[\\.+*?()|\[\]{}^$]")


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on a label. ``=~`` compares with an anchored RE2 expression."""

    label: str
    operator: Literal["=", "=~"]
    value: str


def is_text(text: str) -> bool:
    """Whether a server could hold this text: lone surrogates have no UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def quoted(text: str) -> str:
    """A PromQL string of exactly this text, by the escapes of Go's strings. ASCII but for letters."""
    return '"' + "".join(_escape(character) for character in text) + '"'


def _escape(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    code = ord(character)
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    return character if character.isprintable() else _unicode_escape(code)


def _unicode_escape(code: int) -> str:
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def literally(text: str) -> str:
    """A regular expression that only this text matches."""
    return _SPECIAL.sub(r"\\\g<0>", text)


def of_service(name: str) -> Matcher:
    """The ``job`` of a service, in whatever namespace."""
    return Matcher("job", "=~", f"(?:.+/)?{literally(name)}")


@dataclass(frozen=True, slots=True)
class Selection:
    """The series that have one of these names and meet every condition."""

    names: tuple[str, ...]
    matchers: tuple[Matcher, ...] = ()

    @property
    def text(self) -> str:
        """As PromQL."""
        name = (
            Matcher("__name__", "=", self.names[0])
            if len(self.names) == 1
            else Matcher("__name__", "=~", "|".join(literally(name) for name in self.names))
        )
        return "{" + ",".join(_matcher(one) for one in (name, *self.matchers)) + "}"

    def only(self, name: str, *more: Matcher) -> Selection:
        """Those of them that have this name and meet more conditions."""
        return Selection((name,), (*self.matchers, *more))


def _matcher(one: Matcher) -> str:
    label = one.label if _PLAIN_LABEL.fullmatch(one.label) else quoted(one.label)
    return f"{label}{one.operator}{quoted(one.value)}"


def samples(of: Selection, length_ms: int) -> str:
    """The samples of the last ``length_ms``, each with its own time. As an instant query."""
    return f"{of.text}[{length_ms}ms]"


def last(of: Selection, length_ms: int) -> str:
    """Each series' last sample of the last ``length_ms``; none where there is none. Keeps the name."""
    return f"last_over_time({of.text}[{length_ms}ms])"


def falls(of: Selection, length_ms: int) -> str:
    """How often a counter fell in the last ``length_ms``, where it did. Drops the name."""
    return f"resets({of.text}[{length_ms}ms]) > 0"


def at(time_ms: int) -> str:
    """A time as the HTTP API reads it: unix seconds, exact to the millisecond."""
    return f"{time_ms // 1000}.{time_ms % 1000:03d}"
