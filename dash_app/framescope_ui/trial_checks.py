"""Where the doctor's test frame has got to: looked for as the pages look for frames, until it is found."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from framescope import signals
from framescope.doctor import Finding
from framescope.trial import Trial
from framescope_ui.backends.protocols import BackendError, FrameQuery, MetricStore, TraceStore
from framescope_ui.questions.stores import NS

PATIENCE_SECONDS: Final = 60.0
"""Longer than any usual way: a batch, Tempo's search, the 30 s VictoriaMetrics hides of its own."""
PAUSE_SECONDS: Final = 0.5
MARGIN_NS: Final = 120 * NS
"""Around the time it was sent, for clocks that differ."""


@dataclass(frozen=True, slots=True)
class _Link:
    """One place the frame must show up in: a question that is true once it has."""

    check: str
    what: str
    shows: Callable[[], Awaitable[bool]]
    change: str


async def follow(
    trial: Trial,
    traces: TraceStore,
    metrics: MetricStore,
    clock_ns: Callable[[], int],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> list[Finding]:
    """Look for the frame in each place at once; a finding for each, with the time it took to get there."""
    start_ns, end_ns = trial.sent_ns - MARGIN_NS, trial.sent_ns + MARGIN_NS

    async def kept() -> bool:
        query = FrameQuery(trial.service, trial.pipeline, start_ns, end_ns, limit=20)
        for row in (await traces.frames(query)).frames:
            whole = await traces.trace(row.trace_id)
            for span in whole.spans if whole is not None else ():
                if span.attributes.get(signals.FRAME_SEQUENCE) == trial.sequence:
                    return True
        return False

    async def recorded() -> bool:
        since = trial.sent_ns - 2 * NS
        return bool(await traces.every_frame(trial.service, trial.pipeline, since, end_ns, limit=20))

    async def counted() -> bool:
        where = {signals.SERVICE_NAME: trial.service, signals.FRAME_PIPELINE: trial.pipeline}
        found = await metrics.increase(
            signals.FRAME_COUNT, where, trial.sent_ns - 60 * NS, clock_ns() + NS, NS
        )
        # An earlier test frame, of the last minute, is counted there too.
        return any(
            value > 0 and at_ns > trial.sent_ns
            for series in found
            for at_ns, value in zip(series.times_ns, series.values, strict=True)
        )

    links = (
        _Link(
            "test frame: kept",
            f"found by search and read whole from {traces.name}",
            kept,
            "see the Collector's log and its exporter of traces, and that traces.url and tenant are right",
        ),
        _Link(
            "test frame: record",
            f"its `frames` record found in {traces.name}",
            recorded,
            "see whether the Collector drops or samples traces: `frames` records must all pass",
        ),
        _Link(
            "test frame: counted",
            f"counted in {metrics.name}",
            counted,
            "see the Collector's log and its exporter of metrics, and that metrics.url and tenant are right",
        ),
    )
    return list(await asyncio.gather(*(_looked_for(link, trial, clock_ns, sleep) for link in links)))


async def _looked_for(
    link: _Link, trial: Trial, clock_ns: Callable[[], int], sleep: Callable[[float], Awaitable[None]]
) -> Finding:
    refusal: BackendError | None = None
    while True:
        try:
            if await link.shows():
                seconds = (clock_ns() - trial.sent_ns) / NS
                return Finding(link.check, "ok", f"{link.what} after {seconds:.1f} s")
            refusal = None
        except BackendError as error:
            refusal = error
        if clock_ns() - trial.sent_ns > PATIENCE_SECONDS * NS:
            text = f"not {link.what} after {PATIENCE_SECONDS:.0f} s"
            why = f" ({refusal})" if refusal is not None else ""
            return Finding(link.check, "fail", text + why, link.change, unreachable=refusal is not None)
        await sleep(PAUSE_SECONDS)
