"""framescope's pages in somebody else's Dash app: they are there, and the app is what it was."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dash
import flask
import pytest
from dash import Dash, Input, Output, callback, hooks, html
from fastapi import FastAPI
from fastapi.testclient import TestClient
from memory_stores import MemoryMetrics, MemoryTraces
from starlette.websockets import WebSocketDisconnect

from framescope_ui.embed import add_pages
from framescope_ui.options import AppOptions
from framescope_ui.questions.stores import Stores

BACKENDS = ("fastapi", "flask")


@pytest.fixture(autouse=True)
def no_hook_left() -> Iterator[None]:
    """Hooks are Dash's own and stay for the process: those of one test are not the next one's."""
    before = {name: list(hooks._ns[name]) for name in hooks._ns}
    yield
    hooks._ns.update(before)


def stores() -> Stores:
    return Stores(MemoryTraces(), MemoryMetrics())


def add(**more: Any) -> None:
    add_pages(stores=stores(), options=AppOptions(), **more)


def own_app(backend: str = "fastapi", **more: Any) -> Dash:
    app = Dash("own", backend=backend, **more)
    app.layout = html.Div("my own page", id="mine")
    return app


class Asking:
    """One way to ask either kind of server."""

    def __init__(self, app: Dash) -> None:
        self._flask = app.server.test_client() if isinstance(app.server, flask.Flask) else None
        self._asgi = None if self._flask else TestClient(app.server)

    def get(self, path: str) -> tuple[int, str]:
        if self._flask is not None:
            answer = self._flask.get(path)
            return answer.status_code, answer.get_data(as_text=True)
        assert self._asgi is not None
        with self._asgi as client:
            found = client.get(path, follow_redirects=False)
        return found.status_code, found.text

    def post(self, path: str, body: Any) -> tuple[int, str]:
        if self._flask is not None:
            answer = self._flask.post(path, json=body)
            return answer.status_code, answer.get_data(as_text=True)
        assert self._asgi is not None
        with self._asgi as client:
            found = client.post(path, json=body)
        return found.status_code, found.text


def dependencies(app: Dash, at: str = "") -> str:
    return Asking(app).get(f"{at}/_dash-dependencies")[1]


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_pages_the_interface_and_their_files_are_under_the_prefix(backend: str) -> None:
    add()
    ask = Asking(own_app(backend))
    for path in ("/framescope/", "/framescope/frames", "/framescope/frames/abc"):
        status, page = ask.get(path)
        assert (status, 'data-base="/framescope"' in page) == (200, True), path
        assert "/framescope/_dash-component-suites/" in page and 'src="/_dash' not in page
    assert ask.get("/framescope/api/pipelines") == (200, '{"pipelines":[]}')
    assert ask.get("/framescope/assets/framescope.js")[0] == 200
    assert ask.get("/framescope/api/nope")[0] == 404


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_prefix_without_its_slash_leads_there(backend: str) -> None:
    add()
    assert Asking(own_app(backend)).get("/framescope")[0] in (301, 307, 308)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_app_keeps_its_pages_its_callbacks_and_its_name(backend: str) -> None:
    add()

    @callback(Output("mine", "children"), Input("mine", "id"))
    def before(_: str) -> str:
        return "called"

    app = own_app(backend)

    @app.callback(Output("mine", "title"), Input("mine", "id"))
    def after(_: str) -> str:
        return "called"

    ask = Asking(app)
    for path in ("/", "/any/other/page"):
        status, page = ask.get(path)
        assert (status, "data-base" in page) == (200, False)
    own = dependencies(app)
    assert "mine.children" in own and "mine.title" in own and "push.data" not in own
    assert "mine" not in dependencies(app, "/framescope")
    assert dash.get_app() is app


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_callback_registered_before_any_app_still_answers(backend: str) -> None:
    @callback(Output("mine", "children"), Input("mine", "id"))
    def early(_: str) -> str:
        return "from before"

    add()
    asked = {
        "output": "mine.children",
        "outputs": {"id": "mine", "property": "children"},
        "inputs": [{"id": "mine", "property": "id", "value": "mine"}],
        "changedPropIds": ["mine.id"],
    }
    status, said = Asking(own_app(backend)).post("/_dash-update-component", asked)
    assert (status, "from before" in said) == (200, True)


def test_other_hooks_of_the_app_are_not_run_on_the_pages() -> None:
    @hooks.layout()
    def banner(layout: Any) -> Any:
        return html.Div([html.Div(id="banner"), layout])

    add()
    ask = Asking(own_app())
    assert "banner" in ask.get("/_dash-layout")[1]
    assert "banner" not in ask.get("/framescope/_dash-layout")[1]


def test_what_guards_flask_views_guards_the_pages() -> None:
    add()
    app = own_app("flask")

    @app.server.before_request
    def refuse() -> flask.Response | None:
        return flask.Response("who are you?", 401) if "key" not in flask.request.args else None

    ask = Asking(app)
    assert ask.get("/framescope/api/pipelines")[0] == 401
    assert ask.get("/framescope/api/pipelines?key=1")[0] == 200


def test_what_guards_websockets_guards_that_of_the_pages() -> None:
    asked: list[str] = []

    @hooks.websocket_connect()
    async def refuse(websocket: Any) -> tuple[int, str]:
        asked.append(websocket.scope["path"])
        return 4001, "who are you?"

    add()
    address, origin = "/framescope/_dash-ws-callback", {"origin": "http://testserver"}
    with (
        TestClient(own_app().server) as client,
        pytest.raises(WebSocketDisconnect) as refused,
        client.websocket_connect(address, headers=origin) as socket,
    ):
        socket.receive_json()
    assert (refused.value.code, len(asked)) == (4001, 1)


def test_values_are_pushed_on_fastapi_and_asked_for_on_flask() -> None:
    add()
    fast, slow = own_app("fastapi"), own_app("flask")
    assert 'data-pushed="yes"' in Asking(fast).get("/framescope/")[1]
    assert 'data-pushed="no"' in Asking(slow).get("/framescope/")[1]
    assert '"persistent":true' in dependencies(fast, "/framescope").replace(" ", "")
    assert '"persistent":true' not in dependencies(slow, "/framescope").replace(" ", "")


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_prefix_comes_after_the_app_s_own(backend: str) -> None:
    add(prefix="/frames")
    ask = Asking(own_app(backend, url_base_pathname="/lab/"))
    status, page = ask.get("/lab/frames/")
    assert (status, 'data-base="/lab/frames"' in page) == (200, True)
    assert 'data-base="/lab/frames"' not in ask.get("/lab/")[1]


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_app_that_exists_already_can_be_given(backend: str) -> None:
    app = own_app(backend)
    add(app=app)
    assert Asking(app).get("/framescope/api/pipelines")[0] == 200


def test_two_apps_on_one_server_have_the_pages_once() -> None:
    add()
    server = FastAPI()
    first = Dash("first", server=server, url_base_pathname="/a/")
    second = Dash("second", server=server, url_base_pathname="/b/")
    add(app=first)
    first.layout = second.layout = html.Div()
    assert len([one for one in server.user_middleware if one.kwargs.get("at") == "/a/framescope"]) == 1


@pytest.mark.parametrize("prefix", ["framescope", "/", "/framescope/", "/a b", "/x?y", "//evil.example"])
def test_a_prefix_that_is_no_plain_path_is_refused_with_what_to_give(prefix: str) -> None:
    with pytest.raises(ValueError, match="a path such as /framescope"):
        add_pages(prefix)


def test_the_stores_are_closed_with_the_app() -> None:
    closed: list[bool] = []

    class Closing(MemoryTraces):
        async def aclose(self) -> None:
            closed.append(True)

    add_pages(stores=Stores(Closing(), MemoryMetrics()), options=AppOptions())
    with TestClient(own_app().server) as client:
        client.get("/framescope/api/pipelines")
        assert not closed
    assert closed
