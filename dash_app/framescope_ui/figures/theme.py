"""Colours, patterns and marks: the one table that the style sheet and both Plotly templates are made of.

SVG charts cannot read CSS variables, so the same numbers are needed twice; they are written once, here.
``python -m framescope_ui.figures.theme`` rewrites ``assets/tokens.css``; a test keeps the two together and
recomputes every contrast ratio.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import plotly.graph_objects as go

from framescope.signals import CAUSES

Theme = Literal["dark", "light"]
THEMES: Final[tuple[Theme, Theme]] = ("dark", "light")

FONT: Final = "Inter, system-ui, sans-serif"

TOKENS: Final[dict[str, tuple[str, str]]] = {
    "bg": ("#0B0F14", "#F3F5F7"),
    "surface": ("#12171D", "#FFFFFF"),
    "raised": ("#1A2129", "#EDF0F3"),
    "ink": ("#E8EDF2", "#11171D"),
    "ink-2": ("#B3BECA", "#414D59"),
    "ink-3": ("#8C98A5", "#5E6A76"),
    "brand": ("#6EA8FE", "#1F5FBF"),
    "edge": ("#65717E", "#7A8692"),
    "line": ("#2A343F", "#D3DAE1"),
    "grid": ("#1E2730", "#E7EBEF"),
    "shade": ("rgba(232,237,242,0.055)", "rgba(17,23,29,0.04)"),
    "shade-2": ("rgba(232,237,242,0.10)", "rgba(17,23,29,0.08)"),
    "ok": ("#4CC38A", "#17784A"),
    "warn": ("#F2B84B", "#8F5B00"),
    "warn-ground": ("#F2B84B", "#F7C765"),
    "warn-text": ("#1A1305", "#1A1305"),
    "crit": ("#FF6B6B", "#C2261E"),
    "crit-text": ("#1A0505", "#FFFFFF"),
    "nodata": ("#A0AAB5", "#5E6A76"),
}
"""Custom property without its ``--fs-`` → colour in dark and in light."""


@dataclass(frozen=True, slots=True)
class CauseLook:
    """How one cause is drawn: its colours (hue says where), its pattern and mark (how).

    ``ink_on_light`` is the text colour on the plain light colour; on the dark one it is always dark.
    """

    dark: str
    light: str
    pattern: str
    symbol: str
    glyph: str
    dark_text_on_light: bool = False

    def colour(self, theme: Theme) -> str:
        """The cause's colour in a theme."""
        return self.dark if theme == "dark" else self.light

    def text(self, theme: Theme) -> str:
        """The colour of text that stands on the cause's colour."""
        return "#0B0F13" if theme == "dark" or self.dark_text_on_light else "#FFFFFF"


_SOLID = ("", "square", "■")
_SLASH = ("/", "triangle-down", "▼")
_DOT = (".", "diamond", "◆")
_DASH = ("-", "circle", "●")
_PIPE = ("|", "triangle-up", "▲")
_PLUS = ("+", "cross", "✚")
_HOLLOW = ("x", "x-thin-open", "✕")

CAUSE_LOOKS: Final[dict[str, CauseLook]] = {
    "structural": CauseLook("#D6DBDF", "#898F95", *_SOLID, True),
    "queue_wait": CauseLook("#5BC3CC", "#288088", *_SOLID),
    "late_input": CauseLook("#569086", "#1F4B44", *_SLASH),
    "cpu_work": CauseLook("#57A5CD", "#03668B", *_SOLID),
    "cpu_contention": CauseLook("#BEE5F8", "#4591B3", *_SLASH, True),
    "cpu_quota": CauseLook("#5385C7", "#405066", *_DOT),
    "gpu_work": CauseLook("#7F76F9", "#402BA1", *_SOLID),
    "gpu_contention": CauseLook("#DC8FFF", "#9644B9", *_SLASH),
    "gpu_throttle": CauseLook("#D4C5FF", "#9A72ED", *_DOT, True),
    "gpu_transfer": CauseLook("#9E6FA4", "#511C59", *_DASH),
    "memory_pressure": CauseLook("#B8703A", "#6D3500", *_SOLID),
    "io_wait": CauseLook("#A8AD54", "#626603", *_SLASH),
    "gc_pause": CauseLook("#E2D17E", "#94821E", *_DOT, True),
    "python_gil": CauseLook("#D8D5B7", "#94906C", *_DASH, True),
    "lock_wait": CauseLook("#8A8467", "#3C371E", *_PIPE),
    "loop_wait": CauseLook("#BFA491", "#796150", *_PLUS),
    "unknown": CauseLook("#9CA3A9", "#5D6268", *_HOLLOW),
    "gpu": CauseLook("#7F76F9", "#402BA1", *_HOLLOW),
    "cpu": CauseLook("#57A5CD", "#03668B", *_HOLLOW),
    "blocked": CauseLook("#BFA491", "#796150", *_HOLLOW),
}

