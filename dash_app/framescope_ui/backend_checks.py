"""What `framescope doctor` asks the backends the app reads from: do they answer, with what, and how well.

Everything here puts a few bounded questions to a store through the protocols, so that a backend is looked
at by the very code that reads from it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from typing import Final

import httpx

from framescope import signals
from framescope.config import Configuration
from framescope.doctor import Finding
from framescope_ui.backends.protocols import (
    BackendAway,
    BackendError,
    MetricStore,
    PipelineRef,
    TraceStore,
)
from framescope_ui.connections import Connection
from framescope_ui.questions.stores import NS

LOOK_BACK_SECONDS: Final = 600
"""How far back framescope's own signals are looked for."""
CLOCK_SECONDS: Final = 1.0
"""A backend's or an emitter's clock that is off by more than this puts frames and readings apart."""


def setup(found: Configuration, where: Connection) -> list[Finding]:
    """What can be said of a connection without asking anybody."""
    check = f"{where.signal} access"
    if where.access is None:
        return [
            Finding(
                check, "ok", f"{where.signal} are read from the embedded store in {found.path('data_dir')}"
            )
        ]
    url = found.text(f"{where.signal}.url")
    given = [
        f"{name} from {found.origin(f'{where.signal}.{name}')}"
        for name in ("password", "bearer", "headers")
        if found.value(f"{where.signal}.{name}") is not None
    ]
    text = f"{where.backend} at {url}, {'; '.join(given) if given else 'without credentials'}"
    if given and where.in_the_open:
        change = f"use https:// in {where.signal}.url: the credentials can be read on their way"
        return [Finding(check, "warn", text, change)]
    return [Finding(check, "ok", text)]


async def reached(where: Connection, store: TraceStore | MetricStore) -> list[Finding]:
    """Does it answer with these credentials, what is it, and what can it not answer as it is set up?"""
    check = f"{where.signal} backend"
    try:
        about = await store.about()
    except BackendError as error:
        return [unanswered(check, where, error)]
    what = f"{about.product} {about.version or '(it does not say its version)'}"
    place = f" at {where.access.place}" if where.access is not None else ""
    by_nature = "; ".join(short.what for short in about.shortcomings if short.inherent)
    never = f". Not from this product: {by_nature} (the Live page says why)" if by_nature else ""
    return [
        Finding(check, "ok", f"{what}{place} answers{never}"),
        *(
            Finding(check, "warn", f"{short.what}: {short.why}", short.change)
            for short in about.shortcomings
            if not short.inherent
        ),
    ]


def unanswered(check: str, where: Connection, error: BackendError) -> Finding:
    """A question that a backend did not answer, and what to change."""
    if isinstance(error, BackendAway):
        change = (
            f"start it, or correct {where.signal}.url"
            if where.access is not None
            else f"start `framescope store`, or set {where.signal}.url to read {where.signal} from elsewhere"
        )
        return Finding(check, "fail", str(error), change, unreachable=True)
    change = f"correct {where.signal}.username, password_file, bearer_file, headers_file or tenant"
    return Finding(
        check, "fail", str(error), change if "credential" in error.reason else f"see {where.signal}.*"
    )


# --- what has arrived -------------------------------------------------------------------------------


async def arrivals(
    traces: TraceStore, metrics: MetricStore, connections: tuple[Connection, Connection], now_ns: int
) -> list[Finding]:
    """Are framescope's own frames and metrics found, under the names they are asked for by?"""
    of_traces, of_metrics = connections
    start_ns = now_ns - LOOK_BACK_SECONDS * NS
    try:
        heard = await traces.pipelines(start_ns, now_ns + 60 * NS)
    except BackendError as error:
        return [unanswered("frames", of_traces, error)]
    if not heard:
        return await _only_metrics(metrics, of_metrics, start_ns, now_ns)
    newest = max(heard, key=lambda ref: ref.newest_ns or 0)
    findings = [_frames_of(newest, len(heard), now_ns)]
    try:
        findings += [
            await _names(metrics, newest, start_ns, now_ns),
            *await _clock_errors(metrics, start_ns, now_ns),
        ]
    except BackendError as error:
        findings.append(unanswered("metric names", of_metrics, error))
    return findings


def _frames_of(newest: PipelineRef, pipelines: int, now_ns: int) -> Finding:
    text = f"{pipelines} pipeline{'s' if pipelines > 1 else ''} in the last {LOOK_BACK_SECONDS // 60} minutes"
    if newest.newest_ns is None:
        return Finding("frames", "ok", text)
    age = (now_ns - newest.newest_ns) / NS
    named = f"{newest.service}/{newest.pipeline}"
    if age < -CLOCK_SECONDS:
        change = f"set the clock of {newest.host or 'the machine it runs on'} and of this one (chrony, ntpd)"
        return Finding("frames", "warn", f"the newest frame of {named} is {-age:.1f} s in the future", change)
    return Finding("frames", "ok", f"{text}; the newest frame, of {named}, ended {max(age, 0):.1f} s ago")


