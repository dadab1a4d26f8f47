"""Content attributes as cohorts: so few names and values that pages can group and backends index them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

NAMES: Final = 32
"""Attributes of one pipeline; more are left out."""
VALUES: Final = 64
"""Texts of one attribute. A mode, a model or a size has a dozen; what has more is an identifier."""
OTHER: Final = "other"

Attribute = str | int | float | bool


class Cohorts:
    """Of one pipeline. Whoever comes first has its own name; numbers have ranges and stay as they are."""

    def __init__(self) -> None:
        self._texts: dict[str, set[str]] = {}

    def of(
        self, attributes: Mapping[str, Attribute], count: Callable[[str], None]
    ) -> Mapping[str, Attribute]:
        """A frame's attributes within the bounds. ``count`` is called with the name of each one exceeded."""
        if not attributes:
            return attributes
        kept: dict[str, Attribute] = {}
        for name, value in attributes.items():
            texts = self._texts.get(name)
            if texts is None:
                if len(self._texts) >= NAMES:
                    count("attribute_names")
                    continue
                texts = self._texts[name] = set()
            if isinstance(value, str) and value not in texts:
                if len(texts) < VALUES:
                    texts.add(value)
                else:
                    count("attribute_values")
                    value = OTHER
            kept[name] = value
        return kept