PATTERN_CLASS: Final = {
    "": "solid",
    "/": "slash",
    ".": "dot",
    "-": "dash",
    "|": "pipe",
    "+": "plus",
    "x": "hollow",
}

KIND_CAUSE: Final = {
    "gpu": "gpu_work",
    "cpu": "cpu_work",
    "io": "io_wait",
    "queue": "queue_wait",
    "gap": "late_input",
}
"""Stage kind → the cause whose colour, paled, draws the expected part of such a stage."""


def look(cause: str | None) -> CauseLook:
    """The look of a cause."""
    return CAUSE_LOOKS[drawn_as(cause)]


def drawn_as(cause: str | None) -> str:
    """The cause whose look this one has: its own; the user's own causes have their family's; a name nobody
    knows is drawn as ``unknown``."""
    if cause in CAUSE_LOOKS:
        return cause
    known = CAUSES.get(cause or "unknown")
    return known.parent if known is not None and known.parent in CAUSE_LOOKS else "unknown"


def title(cause: str | None) -> str:
    """The name shown for a cause; an unheard-of one is shown as it came."""
    known = CAUSES.get(cause or "unknown")
    return known.title if known else str(cause)


def code(cause: str | None) -> str:
    """The two-letter code of a cause."""
    known = CAUSES.get(cause or "unknown")
    return known.code if known else "?"


def token(name: str, theme: Theme) -> str:
    """A colour token in a theme."""
    dark, light = TOKENS[name]
    return dark if theme == "dark" else light


def rgba(colour: str, alpha: float) -> str:
    """``#RRGGBB`` with an opacity, as Plotly and CSS write it."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha:g})"


def contrast(first: str, second: str) -> float:
    """WCAG 2 contrast ratio of two ``#RRGGBB`` colours, 1 to 21."""
    low, high = sorted((_luminance(first), _luminance(second)))
    return (high + 0.05) / (low + 0.05)


LEAST_CONTRAST: Final = 4.5
"""What WCAG asks of text (AA)."""


def brand_style(colour: str) -> str:
    """The rules that put a brand's colour (``#rrggbb``) in the place of our own.

    No colour reaches ``LEAST_CONTRAST`` on the grounds of both themes: where it does not it is mixed with
    white (dark theme) or black (light theme), no further than it must be.
    """
    return "".join(f'[data-bs-theme="{at}"]{{--fs-brand:{readable(colour, at)}}}' for at in THEMES)


def readable(colour: str, at: Theme) -> str:
    """The colour, or the nearest one on its way to white (dark theme) or black (light) that can be read."""
    towards = 255 if at == "dark" else 0
    channels = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    for share in range(101):
        mixed = [round(c + (towards - c) * share / 100) for c in channels]
        found = "#" + "".join(f"{c:02x}" for c in mixed)
        if _worst_contrast(found, at) >= LEAST_CONTRAST:
            return found
    raise AssertionError(f"neither white nor black can be read in the {at} theme")


def _worst_contrast(colour: str, at: Theme) -> float:
    return min(contrast(colour, token(ground, at)) for ground in ("bg", "surface", "raised"))


