"""The flight recorder: when many frames go wrong after a calm, the seconds before are kept whole."""

from __future__ import annotations

import re

from agency import MS, S, agent, batch, record

from framescope import signals as sig
from framescope.agent.burst import CALM_NS, REST_NS, BurstTrigger
from framescope.judge.model import Frame

FPS = 50


def second(at_s: float, bad: int = 0, outcome: str = "slow", fps: int = FPS) -> list[Frame]:
    """A second's frames, the last so many of them bad."""
    start = round(at_s * S)
    return [
        Frame("p", n, n, *[start + n * S // fps] * 2, start + (n + 1) * S // fps,
              outcome="on_time" if n < fps - bad else outcome)
        for n in range(fps)
    ]  # fmt: skip


def calm(trigger: BurstTrigger, since_s: int, until_s: int) -> None:
    for at in range(since_s, until_s):
        assert trigger.pulled(second(at)) == ""


def test_a_burst_after_a_calm_is_told_in_words():
    trigger = BurstTrigger()
    calm(trigger, 0, 20)
    assert trigger.pulled(second(20, bad=7)) == "7 slow of 50 frames"


def test_failed_and_dropped_frames_are_bad_ones_too():
    trigger = BurstTrigger()
    calm(trigger, 0, 20)
    mixed = second(20, bad=3, outcome="failed")[25:] + second(21, bad=2, outcome="dropped")[25:]
    assert trigger.pulled(mixed) == "2 dropped, 3 failed of 50 frames"


def test_two_bad_frames_or_a_few_among_very_many_are_no_burst():
    trigger = BurstTrigger()
    calm(trigger, 0, 20)
    assert trigger.pulled(second(20, bad=2)) == ""
    assert trigger.pulled(second(21, bad=4)) == ""
    assert trigger.pulled(second(22, bad=99, fps=1000)) == ""


def test_a_pipeline_that_starts_badly_has_no_calm_before():
    trigger = BurstTrigger()
    for at in range(30):
        assert trigger.pulled(second(at, bad=10)) == ""


def test_a_storm_that_lasts_is_one_and_another_comes_after_a_calm_and_a_rest():
    trigger = BurstTrigger()
    calm(trigger, 0, 20)
    assert trigger.pulled(second(20, bad=10))
    assert not any(trigger.pulled(second(at, bad=10)) for at in range(21, 100))
    calm(trigger, 100, 100 + CALM_NS // S + 1)
    assert trigger.pulled(second(200, bad=10))
    calm(trigger, 201, 220)
    assert not trigger.pulled(second(220, bad=10)), "calm, but a minute has not gone by"
    calm(trigger, 221, 200 + REST_NS // S)
    assert trigger.pulled(second(300, bad=10))


def fed(**settings: object):
    """Twenty seconds of calm, told second by second, and then one in which every frame is slow."""
    made, sent, _ = agent(baseline_every=0, **settings)
    a_second = S // (16 * MS) + 1
    for at in range(22):
        numbers = range(at * a_second, (at + 1) * a_second)
        made.feed(batch(*(record(n, 30 if at == 20 else 6) for n in numbers)))
        made.tick((at + 1) * a_second * 16 * MS + S)
    made.tick(60 * S)
    return sent


def test_the_agent_keeps_the_seconds_before_a_burst_whole_and_marks_it():
    sent = fed(flight_recorder_ns=2 * S, keep_budget=200)
    kept = [spans[0].attributes for spans in sent.frames()]
    before = [told for told in kept if told[sig.FRAME_KEPT] == "manual"]
    assert 60 <= len(before) <= 125, "two seconds of 62 frames, less those that were slow"
    assert {told[sig.FRAME_OUTCOME] for told in before} == {"on_time"}
    (mark,) = (spans[0] for spans in sent.groups if spans[0].name == sig.SPAN_MARK)
    assert re.fullmatch(r"kept the last 2 s: \d+ slow of \d+ frames", mark.attributes[sig.MARK_TEXT])


def ended(farewell: bool, **settings: object):
    made, sent, _ = agent(baseline_every=0, **settings)
    made._clock = lambda: 30 * S
    made.feed(batch(*(record(n) for n in range(40)), farewell=farewell))
    made.host_ended()
    made.close()
    return [spans[0].attributes[sig.FRAME_KEPT] for spans in sent.frames()]


def test_a_host_that_ended_without_a_word_has_its_last_seconds_kept_and_one_that_said_good_bye_has_not():
    assert ended(False, flight_recorder_ns=60 * S) == ["manual"] * 40
    assert ended(True, flight_recorder_ns=60 * S) == []
    assert ended(False, flight_recorder_ns=0) == []


def test_switched_off_it_keeps_what_would_be_kept_anyway():
    sent = fed(flight_recorder_ns=0)
    assert not any(spans[0].attributes[sig.FRAME_KEPT] == "manual" for spans in sent.frames())
    assert not any(spans[0].name == sig.SPAN_MARK for spans in sent.groups)
