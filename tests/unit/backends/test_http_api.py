"""Whatever answers at a backend's address, the pages get an answer or one of the three errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from framescope_ui.backends.access import Access
from framescope_ui.backends.http_api import HttpApi
from framescope_ui.backends.protocols import BackendAway, BackendRefused

NESTED = b"[" * 200_000
"""Deeper than Python reads."""


def api(answer: httpx.Response, timeout_seconds: float = 10.0) -> HttpApi:
    access = Access("http://tempo:3200", timeout_seconds=timeout_seconds)
    return HttpApi("Tempo", access, httpx.MockTransport(lambda _: answer))


async def test_a_body_that_does_not_unpack_is_refused() -> None:
    packed = httpx.Response(
        200, headers={"content-encoding": "gzip"}, stream=httpx.ByteStream(b"this was never packed")
    )
    with pytest.raises(BackendRefused, match=r"tempo:3200/x cannot be read"):
        await api(packed).get("/x")


@pytest.mark.parametrize(("status", "said"), [(200, "does not answer JSON"), (500, "answers 500")])
async def test_json_nested_without_end_is_refused(status: int, said: str) -> None:
    with pytest.raises(BackendRefused, match=said):
        await api(httpx.Response(status, content=NESTED)).json("GET", "/x")


async def test_an_answer_that_trickles_in_without_end_is_not_waited_for() -> None:
    class Trickle(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                yield b" "
                await asyncio.sleep(0.01)

    with pytest.raises(BackendAway, match="did not answer in time"):
        async with asyncio.timeout(30):
            await api(httpx.Response(200, stream=Trickle()), timeout_seconds=0.1).get("/x")
