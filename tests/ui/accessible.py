"""What every page is held to in every theme and width: no finding of axe's, nothing that scrolls sideways."""

from __future__ import annotations

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page


def assert_accessible(page: Page) -> None:
    """No violation of axe's rules in what is shown now, and no more of it than the window is wide."""
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    wrong = [f"{one['id']}: {[node['html'][:160] for node in one['nodes'][:3]]}" for one in found]
    assert not wrong, wrong
    beyond = page.evaluate("() => document.documentElement.scrollWidth - window.innerWidth")
    assert beyond <= 0, f"{beyond} px wider than the window"


def open_everything(page: Page) -> None:
    """Every table, list and menu that a click would unfold."""
    page.evaluate("() => document.querySelectorAll('details').forEach((one) => { one.open = true; })")