async def _names(metrics: MetricStore, ref: PipelineRef, start_ns: int, now_ns: int) -> Finding:
    """One metric of each instrument: each is named and stored in another way."""
    where = {signals.SERVICE_NAME: ref.service, signals.FRAME_PIPELINE: ref.pipeline}
    range_ns = (start_ns, now_ns + NS)
    asked: list[tuple[str, bool]] = [
        (signals.FRAME_COUNT, bool(await metrics.increase(signals.FRAME_COUNT, where, *range_ns, 60 * NS))),
        (
            signals.FRAME_LATENCY,
            bool(await metrics.histogram(signals.FRAME_LATENCY, where, *range_ns, 60 * NS)),
        ),
        (signals.FRAME_BUDGET_LIMIT, bool(await metrics.gauge(signals.FRAME_BUDGET_LIMIT, where, *range_ns))),
    ]
    shown = [f"{name} ({signals.METRICS[name].instrument})" for name, there in asked if there]
    absent = [f"{name} ({signals.METRICS[name].instrument})" for name, there in asked if not there]
    named = f"{ref.service}/{ref.pipeline}"
    if not shown:
        change = (
            "see that the Collector sends metrics to this backend, and that metrics.url and tenant are right"
        )
        return Finding("metric names", "fail", f"frames of {named} arrive, none of their metrics do", change)
    if absent:
        change = "docs/backends.md says how the backend must store what arrives by OTLP"
        text = f"of {named} found: {', '.join(shown)}; not found: {', '.join(absent)}"
        return Finding("metric names", "warn", text, change)
    return Finding("metric names", "ok", f"of {named} found: {', '.join(shown)}")


async def _only_metrics(metrics: MetricStore, where: Connection, start_ns: int, now_ns: int) -> list[Finding]:
    try:
        found = await metrics.gauge(signals.FS_CLOCK_ERROR, {}, start_ns, now_ns + NS, max_points=1000)
    except BackendError as error:
        return [unanswered("metric names", where, error)]
    services = sorted({series.attributes.get(signals.SERVICE_NAME, "?") for series in found})
    minutes = LOOK_BACK_SECONDS // 60
    if not services:
        change = "start a pipeline, or send a test frame with --send-test"
        return [Finding("frames", "skip", f"no frame and no metric in the last {minutes} minutes", change)]
    change = "see that the Collector sends traces to the backend they are read from"
    text = f"metrics of {', '.join(services[:5])} arrive, no frames in the last {minutes} minutes"
    return [Finding("frames", "fail", text, change)]


async def _clock_errors(metrics: MetricStore, start_ns: int, now_ns: int) -> list[Finding]:
    """How well the emitters know the time, as they say themselves."""
    worst: dict[str, float] = {}
    for series in await metrics.gauge(signals.FS_CLOCK_ERROR, {}, start_ns, now_ns + NS, max_points=1000):
        if series.values and signals.FS_PROBE_NAME not in series.attributes:  # not a device's
            name = series.attributes.get(signals.HOST_NAME) or series.attributes.get(
                signals.SERVICE_NAME, "?"
            )
            worst[name] = max(worst.get(name, 0.0), series.values[-1])
    if not worst:
        return []
    said = ", ".join(f"{name} ±{value * 1000:.3g} ms" for name, value in sorted(worst.items())[:5])
    off = max(worst.values()) > CLOCK_SECONDS
    change = "set the emitters' clocks (chrony, ntpd)" if off else ""
    return [Finding("emitters' clocks", "warn" if off else "ok", said, change)]


# --- clocks -----------------------------------------------------------------------------------------


async def clock(where: Connection, transport: httpx.AsyncBaseTransport | None = None) -> list[Finding]:
    """How far the backend's clock is from this machine's, by the Date header of an answer."""
    check = f"{where.signal} clock"
    access = where.access
    if access is None:
        return []
    try:
        async with httpx.AsyncClient(
            transport=transport, verify=access.trust(), timeout=access.timeout_seconds, trust_env=False
        ) as http:
            asked = time.time()
            answer = await http.get(f"{access.base}/", headers=dict(access.headers()))
            answered = time.time()
    except (httpx.HTTPError, OSError, ValueError):
        return [Finding(check, "skip", "not known: it does not answer")]
    try:
        date = parsedate_to_datetime(answer.headers["date"]).timestamp()
    except (KeyError, ValueError, TypeError):
        return [Finding(check, "skip", "not known: its answers carry no date")]
    return [compared(check, *offset(date, asked, answered))]


def offset(date: float, asked: float, answered: float) -> tuple[float, float]:
    """The least and the most, in s, that a clock can be ahead of ours which said ``date`` between two
    readings of ours. A Date header tells whole seconds, rounded down (RFC 9110, 6.6.1)."""
    return date - answered, date + 1.0 - asked


def compared(check: str, least: float, most: float) -> Finding:
    """What two clocks' offset means; it is known only to lie between the two."""
    if least <= 0.0 <= most:
        return Finding(check, "ok", "as this machine's, as far as whole seconds tell")
    by, way = (least, "ahead of") if least > 0 else (-most, "behind")
    text = f"at least {by:.1f} s {way} this machine's (its answers tell whole seconds)"
    if by < CLOCK_SECONDS:
        return Finding(check, "ok", text)
    return Finding(check, "warn", text, "set the clocks of both machines (chrony, ntpd)")


async def examined(
    found: Configuration,
    connections: tuple[Connection, Connection],
    traces: TraceStore,
    metrics: MetricStore,
    now_ns: int,
) -> list[Finding]:
    """All of the above, what does not depend on another side by side."""
    of_traces, of_metrics = connections
    said: Sequence[Sequence[Finding]] = await asyncio.gather(
        reached(of_traces, traces), clock(of_traces), reached(of_metrics, metrics), clock(of_metrics)
    )
    findings = [*setup(found, of_traces), *said[0], *said[1], *setup(found, of_metrics), *said[2], *said[3]]
    if any(finding.unreachable for finding in findings):
        return findings
    return [*findings, *await arrivals(traces, metrics, connections, now_ns)]
