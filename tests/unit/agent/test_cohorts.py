"""Content attributes become cohorts, and cohorts are few."""

from __future__ import annotations

from collections import Counter

from agency import S, agent, batch, record

from framescope import signals as sig
from framescope.agent.cohorts import NAMES, OTHER, VALUES, Cohorts
from framescope.agent.record import LONGEST_TEXT


def test_the_first_texts_of_an_attribute_are_kept_and_later_ones_are_others():
    cohorts, missed = Cohorts(), Counter()
    count = missed.update
    for number in range(VALUES + 5):
        told = cohorts.of({"scan": f"id {number}"}, lambda reason: count([reason]))
        assert told == {"scan": f"id {number}" if number < VALUES else OTHER}
    assert cohorts.of({"scan": "id 0"}, lambda reason: count([reason])) == {"scan": "id 0"}
    assert missed == {"attribute_values": 5}


def test_numbers_and_truth_values_are_kept_as_they_are():
    cohorts, missed = Cohorts(), []
    for number in range(10 * VALUES):
        assert cohorts.of({"lines": number, "harmonic": True}, missed.append)["lines"] == number
    assert missed == []


def test_names_made_up_on_the_way_are_left_out():
    cohorts, missed = Cohorts(), []
    for number in range(NAMES):
        cohorts.of({f"name {number}": 1}, missed.append)
    assert cohorts.of({"one more": 1, "name 0": 2}, missed.append) == {"name 0": 2}
    assert missed == ["attribute_names"]


def test_kept_frames_carry_few_values_and_what_was_exceeded_is_counted():
    made, sent, _ = agent(baseline_every=1, keep_budget=1000)
    made.feed(batch(*(record(n, attributes={"scan": f"id {n}"}) for n in range(VALUES + 10))))
    made.tick(60 * S)
    values = Counter(spans[0].attributes["scan"] for spans in sent.frames())
    assert len(values) == VALUES + 1
    assert values[OTHER] == 10
    lost = sent.counter(sig.FS_FRAMES_LOST)
    assert lost[(sig.FRAME_PIPELINE, "p"), (sig.REASON, "attribute_values")] == 10


def test_the_record_tells_the_attributes_of_every_frame_kept_or_not():
    made, sent, _ = agent(baseline_every=0)
    told = [
        {"mode": "b", "depth": 4, "gain": 0.1234567, "frozen": False, "patient": "x" * (LONGEST_TEXT + 1)},
        {"mode": "b", "depth": 5, "gain": float("nan"), "frozen": True},
        {"mode": "b", "depth": 5},
    ]
    made.feed(batch(*(record(n, attributes=one) for n, one in enumerate(told))))
    made.tick(60 * S)
    assert not sent.frames()
    (one,) = sent.records()
    prefix = sig.BATCH_ATTRIBUTES_PREFIX
    assert {k.removeprefix(prefix): list(v) for k, v in one.attributes.items() if k.startswith(prefix)} == {
        "mode": ["b"],
        "depth": ["4", "5", "5"],
        "gain": ["0.123457", "", ""],
        "frozen": ["false", "true", ""],
    }


def test_a_record_of_frames_without_attributes_is_as_before():
    made, sent, _ = agent()
    made.feed(batch(record(0), record(1)))
    made.tick(60 * S)
    assert not any(name.startswith(sig.BATCH_ATTRIBUTES_PREFIX) for name in sent.records()[0].attributes)
