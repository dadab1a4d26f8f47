"""The second Collector file: what framescope kept passes whole, of the rest only what is worth it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import emission
import httpx
import pytest
from contract import base, service
from emission import MS, SECOND
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Status, StatusCode
from programs import until
from stacks import Collector, Stack, span_id, trace_id

from framescope import signals

__all__ = ["base", "service"]
pytestmark = [pytest.mark.stack, pytest.mark.timeout(180)]


@pytest.fixture
def sampling(victoria_jaeger: Stack, tmp_path: Path) -> Iterator[Collector]:
    """A Collector that samples, in front of the same servers."""
    collector = Collector(
        tmp_path,
        victoria_jaeger.metrics_in,
        victoria_jaeger.traces_in,
        ["otel-collector-tail-sampling.yaml"],
        {"COLLECTOR_DECISION_WAIT": "2s", "COLLECTOR_KEEP_PERCENT": "10"},
    )
    try:
        collector.start()
        yield collector
    finally:
        collector.kill()


def _others(span: ReadableSpan, *without: str) -> ReadableSpan:
    """The same span as another library's, without some attributes."""
    return ReadableSpan(
        name=span.name,
        context=span.get_span_context(),
        parent=span.parent,
        resource=span.resource,
        attributes={key: value for key, value in (span.attributes or {}).items() if key not in without},
        status=span.status,
        start_time=span.start_time,
        end_time=span.end_time,
    )


def _request(service: str, start: int, duration: int, status: Status | None = None) -> ReadableSpan:
    origin = emission.resource(service)
    return _others(emission.span("GET /scan", start, start + duration, {}, origin, status=status))


def test_what_was_kept_passes_and_of_other_traces_the_slow_the_failed_and_a_share(
    sampling: Collector, victoria_jaeger: Stack, service: str, base: int
) -> None:
    origin = emission.resource(service)
    framescopes = [
        span
        for place in range(200)
        for span in emission.frame(
            origin, base + place * 10 * MS, (20 if place % 2 else 8) * MS, frame_id=place, cause="cpu_work"
        )
    ]
    framescopes += [emission.frames_record(origin, base + s * SECOND, 100 * s, [9000] * 100) for s in (0, 1)]
    framescopes.append(emission.mark(origin, base, "1.4"))

    # A call that another library traced inside a kept frame, and a frame of an emitter of other make.
    inside = _others(emission.span("SELECT", base, base + MS, {}, origin, parent=framescopes[0]))
    foreign_kept = [_others(span) for span in emission.frame(origin, base, 8 * MS)]
    foreign_slow = [_others(span, signals.FRAME_KEPT) for span in emission.frame(origin, base, 20 * MS)]
    slow = _request(service, base, 300 * MS)
    failed = _request(service, base, MS, Status(StatusCode.ERROR))
    plain = [_request(service, base + place * MS, MS) for place in range(400)]
    wanted = [*framescopes, inside, *foreign_kept, *foreign_slow, slow, failed]

    sampling.push(framescopes)
    sampling.push([*plain, inside, *foreign_kept, *foreign_slow, slow, failed])

    with httpx.Client(timeout=30, trust_env=False) as http:
        ids = {span_id(span) for span in wanted}
        until(lambda: ids <= victoria_jaeger.span_ids(http, wanted), "all that was to be kept", 60, 0.5)
        # The plain ones were decided in the same round as the slow one.
        kept = victoria_jaeger.span_ids(http, plain)
        assert 10 <= len(kept) <= 90, "about a tenth of 400"
        assert len({trace_id(span) for span in plain}) == 400


def test_framescopes_spans_do_not_wait_for_the_decision(
    victoria_jaeger: Stack, tmp_path: Path, service: str, base: int
) -> None:
    collector = Collector(
        tmp_path,
        victoria_jaeger.metrics_in,
        victoria_jaeger.traces_in,
        ["otel-collector-tail-sampling.yaml"],
        {"COLLECTOR_DECISION_WAIT": "10m"},
    )
    frame = emission.frame(emission.resource(service), base, 20 * MS)
    ids = {span_id(span) for span in frame}
    try:
        collector.start()
        collector.push(frame)
        with httpx.Client(timeout=30, trust_env=False) as http:
            until(lambda: ids <= victoria_jaeger.span_ids(http, frame), "the frame", 30)
    finally:
        collector.kill()
