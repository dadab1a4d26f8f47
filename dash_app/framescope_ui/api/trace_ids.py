"""A frame's id as paths and queries have it."""

from __future__ import annotations

import re

from framescope_ui.api.problems import BadParameter

_TRACE_ID = re.compile(r"[0-9a-f]{32}")


def trace_id_of(text: str, parameter: str = "trace_id") -> str:
    """The id in lower case. Raises ``BadParameter`` for what is none."""
    wanted = text.strip().lower()
    if not _TRACE_ID.fullmatch(wanted):
        raise BadParameter(parameter, f"{parameter}: {text[:64]!r} is not 32 hexadecimal digits")
    return wanted
