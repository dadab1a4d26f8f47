"""Functions as stages and as frames."""

from __future__ import annotations

import asyncio

import pytest
from apart import Apart

from framescope.pipeline import OffPipeline, Pipeline


@pytest.fixture
def pipeline() -> Pipeline:
    return Pipeline("p", enabled=True, process=Apart())  # type: ignore[arg-type]


def test_a_decorated_function_is_a_stage_and_keeps_its_name_and_value(pipeline):
    denoise = pipeline.stage("denoise")

    @denoise
    def smooth(image: int) -> int:
        """Smooths."""
        return image + 1

    assert (smooth.__name__, smooth.__doc__) == ("smooth", "Smooths.")
    with pipeline.frame():
        assert smooth(1) == 2
    (record,) = pipeline._recorder.drain(1)
    assert record.marks[::2] == [0, ~0]


def test_a_decorated_generator_is_in_its_stage_until_it_ends(pipeline):
    rows, render = pipeline.stages("rows", "render")

    @rows
    def lines():
        yield 1
        yield 2

    with pipeline.frame():
        for _ in lines():
            with render:
                pass
    (record,) = pipeline._recorder.drain(1)
    assert record.marks[::2] == [0, 1, ~1, 1, ~1, ~0]


async def test_a_decorated_coroutine_is_in_its_stage_over_its_awaits(pipeline):
    fetch = pipeline.stage("fetch")

    @fetch
    async def load() -> str:
        await asyncio.sleep(0)
        return "x"

    @fetch
    async def parts():
        yield 1

    async with pipeline.frame():
        assert await load() == "x"
        assert [part async for part in parts()] == [1]
    (record,) = pipeline._recorder.drain(1)
    assert [what for what in record.marks[::2] if type(what) is int] == [0, ~0, 0, ~0]


async def test_every_call_of_a_framed_function_is_a_frame_and_every_task(pipeline):
    @pipeline.framed
    def process(image: int) -> int:
        return image

    @pipeline.framed
    async def serve(request: int) -> int:
        await asyncio.sleep(0)
        return request

    @pipeline.framed
    def broken() -> None:
        raise ValueError("the host's own")

    assert process(3) == 3
    assert await asyncio.gather(serve(1), serve(2)) == [1, 2]
    with pytest.raises(ValueError, match="host's own"):
        broken()
    assert [r.outcome for r in pipeline._recorder.drain(9)] == ["done", "done", "done", "failed"]


def test_a_generator_is_refused_as_a_frame_when_it_is_decorated_not_when_it_runs(pipeline):
    with pytest.raises(TypeError, match="open a frame for each of its values"):

        @pipeline.framed
        def source():
            yield 1


def test_switched_off_a_decorator_gives_the_function_itself():
    off = OffPipeline("p")

    def process() -> None: ...

    assert off.framed(process) is process
    assert off.stage("a")(process) is process
