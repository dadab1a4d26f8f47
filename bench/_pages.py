"""Clients that ask the app what a browser asks: the first page with its files, a page, pushed values.

No browser: they speak Dash's own requests, so what is measured is the server's part and the wire.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import websockets

LATER: Final = tuple(
    f"/_dash-component-suites/{path}"
    for path in ("dash/dcc/async-graph.js", "plotly/package_data/plotly.min.js")
)
"""Files that the document does not name: what draws charts is loaded by the first of them."""
AS_CHROMIUM: Final = {"accept-encoding": "gzip, deflate, br, zstd"}
"""What Chromium takes over HTTPS and from the machine itself; files are not read here, so nothing unpacks."""
SCREEN: Final = {"theme": "dark", "phone": False, "base": "", "n": 1}


@dataclass(slots=True)
class Pushed:
    """One snapshot as it arrived: unix seconds, and bytes."""

    arrived: float
    at: float
    newest: float | None
    size: int


@dataclass(slots=True)
class Page:
    """The app as one browser sees it. ``url`` is its address without a slash at the end."""

    url: str
    client: httpx.AsyncClient
    dependencies: list[dict[str, Any]] = field(default_factory=list)

    async def first(self) -> dict[str, Any]:
        """Load the Live page as a browser does: the document, its files, the layout, what is drawn.

        Answers the number of requests, and bytes as they came over the wire.
        """
        document = await self.client.get(f"{self.url}/")
        found = [*re.findall(r'(?:src|href)="(/[^"]+)"', document.text), *LATER]
        files = await asyncio.gather(
            *(self.client.get(self.url + path, headers=AS_CHROMIUM) for path in dict.fromkeys(found))
        )
        more = await asyncio.gather(
            self.client.get(f"{self.url}/_dash-layout"), self.client.get(f"{self.url}/_dash-dependencies")
        )
        self.dependencies = more[1].json()
        drawn = await self.open("/")
        answers = [document, *files, *more, drawn]
        failed = [str(one.url) for one in answers if one.status_code >= 400]
        assert not failed, failed
        return {
            "requests": len(answers),
            "wire_bytes": sum(one.num_bytes_downloaded for one in answers),
        }

    async def open(self, path: str, search: str = "") -> httpx.Response:
        """Have the server draw the page of an address."""
        if not self.dependencies:
            self.dependencies = (await self.client.get(f"{self.url}/_dash-dependencies")).json()
        one = next(
            one for one in self.dependencies if {"id": "url", "property": "pathname"} in _plain(one["inputs"])
        )
        told = {"pathname": path, "search": search, "data": SCREEN}
        body = {
            "output": one["output"],
            "outputs": [_place(part) for part in one["output"].strip(".").split("...")],
            "inputs": [{**place, "value": told[place["property"]]} for place in _plain(one["inputs"])],
            "changedPropIds": ["url.pathname"],
            "state": [{**place, "value": None} for place in _plain(one["state"])],
        }
        answer = await self.client.post(f"{self.url}/_dash-update-component", json=body)
        assert answer.status_code == 200, answer.text[:300]
        return answer

    async def watch(self, seen: list[Pushed], search: str = "") -> None:
        """Look at the Live page over the page's own websocket, until cancelled."""
        if not self.dependencies:
            self.dependencies = (await self.client.get(f"{self.url}/_dash-dependencies")).json()
        persistent = next(one for one in self.dependencies if one.get("persistent"))
        viewer = {"path": "/", "search": search, "screen": SCREEN}
        address = self.url.replace("http", "ws", 1) + "/_dash-ws-callback"
        async with websockets.connect(address, origin=self.url, max_size=None) as socket:  # type: ignore[arg-type]
            payload = {"output": persistent["output"], "outputs": [], "inputs": [], "state": []}
            asked = {"type": "callback_request", "requestId": "1", "rendererId": "r"}
            await socket.send(json.dumps({**asked, "payload": {**payload, "changedPropIds": []}}))
            async for text in socket:
                arrived = time.time()
                message = json.loads(text)
                if message["type"] == "get_props_request":
                    answer = {"type": "get_props_response", "requestId": message["requestId"]}
                    await socket.send(json.dumps({**answer, "payload": {"data": viewer}}))
                    continue
                for update in message["payload"] if message["type"] == "set_props_batch" else [message]:
                    data = (update.get("payload") or update).get("props", {}).get("data")
                    if data and "at" in data:
                        newest = None if data["age"] is None else data["at"] - data["age"]
                        seen.append(Pushed(arrived, data["at"], newest, len(text)))


def _plain(places: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"id": one["id"], "property": one["property"]} for one in places]


def _place(text: str) -> dict[str, str]:
    name, _, prop = text.rpartition(".")
    return {"id": name, "property": prop.partition("@")[0]}
