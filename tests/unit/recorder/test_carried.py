"""A frame that goes on in another process: the header, and what becomes of the frame."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import multiprocessing
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framescope import signals as sig
from framescope.handover import DEPTH, UNKNOWN, FrameRecord
from framescope.recorder import carried
from framescope.recorder.carried import LARGEST, Carried, read, written
from framescope.recorder.faults import Faults
from framescope.recorder.pipeline import TRANSIT, Recorder

MS = 1_000_000
near = st.integers(-60_000_000_000, 60_000_000_000)
whole = st.integers(-(2**62), 2**62)
reading = st.tuples(whole, whole, whole)


@st.composite
def headers(draw):
    stages = draw(st.lists(st.tuples(st.text(max_size=12), st.just("cpu")), max_size=9))
    start = draw(st.integers(0, 2**60))
    index = st.integers(-len(stages), len(stages) - 1) if stages else st.nothing()
    pairs = draw(st.lists(st.tuples(index, near), max_size=20)) if stages else []
    return Carried(
        sequence=draw(whole),
        boot=draw(st.text(max_size=40)),
        start_ns=start,
        due_ns=start + draw(near),
        before_ns=draw(st.one_of(st.just(UNKNOWN), st.integers(0, 10).map(lambda n: start + n))),
        sent_ns=start + draw(near),
        sent_wall_ns=draw(whole),
        stages=tuple(stages),
        marks=tuple(number for what, at in pairs for number in (what, start + at)),
        segments=tuple(
            (thread, start + began, before, start + end, after, idle)
            for thread, began, before, end, after, idle in draw(
                st.lists(st.tuples(whole, near, reading, near, reading, whole), max_size=2)
            )
        ),
        attributes=draw(st.dictionaries(st.text(max_size=8), st.one_of(st.booleans(), whole), max_size=3)),
    )


@given(headers())
def test_a_header_says_what_was_written_or_that_something_is_cut_and_is_never_too_large(told):
    header = written(told)
    assert len(header) <= LARGEST
    back = read(header)
    assert (back.sequence, back.start_ns, back.due_ns, back.sent_ns) == (
        told.sequence, told.start_ns, told.due_ns, told.sent_ns,
    )  # fmt: skip

    def named(one):
        return [
            ((one.stages[what] if what >= 0 else ("left", *one.stages[~what])), at)
            for what, at in zip(one.marks[::2], one.marks[1::2], strict=True)
        ]

    if back.cut:
        assert named(told)[: len(named(back))] == named(back)
    else:
        assert named(back) == named(told)
        assert (back.segments, back.attributes, back.before_ns) == (
            told.segments, told.attributes, told.before_ns,
        )  # fmt: skip


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_whatever_is_no_header_is_a_value_error(noise):
    with pytest.raises(ValueError):
        read(noise)


@given(headers(), st.data())
def test_a_header_with_one_part_of_another_kind_is_a_value_error_or_still_a_header(told, data):
    body = json.loads(written(told))
    key = data.draw(st.sampled_from(sorted(body)))
    body[key] = data.draw(
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
            lambda inner: st.lists(inner, max_size=4),
            max_leaves=6,
        )
    )
    with contextlib.suppress(ValueError):
        assert isinstance(read(json.dumps(body).encode()), Carried)


class Clock:
    """Monotonic time as a test sets it."""

    def __init__(self, now: int) -> None:
        self.now = now

    def __call__(self) -> int:
        self.now += 1
        return self.now


def recorder(now: int, wall: int = 0) -> Recorder:
    return Recorder(0, "p", clock=Clock(now), wall=lambda: wall, faults=Faults(raising=True))


def times(record: FrameRecord, stage: int) -> list[int]:
    return [
        at for what, at in zip(record.marks[::2], record.marks[1::2], strict=True) if what in (stage, ~stage)
    ]


def sent(now: int, wall: int = 0, **attributes: object) -> tuple[bytes, Recorder]:
    p = recorder(now, wall)
    frame = p.begin(sequence=7000, captured_at_ns=now - 5, attributes=dict(attributes))
    with frame.stage(p.stage("capture")):
        pass
    return frame.carry(), p


def test_the_last_holder_tells_the_whole_frame_and_the_first_tells_none():
    header, first = sent(1000, image="240x320")
    second = recorder(5000)
    render = second.stage("render")
    frame = second.resume(header)
    with frame.stage(render):
        pass
    frame.end()
    assert first.drain(9) == []
    (record,) = second.drain(9)
    assert (record.sequence, record.due_ns, record.start_ns) == (7000, 995, 1001)
    names = [name for name, _ in second.definition.stages]
    assert names == ["render", "capture", TRANSIT]
    assert times(record, 1) == [1002, 1003]
    sent_at, arrived = times(record, 2)
    assert sent_at < 1010 < 5000 < arrived
    assert len(record.segments) == 2
    assert record.segments[0][0] != record.segments[1][0]
    assert record.attributes == {"image": "240x320"}


def test_a_frame_resumed_in_a_with_block_goes_on_as_any_other():
    header, _ = sent(1000)
    second = recorder(5000)
    render = second.stage("render")
    with second.resume(header), render:
        pass
    (record,) = second.drain(9)
    assert record.outcome == "done"
    assert times(record, 0) != []


def test_whoever_drops_a_carried_frame_has_it_judged():
    header, _ = sent(1000)
    second = recorder(5000)
    second.resume(header).drop("queue_full")
    assert [record.outcome for record in second.drain(9)] == ["dropped"]


def test_times_of_another_boot_are_laid_on_the_wall_clock_and_it_says_so(monkeypatch):
    header, _ = sent(9_000_000 * MS, wall=100_000 * MS)
    monkeypatch.setattr(carried, "boot", lambda: "another machine")
    second = recorder(50 * MS, wall=100_004 * MS)
    second.resume(header).end()
    (record,) = second.drain(9)
    sent_at, arrived = times(record, 1)
    assert arrived - sent_at == 4 * MS
    assert times(record, 0)[0] < sent_at
    assert record.attributes == {sig.FRAME_CLOCK_SHARED: False}


def test_a_wall_clock_that_is_behind_makes_no_frame_arrive_before_it_was_sent(monkeypatch):
    header, _ = sent(9_000_000 * MS, wall=100_000 * MS)
    monkeypatch.setattr(carried, "boot", lambda: "another machine")
    second = recorder(50 * MS, wall=99_000 * MS)
    second.resume(header).end()
    (record,) = second.drain(9)
    sent_at, arrived = times(record, 1)
    assert arrived == sent_at


@pytest.mark.parametrize("header", [b"", b"{}", b"\xff", b"[]", b"x" * 2000, None, 5])
def test_a_header_that_is_none_begins_a_new_frame_and_is_counted(header):
    p = recorder(1000)
    p.resume(header).end()
    assert [record.outcome for record in p.drain(9)] == ["done"]
    assert sum(p.losses.values()) == 1


def test_a_header_that_comes_minutes_late_begins_a_new_frame_and_is_counted():
    header, _ = sent(1000)
    p = recorder(1000 + 120_000 * MS)
    p.resume(header).end()
    assert p.losses == {"carried_too_late": 1}
    assert p.drain(1)[0].marks == []


def test_headers_of_others_never_take_the_room_of_the_stages_here():
    p = recorder(1000)
    for number in range(40):
        other = recorder(1000)
        frame = other.begin()
        for place in range(8):
            with frame.stage(other.stage(f"s{number}-{place}")):
                pass
        p.resume(frame.carry()).end()
    assert p.losses["carried_malformed"] > 0
    for place in range(100):
        p.stage(f"own {place}")


def test_a_stage_of_no_known_kind_is_no_stage():
    other = recorder(1000)
    frame = other.begin()
    with frame.stage(other.stage("a", "odd")):
        pass
    p = recorder(1000)
    p.resume(frame.carry()).end()
    assert p.losses == {"carried_malformed": 1}
    assert p.definition.stages == []


def test_a_frame_that_was_handed_on_is_gone_here():
    header, p = sent(1000)
    frame = p.begin()
    assert frame.carry() != header
    frame.end()
    with p.begin() as inside:
        inside.carry()
    assert p.drain(9) == []
    assert p.losses == {"ended_twice": 1}
    del frame, inside
    assert p.drain(9) == []


def test_notes_stay_behind_and_gpu_work_is_counted():
    p = recorder(1000)
    queue = p.queue("q", 2, "block")
    queue.put(p.begin(), "image")
    frame, _ = queue.get(timeout=1)
    frame._note("work", 0, 3)
    told = read(frame.carry())
    assert told.stages == (("q", "queue"),)
    assert told.marks[::2] == (0, ~0)
    assert DEPTH not in str(told.marks)
    assert p.losses == {"gpu_work_not_carried": 1}


def _work(header: bytes) -> tuple[str, list[int], int]:
    p = Recorder(0, "p", clock=time.monotonic_ns, faults=Faults(raising=True))
    with p.resume(header), p.stage("work"):
        time.sleep(0.002)
    (record,) = p.drain(1)
    return record.outcome, record.marks, record.start_ns


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_a_process_pool_takes_frames_over_by_one_clock(method):
    p = Recorder(0, "p", clock=time.monotonic_ns, faults=Faults(raising=True))
    capture = p.stage("capture")
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context(method)) as pool:
        frame = p.begin()
        with frame.stage(capture):
            pass
        outcome, marks, start = pool.submit(_work, frame.carry()).result(timeout=60)
    assert outcome == "done"
    assert start == frame.start_ns
    assert marks[1::2] == sorted(marks[1::2])
