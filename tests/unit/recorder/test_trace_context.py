"""A frame's trace id while it is under way."""

from __future__ import annotations

import asyncio
import logging
import re

import pytest
from apart import Apart

from framescope.handover import TRACE, noted
from framescope.pipeline import OffPipeline, Pipeline
from framescope.recorder.carried import read


@pytest.fixture
def pipeline() -> Pipeline:
    return Pipeline("p", enabled=True, process=Apart(baseline_every=2))  # type: ignore[arg-type]


def test_a_frame_has_one_trace_id_once_somebody_asks_and_none_before(pipeline):
    with pipeline.frame():
        pass
    with pipeline.frame() as frame:
        asked = frame.trace_id
        assert frame.trace_id == asked
    first, second = pipeline._recorder.drain(2)
    assert noted(first.marks, TRACE) is None
    assert noted(second.marks, TRACE)[:32] == asked
    assert re.fullmatch("[0-9a-f]{32}", asked)


def test_a_log_filter_made_before_a_fork_knows_the_child_s_frames(pipeline):
    log_filter, record = pipeline.log_filter(), logging.makeLogRecord({})
    pipeline._recorder.forget()  # what a child does first
    with pipeline.frame() as frame:
        log_filter.filter(record)
        assert record.trace_id == frame.trace_id != ""


def test_the_sampled_flag_is_for_frames_chosen_beforehand_alone(pipeline):
    told = [pipeline.begin().traceparent for _ in range(4)]
    assert all(re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]", one) for one in told)
    assert [one[-2:] for one in told] == ["01", "00", "01", "00"]
    pipeline._recorder.baseline_every = 0
    assert pipeline.begin().traceparent.endswith("-00")


def test_a_log_record_written_in_a_frame_has_its_trace_id_and_one_outside_has_none(pipeline, caplog):
    log = logging.getLogger("host")
    caplog.handler.addFilter(pipeline.log_filter())
    with caplog.at_level(logging.INFO, "host"):
        log.info("before")
        with pipeline.frame() as frame:
            log.info("inside")
            asked = frame.trace_id
    before, inside = caplog.records
    assert (before.trace_id, before.span_id) == ("", "")
    assert inside.trace_id == asked
    assert len(inside.span_id) == 16


async def test_tasks_that_take_turns_log_under_their_own_frames(pipeline):
    filter_ = pipeline.log_filter()

    async def one() -> tuple[str, str]:
        async with pipeline.frame() as frame:
            await asyncio.sleep(0)
            record = logging.makeLogRecord({})
            filter_.filter(record)
            return record.trace_id, frame.trace_id

    pairs = await asyncio.gather(one(), one())
    assert all(logged == own for logged, own in pairs)
    assert len({own for _, own in pairs}) == 2


def test_the_trace_id_goes_along_to_another_process(pipeline):
    frame = pipeline.begin()
    asked = frame.trace_id
    header = frame.carry()
    assert read(header).trace[:32] == asked
    assert pipeline.resume(header).trace_id == asked


def test_switched_off_there_is_no_trace_id():
    frame = OffPipeline("p").frame()
    assert (frame.trace_id, frame.traceparent) == ("", "")
