"""Attributes that may hold a secret: an application's own words are shown, but not its passwords."""

from __future__ import annotations

import re
from typing import Final

WITHHELD: Final = "withheld: it may hold a secret"
_NAMES: Final = re.compile(
    r"pass(word|wd|phrase)|secret|token|credential|authorization|cookie|api[_.-]?key|private[_.-]?key", re.I
)
_INSIDE: Final = re.compile(
    r"(\b(?:[\w-]*(?:password|passwd|secret|token|api[_-]?key)|bearer|basic)\b[\"']?\s*[=: ]\s*[\"']?)"
    r"([^\s\"',;&]+)",
    re.I,
)
"""``--password x``, ``token=x``, ``"api_key": "x"``, ``Bearer x`` inside a longer text."""
_USER_INFO: Final = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/@]+@", re.I)


def without_secrets(name: str, value: object) -> object:
    """The value of an attribute, or what stands in its place. Numbers and booleans are no secrets."""
    if isinstance(value, (list, tuple)):
        return [without_secrets(name, one) for one in value]
    if not isinstance(value, str):
        return value
    if _NAMES.search(name):
        return WITHHELD
    return _INSIDE.sub(r"\1…", _USER_INFO.sub(r"\1…@", value))
