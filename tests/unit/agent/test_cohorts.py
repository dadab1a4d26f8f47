"""Content attributes become cohorts, and cohorts are few."""

from __future__ import annotations

from collections import Counter

from agency import S, agent, batch, record

from framescope import signals as sig
from framescope.agent.cohorts import NAMES, OTHER, VALUES, Cohorts


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
