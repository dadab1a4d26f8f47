"""Counting a frame from its marks alone, and learning from it, says the same as reading it whole."""

from __future__ import annotations

from agency import MS, agent, batch, record
from hypothesis import given
from hypothesis import strategies as st

from framescope import signals as sig
from framescope.agent.counts import FrameCounts
from framescope.agent.intake import fill, outline, owned_by_stage, plain_stages, read_threads
from framescope.agent.totals import Totals
from framescope.agent.waits import Waits
from framescope.handover import DEPTH, TRACE, PipelineDefinition
from framescope.judge.baseline import Baseline

ONE_THREAD = ((1, 0, (0, 0, 0), 3600 * 1000 * MS, (0, 0, 0), -1),)
STAGES = [("a", "cpu"), ("b", "io"), ("c", "gpu"), ("d", "cpu")]
DEFINITION = PipelineDefinition("p", 100 * MS, 10 * MS, STAGES)


@st.composite
def any_marks(draw):
    """Entries and exits in any order, mostly sensible, now and then with a note between them."""
    at, marks, opened = 0, [], []
    for _ in range(draw(st.integers(0, 12))):
        at += draw(st.integers(0, 5 * MS))
        entering = not opened or draw(st.booleans())
        index = draw(st.integers(0, 3)) if entering or draw(st.integers(0, 9)) == 0 else opened[-1]
        if entering:
            opened.append(index)
        elif index in opened:
            opened.remove(index)
        marks += [index if entering else ~index, at]
        if draw(st.integers(0, 9)) == 0:
            marks += draw(st.sampled_from([[(TRACE, 0), "ab" * 24], [(DEPTH, index), 3]]))
    for index in reversed(opened):
        at += draw(st.integers(0, MS))
        marks += [~index, at]
    return marks, at


@given(any_marks(), st.integers(0, 3 * MS))
def test_the_marks_alone_and_the_whole_frame_count_the_same(drawn, waited):
    marks, last = drawn
    one = record(0, marks=marks, start_ns=0, due_ns=-waited, end_ns=last + MS, segments=ONE_THREAD)
    stages = plain_stages(one)
    if stages is None:
        return  # it would be read whole
    ignored: list[str] = []
    frame = outline(one, DEFINITION, ignored.append)
    frame.outcome = "on_time"
    quick, slow = Totals(), Totals()
    FrameCounts(quick, DEFINITION).plain(frame, stages)
    fill(frame, one, DEFINITION, {}, (), ignored.append, Waits().felt)
    FrameCounts(slow, DEFINITION).whole(frame, None)
    assert ignored == []

    def told(totals):
        return {
            (metric, labels): (one.counts, round(one.total, 9), one.least, one.most)
            for metric, series in totals.distributions.items()
            for labels, one in series.items()
        }

    assert told(quick) == told(slow)
    assert quick.counters == slow.counters


@given(any_marks(), st.integers(0, 3 * MS), st.booleans())
def test_the_marks_alone_and_the_whole_frame_teach_the_same(drawn, waited, first):
    marks, last = drawn
    gap = None if first else (-9 * MS, -5 * MS, (0, 0, 0))
    one = record(0, marks=marks, start_ns=0, due_ns=-waited, end_ns=last, segments=ONE_THREAD, gap=gap)
    stages = plain_stages(one)
    if stages is None:
        return
    quick, slow = Baseline(), Baseline()
    frame = outline(one, DEFINITION, str)
    read_threads(frame, one, (), Waits().felt)
    quick.take_plain(frame, owned_by_stage(frame, stages, DEFINITION))
    whole = outline(one, DEFINITION, str)
    fill(whole, one, DEFINITION, {}, (), str, Waits().felt)
    slow.take(whole)

    def told(baseline):
        baseline.settle()
        return baseline.expected_ns, {key: set(one.values) for key, one in baseline._by.items()}

    assert told(quick) == told(slow)


def test_what_has_more_to_tell_than_durations_is_read_whole():
    def plain(marks, segments=ONE_THREAD):
        return plain_stages(record(0, marks=marks, start_ns=0, end_ns=9 * MS, segments=segments)) is not None

    assert plain([0, 0, 1, MS, ~1, 2 * MS, ~0, 3 * MS])  # one in another
    assert plain([0, 0, ~0, MS, (TRACE, 0), "ab" * 24])
    assert not plain([0, 0])  # never left
    assert not plain([~0, 0])  # never entered
    assert plain([0, 0, 0, MS, ~0, 2 * MS, ~0, 3 * MS])  # in itself
    assert not plain([0, 0, ~0, 10 * MS])  # left after the frame's end
    assert not plain([0, 2 * MS, ~0, MS])  # the clock went back
    assert not plain([0, 0, (DEPTH, 0), 3, ~0, MS])
    assert not plain([0, 0, ~0, MS], segments=())


def test_frames_nobody_looks_into_are_still_there_when_somebody_wishes_for_them():
    made, sent, _ = agent()
    definition = PipelineDefinition("p", 10 * MS, 16 * MS, [("a", "cpu")])
    frames = [
        record(n, marks=[0, n * 16 * MS, ~0, n * 16 * MS + 5 * MS], segments=ONE_THREAD) for n in range(200)
    ]
    made.feed(batch(*frames, definition=definition))
    made.tick(frames[-1].end_ns + 10**9)
    wish = batch(definition=definition)
    wish.recalls = [(0, frames[-1].end_ns + 1, 10**9, "asked")]
    made.feed(wish)
    made.tick(frames[-1].end_ns + 10**10)
    kept = {spans[0].attributes[sig.FRAME_ID]: [span.name for span in spans] for spans in sent.frames()}
    assert all(names[0] == "frame" and len(names) > 1 for names in kept.values())
    assert set(range(140, 200)) <= set(kept)


def missed(*frames: tuple[int, int]) -> float | None:
    """What is counted of frames with these (own number, source's number), in the order they ended."""
    totals = Totals()
    counts = FrameCounts(totals, DEFINITION)
    for number, sequence in frames:
        one = record(number, sequence=sequence)
        counts.whole(outline(one, DEFINITION, str), None)
    return totals.counters.get(sig.FRAME_MISSED, {}).get(((sig.FRAME_PIPELINE, "p"),))


def test_gaps_in_the_sources_numbers_are_frames_lost_before_the_pipeline():
    assert missed((0, 500), (1, 501), (2, 504), (3, 505), (4, 507)) == 3


def test_frames_that_overtake_each_other_are_not_missed():
    assert missed((0, 7), (2, 9), (1, 8), (4, 12), (3, 10)) == 1


def test_frames_that_did_not_reach_the_agent_are_no_gap_of_the_sources():
    assert missed((0, 7), (5, 12), (9, 17)) == 1


def test_a_source_that_begins_anew_lost_nothing():
    assert missed((0, 70_000), (1, 70_001), (2, 0), (3, 1), (4, 3)) == 1
    assert missed((0, 0), (1, 1), (2, 1_000_000)) == 0


def test_where_a_source_gives_no_numbers_nothing_is_known_of_gaps():
    assert missed((0, 0), (1, 1), (2, 2)) is None
