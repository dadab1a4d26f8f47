"""Colours keep the contrasts the look promises, and the style sheet is made of the same table."""

from __future__ import annotations

import pytest

from framescope.signals import CAUSES
from framescope_ui.figures import theme
from framescope_ui.figures.theme import THEMES, Theme

GROUNDS = ("bg", "surface", "raised")


def test_the_style_sheet_is_made_of_the_table() -> None:
    assert theme.STYLE_SHEET.read_text(encoding="utf-8") == theme.style_sheet(), (
        "run: python -m framescope_ui.figures.theme"
    )


def test_every_cause_has_a_look() -> None:
    assert set(theme.CAUSE_LOOKS) == set(CAUSES)


def test_contrast_is_that_of_wcag() -> None:
    assert theme.contrast("#000000", "#FFFFFF") == pytest.approx(21)
    assert theme.contrast("#777777", "#777777") == pytest.approx(1)


@pytest.mark.parametrize("at", THEMES)
@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("ink", ["ink", "ink-2", "ink-3", "brand", "ok", "warn", "crit", "nodata"])
def test_text_can_be_read_on_every_ground(at: Theme, ground: str, ink: str) -> None:
    assert theme.contrast(theme.token(ink, at), theme.token(ground, at)) >= 4.5


@pytest.mark.parametrize("at", THEMES)
@pytest.mark.parametrize("ground", GROUNDS)
def test_edges_of_fields_can_be_seen_on_every_ground(at: Theme, ground: str) -> None:
    assert theme.contrast(theme.token("edge", at), theme.token(ground, at)) >= 3


@pytest.mark.parametrize("at", THEMES)
@pytest.mark.parametrize("cause", sorted(theme.CAUSE_LOOKS))
def test_a_cause_can_be_seen_on_its_card_and_its_code_read_on_it(at: Theme, cause: str) -> None:
    one = theme.look(cause)
    assert theme.contrast(one.colour(at), theme.token("surface", at)) >= 3
    assert theme.contrast(one.text(at), one.colour(at)) >= 4.5


@pytest.mark.parametrize("at", THEMES)
@pytest.mark.parametrize(("ink", "ground"), [("warn-text", "warn-ground"), ("crit-text", "crit")])
def test_a_filled_badge_can_be_read(at: Theme, ink: str, ground: str) -> None:
    assert theme.contrast(theme.token(ink, at), theme.token(ground, at)) >= 4.5


def test_no_cause_wears_the_colour_of_a_state() -> None:
    states = {theme.token(name, at) for at in THEMES for name in ("ok", "warn", "crit", "nodata")}
    assert not states & {one.colour(at) for one in theme.CAUSE_LOOKS.values() for at in THEMES}


def test_causes_of_one_pattern_differ_in_colour() -> None:
    for at in THEMES:
        seen: set[tuple[str, str]] = set()
        for cause, one in theme.CAUSE_LOOKS.items():
            assert (one.pattern, one.colour(at)) not in seen, cause
            seen.add((one.pattern, one.colour(at)))


@pytest.mark.parametrize("colour", ["#003366", "#ffcc66", "#808080", "#ff0000", "#000000", "#ffffff"])
@pytest.mark.parametrize("at", THEMES)
def test_a_brand_colour_is_mixed_until_it_can_be_read_and_no_further(at: Theme, colour: str) -> None:
    shown = theme.readable(colour, at)
    worst = min(theme.contrast(shown, theme.token(ground, at)) for ground in GROUNDS)
    assert worst >= 4.5
    assert shown == colour or worst < 5.0
    assert f'[data-bs-theme="{at}"]{{--fs-brand:{shown}}}' in theme.brand_style(colour)
