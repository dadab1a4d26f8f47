"""framescope's pages inside a Dash app of one's own: one line, before the app is made.

    pip install "framescope[ui]"
    python examples/own_dash_app.py            # on FastAPI: values are pushed
    python examples/own_dash_app.py flask      # on Flask: the pages ask for them

Its own page is at http://127.0.0.1:8060/, framescope's are at /framescope/. They read what `framescope ui`
would read: the embedded store, or the backends of framescope.yaml and the environment. With nothing there
yet they say so; `framescope demo --port 0` fills a store to look at.
"""

from __future__ import annotations

import sys

from dash import Dash, Input, Output, callback, dcc, html

from framescope_ui.embed import add_pages

add_pages("/framescope")


def greet(name: str | None) -> str:
    """The app's own callback, beside those of the pages."""
    return f"Hello, {name or 'you'}."


callback(Output("said", "children"), Input("name", "value"))(greet)


def make_app(backend: str = "fastapi") -> Dash:
    """An app with a page and a callback of its own, and a way to framescope's pages."""
    app = Dash(__name__, backend=backend)
    app.layout = html.Main(
        [
            html.H1("My own app"),
            dcc.Input(id="name", placeholder="your name"),
            html.P(id="said"),
            # A plain link: the pages are an app of their own, so the browser goes there as a whole.
            html.A("Frames", href="/framescope/"),
        ]
    )
    return app


if __name__ == "__main__":
    kind = sys.argv[1] if len(sys.argv) > 1 else "fastapi"
    app = make_app(kind)
    if kind == "fastapi":
        import uvicorn

        uvicorn.run(app.server, port=8060)
    else:
        app.run(port=8060)