def _luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def pattern(causes: list[str], theme: Theme) -> dict[str, Any]:
    """``marker.pattern`` of bars, one entry a bar in the order of ``causes``."""
    looks = [look(cause) for cause in causes]
    surface = token("surface", theme)
    overlay = 0.42 if theme == "dark" else 0.5
    return {
        "shape": [one.pattern for one in looks],
        "fillmode": "overlay",
        "fgcolor": [
            rgba(one.colour(theme), 0.75) if one.pattern == "x" else rgba(surface, overlay) for one in looks
        ],
        "size": [5 if one.pattern in ".x" and one.pattern else 7 for one in looks],
        "solidity": [{".": 0.35, "x": 0.2}.get(one.pattern, 0.24) for one in looks],
    }


def fill(cause: str | None, theme: Theme) -> str:
    """The ground of a bar in a cause's colour: none for the hollow ones, whose pattern is their colour."""
    one = look(cause)
    return "rgba(0,0,0,0)" if one.pattern == "x" else one.colour(theme)


def outline(cause: str | None, theme: Theme) -> str:
    """The outline of a bar: the hollow ones need one, the others separate by the card's colour."""
    one = look(cause)
    return rgba(one.colour(theme), 0.6) if one.pattern == "x" else token("surface", theme)


def template(theme: Theme) -> go.layout.Template:
    """The Plotly template of a theme."""
    ink_2, ink_3 = token("ink-2", theme), token("ink-3", theme)
    axis = {
        "gridcolor": token("grid", theme),
        "gridwidth": 1,
        "zeroline": False,
        "showline": False,
        "ticks": "",
        "tickfont": {"size": 11, "color": ink_3},
        "automargin": False,
        "nticks": 5,
        "title": {"text": ""},
    }
    return go.layout.Template(
        layout={
            "font": {"family": FONT, "size": 11.5, "color": ink_2},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "margin": {"l": 132, "r": 128, "t": 6, "b": 22},
            "showlegend": False,
            "xaxis": {
                **axis,
                "showspikes": True,
                "spikemode": "across",
                "spikesnap": "cursor",
                "spikethickness": 1,
                "spikedash": "solid",
                "spikecolor": ink_3,
            },
            "yaxis": axis,
            "hovermode": "x unified",
            "hoverlabel": {
                "bgcolor": token("raised", theme),
                "bordercolor": token("line", theme),
                "font": {"size": 12, "color": token("ink", theme), "family": FONT},
                "align": "left",
                "namelength": -1,
            },
            "transition": {"duration": 0},
            "bargap": 0,
            "modebar": {
                "bgcolor": "rgba(0,0,0,0)",
                "color": ink_3,
                "activecolor": token("ink", theme),
                "orientation": "h",
            },
            "dragmode": "zoom",
        }
    )


def style_sheet() -> str:
    """``assets/tokens.css``: the custom properties of both themes and one class a cause."""
    lines = ["/* Made by framescope_ui.figures.theme; edit the table there. */"]
    for theme in THEMES:
        lines.append(f'[data-bs-theme="{theme}"] {{')
        lines.append(f"  color-scheme: {theme};")
        lines += [f"  --fs-{name}: {token(name, theme)};" for name in TOKENS]
        for cause, one in CAUSE_LOOKS.items():
            dashed = cause.replace("_", "-")
            lines.append(f"  --fs-{dashed}: {one.colour(theme)};")
            lines.append(f"  --fs-{dashed}-text: {one.text(theme)};")
        over = "42%" if theme == "dark" else "50%"
        lines.append(f"  --fs-hatch: color-mix(in srgb, var(--fs-surface) {over}, transparent);")
        lines.append("}")
    for cause in CAUSE_LOOKS:
        dashed = cause.replace("_", "-")
        lines.append(f".fs-c-{cause} {{ --c: var(--fs-{dashed}); --c-text: var(--fs-{dashed}-text); }}")
    return "\n".join(lines) + "\n"


STYLE_SHEET: Final = Path(__file__).parent.parent / "assets" / "tokens.css"

if __name__ == "__main__":
    STYLE_SHEET.write_text(style_sheet(), encoding="utf-8")
