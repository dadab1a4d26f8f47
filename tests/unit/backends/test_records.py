"""``frames`` records as backends answer them."""

from __future__ import annotations

from framescope import signals as sig
from framescope_ui.backends.protocols import Span
from framescope_ui.backends.records import batch_of


def record(**told: object) -> Span:
    """A record of a slow pipeline: one frame in its second."""
    attributes = {
        sig.FRAME_PIPELINE: "cine",
        sig.BATCH_FIRST_ID: 7,
        sig.BATCH_OFFSETS_US: [0],
        sig.BATCH_LATENCIES_US: [7684],
        sig.BATCH_OUTCOMES: "s",
        sig.BATCH_CAUSES: ["CW"],
        sig.BATCH_DEPTHS_PREFIX + "rt": [2],
        sig.BATCH_ATTRIBUTES_PREFIX + "mode": ["b"],
        **told,
    }
    return Span("ab" * 16, "cd" * 8, None, sig.SPAN_FRAMES, 0, 7_684_000, attributes)  # type: ignore[arg-type]


def test_a_list_of_one_that_a_search_answers_as_its_item_is_still_a_list() -> None:
    as_items = {
        sig.BATCH_OFFSETS_US: 0,
        sig.BATCH_LATENCIES_US: 7684,
        sig.BATCH_CAUSES: "CW",
        sig.BATCH_DEPTHS_PREFIX + "rt": 2,
        sig.BATCH_ATTRIBUTES_PREFIX + "mode": "b",
    }
    assert batch_of("us", record(**as_items)) == batch_of("us", record()) is not None


def test_lists_that_do_not_fit_together_are_no_record() -> None:
    assert batch_of("us", record(**{sig.BATCH_OFFSETS_US: [0, 1]})) is None
    assert batch_of("us", record(**{sig.BATCH_OFFSETS_US: True})) is None


def test_an_attribute_that_does_not_fit_its_record_is_left_out_and_the_record_stays() -> None:
    for odd in (["b", "b"], [1], 4, [None]):
        made = batch_of("us", record(**{sig.BATCH_ATTRIBUTES_PREFIX + "mode": odd}))
        assert made is not None and made.attributes == {}
