"""Links to the same trace in other tools, by templates that the configuration gives."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit

from framescope_ui.questions.views import FrameView

PLACES: Final = ("trace_id", "start_ms", "end_ms", "service", "pipeline")
"""What a template may hold in braces; times are unix ms, some seconds before and after the frame."""
AROUND_SECONDS: Final = 30
LONGEST: Final = 4000
_PLACE: Final = re.compile(r"\{([a-z_]+)\}")


@dataclass(frozen=True, slots=True)
class TraceLink:
    """A tool by name, and the template of a trace's address there."""

    name: str
    template: str

    def __post_init__(self) -> None:
        """Raises ``ValueError`` for a template that cannot be used; it is not quoted: it may hold a token."""
        text = self.template
        if any(letter.isspace() or not letter.isprintable() for letter in text) or len(text) > LONGEST:
            raise ValueError(f"expected one address without spaces, of at most {LONGEST} characters")
        try:
            parts = urlsplit(_PLACE.sub("x", text))
            known = parts.scheme in ("http", "https") and bool(parts.hostname)
            carries = parts.username is not None
        except ValueError:
            known = carries = False
        if not known:
            raise ValueError("expected an address such as https://jaeger.example/trace/{trace_id}")
        if carries:
            raise ValueError("an address must not carry a user or a password: every viewer would see it")
        found = _PLACE.findall(text)
        if "trace_id" not in found:
            raise ValueError("{trace_id} is missing: every frame would have the same link")
        wrong = [name for name in found if name not in PLACES]
        if wrong:
            places = ", ".join(f"{{{name}}}" for name in PLACES)
            raise ValueError(f"{{{wrong[0]}}} is not known: a template may hold {places}")
        if _PLACE.search(text.split("://", 1)[1].split("/", 1)[0]):
            raise ValueError("the host must stand there as it is: a frame may not say where a link leads")

    def href(self, view: FrameView) -> str:
        """The frame's address there; what comes from the frame is percent-encoded."""
        end = view.end if view.end is not None else view.due
        values: Mapping[str, object] = {
            "trace_id": view.item.trace_id,
            "start_ms": int((view.due - AROUND_SECONDS) * 1e3),
            "end_ms": int((end + AROUND_SECONDS) * 1e3),
            "service": view.item.service,
            "pipeline": view.item.pipeline or "",
        }
        return _PLACE.sub(lambda found: quote(str(values[found[1]]), safe=""), self.template)
