"""Receivers that answer nonsense, or nothing: what was not taken is counted by reason; buffers are small."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

import pytest
from bench._receivers import Manner, on_thread
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext

from framescope.agent import export
from framescope.agent.export import Exports, otlp_exporters, quiet_exporters

FRAMES = 3


def frames(number: int = FRAMES) -> list[list[ReadableSpan]]:
    """Kept frames: a root and two stages each."""
    made = []
    for trace in range(1, number + 1):
        contexts = [SpanContext(trace, span, False) for span in (1, 2, 3)]
        made.append(
            [
                ReadableSpan("frame", one, contexts[0] if one is not contexts[0] else None, Resource({}),
                             start_time=1, end_time=2)
                for one in contexts
            ]
        )  # fmt: skip
    return made


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Pauses and time limits a hundredth of what they are."""
    monkeypatch.setattr(export, "PAUSES_S", (0.01,))
    monkeypatch.setattr(export, "FAST_S", 0.4)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.5")
    return monkeypatch


def sent_to(manner: Manner, patch: pytest.MonkeyPatch, seconds: float = 8.0) -> dict[str, int]:
    """What is lost of a parcel of frames that is sent to such a receiver."""
    with on_thread(manner) as receiver:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        exports = Exports(*otlp_exporters())
        exports.put_spans(frames())
        give_up = time.monotonic() + seconds
        while exports.spans.waiting_frames and time.monotonic() < give_up:
            time.sleep(0.01)
        exports.close(0.2)
        give_up = time.monotonic() + 20
        while exports.spans.waiting_frames and time.monotonic() < give_up:
            time.sleep(0.01)  # the lane may be in the middle of a try
    return exports.losses()


@pytest.mark.parametrize("manner", ["too large", "redirecting"])
def test_a_parcel_that_is_refused_again_and_again_is_given_up_and_counted(
    hasty: pytest.MonkeyPatch, manner: Manner
) -> None:
    assert sent_to(manner, hasty) == {"export_refused": FRAMES}


@pytest.mark.parametrize("manner", ["dead", "resetting", "refusing", "garbage", "slow headers"])
def test_what_a_receiver_never_took_is_counted_when_the_agent_ends(
    hasty: pytest.MonkeyPatch, manner: Manner
) -> None:
    lost = sent_to(manner, hasty, 0.5)
    assert sum(lost.values()) == FRAMES
    assert set(lost) <= {"export_at_exit", "export_refused"}


@pytest.mark.parametrize("manner", ["healthy", "no protobuf", "endless"])
def test_an_answer_that_says_yes_is_yes_whatever_follows(hasty: pytest.MonkeyPatch, manner: Manner) -> None:
    assert sent_to(manner, hasty) == {}


def test_what_a_receiver_says_it_rejected_is_counted(hasty: pytest.MonkeyPatch) -> None:
    assert sent_to("rejecting", hasty) == {"export_rejected": FRAMES}


def test_a_receiver_that_stays_away_holds_a_bounded_number_of_frames(hasty: pytest.MonkeyPatch) -> None:
    hasty.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    exports = Exports(*otlp_exporters())
    for _ in range(200):
        exports.put_spans(frames(100))
    assert exports.spans.waiting_frames * 3 <= export.SPANS_HELD
    assert exports.losses()["export_queue_full"] > 0
    exports.close(0.1)
    give_up = time.monotonic() + 20
    while sum(exports.losses().values()) < 200 * 100 and time.monotonic() < give_up:
        time.sleep(0.05)  # the lane may be in the middle of a try
    assert sum(exports.losses().values()) == 200 * 100


def test_a_dead_receiver_is_told_of_once_a_minute(
    hasty: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    quiet_exporters()
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            sent_to("dead", hasty, 0.2)
    told = [record.name for record in caplog.records]
    assert len(told) == len(set(told))
