"""What the app asks of any store: two small protocols and the plain types they speak.

Rules every backend keeps, checked by ``tests/backends``:

* A time range is half-open, ``[start_ns, end_ns)``, in unix nanoseconds.
* Nothing found is an empty result. ``None`` from ``trace`` means the id is unknown.
* A backend that does not answer raises ``BackendAway``; one that refuses the question raises
  ``BackendRefused``; one that cannot answer this kind of question raises ``Unsupported``. Nothing else.
* No result is unbounded: a page of frames has a limit, a series has a greatest number of points.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from framescope import signals

AttributeValue = str | bool | int | float | Sequence[str] | Sequence[bool] | Sequence[int] | Sequence[float]
Attributes = Mapping[str, AttributeValue]


class BackendError(Exception):
    """A question a backend did not answer. ``backend`` is its name, ``reason`` is for people."""

    def __init__(self, backend: str, reason: str) -> None:
        super().__init__(f"{backend}: {reason}")
        self.backend = backend
        self.reason = reason


class BackendAway(BackendError):
    """It does not answer at all: refused, timed out, gone. Worth asking again later."""


class BackendRefused(BackendError):
    """It answered, with an error. Asking the same again will not help."""


class Unsupported(BackendError):
    """It cannot answer this kind of question."""


@dataclass(frozen=True, slots=True)
class Shortcoming:
    """Something a backend cannot answer as it is set up.

    ``what`` is missing, ``why``, and what would ``change`` that ("" if nothing would). ``inherent``: it is so
    with this product however it is set up; ``change`` is then what to do instead.
    """

    what: str
    why: str
    change: str = ""
    inherent: bool = False


@dataclass(frozen=True, slots=True)
class About:
    """What a backend is, as found by asking it: product, version (None: it does not say), shortcomings."""

    product: str
    version: str | None
    shortcomings: tuple[Shortcoming, ...] = ()


@dataclass(frozen=True, slots=True)
class PipelineRef:
    """One pipeline of one service, and when it was last heard of."""

    service: str
    pipeline: str
    newest_ns: int | None = None
    host: str | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """One span of a trace, as the wire had it. Times are unix ns."""

    trace_id: str
    span_id: str
    parent_span_id: str | None
    name: str
    start_ns: int
    end_ns: int
    attributes: Attributes
    status: Literal["unset", "ok", "error"] = "unset"
    status_message: str = ""
    events: tuple[SpanEvent, ...] = ()


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """Something that happened inside a span (an exception, say)."""

    name: str
    time_ns: int
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class Trace:
    """All spans of one trace id, root first where there is one, with their resource's attributes.

    ``services`` tells by span id whose a frame is where that is not the resource's service: a trace may hold
    frames of several.
    """

    trace_id: str
    resource: Attributes
    spans: tuple[Span, ...]
    partial: bool = False
    services: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FrameQuery:
    """Which kept frames, in which order.

    ``outcomes``, ``causes`` and ``kept`` (why it was kept) empty means any. ``stage`` is the
    guilty stage. ``cursor`` is what the page before answered. Not ``counted``: nobody needs the total.
    """

    service: str | None = None
    pipeline: str | None = None
    start_ns: int | None = None
    end_ns: int | None = None
    outcomes: tuple[str, ...] = ()
    causes: tuple[str, ...] = ()
    stage: str | None = None
    min_latency_ns: int | None = None
    order: Literal["duration", "time"] = "time"
    limit: int = 100
    cursor: str | None = None
    kept: tuple[str, ...] = ()
    counted: bool = True


@dataclass(frozen=True, slots=True)
class FrameRow:
    """One kept frame in a list: its root span, and the stage that lost most (None if none did)."""

    trace_id: str
    service: str
    start_ns: int
    latency_ns: int
    attributes: Attributes
    stage: str | None = None


@dataclass(frozen=True, slots=True)
class FramePage:
    """One page of kept frames; ``next_cursor`` None at the end; ``total`` where it is cheap to know."""

    frames: tuple[FrameRow, ...]
    next_cursor: str | None = None
    total: int | None = None


@dataclass(frozen=True, slots=True)
class FrameBatch:
    """One ``frames`` record: every frame that ended in about one second of one pipeline.

    ``start_ns`` unix ns; ``offsets_us`` of each frame's due time from it; ``latencies_us``;
    ``outcomes`` a letter each (``signals.OUTCOMES``); ``causes`` the two-letter codes of the slow ones,
    in their order; ``depths`` per queue, one reading a frame (the depth found on entry, −1 unknown);
    ``attributes`` per content attribute, a text a frame ("" where it has none) or one text for all of them.
    """

    service: str
    pipeline: str
    start_ns: int
    first_id: int
    offsets_us: Sequence[int]
    latencies_us: Sequence[int]
    outcomes: str
    causes: Sequence[str] = ()
    depths: Mapping[str, Sequence[int]] = field(default_factory=dict)
    budget_ns: int | None = None
    attributes: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Mark:
    """A change marker."""

    service: str
    time_ns: int
    text: str

    @property
    def of_a_change(self) -> bool:
        """Whether something changed then. The flight recorder marks what it kept because frames were slow: to
        compare before and after it, or to call it a trigger, would find just that."""
        return not self.text.startswith(signals.MARK_KEPT)


class TraceStore(Protocol):
    """Kept frames, every frame's latency, and other people's traces."""

    name: str

    async def about(self) -> About:
        """What it is and what it cannot answer."""
        ...

    async def aclose(self) -> None:
        """Close idle connections."""
        ...

    async def pipelines(self, start_ns: int, end_ns: int) -> list[PipelineRef]:
        """Pipelines heard of in the range, newest first."""
        ...

    async def frames(self, query: FrameQuery) -> FramePage:
        """Kept frames. ``order='duration'`` is longest first, ``'time'`` newest first."""
        ...

    async def trace(self, trace_id: str) -> Trace | None:
        """One trace, whole. A trace without any of our attributes is answered all the same."""
        ...

    async def every_frame(
        self,
        service: str,
        pipeline: str,
        start_ns: int,
        end_ns: int,
        limit: int = 3600,
        attributes: bool = False,
    ) -> list[FrameBatch]:
        """The ``frames`` records that overlap the range, oldest first, at most ``limit`` (the newest).

        ``attributes``: with their content attributes, which take as long to read as all the rest; without it
        a backend may leave them out.
        """
        ...

    async def marks(self, service: str, start_ns: int, end_ns: int) -> list[Mark]:
        """Change markers, oldest first."""
        ...


@dataclass(frozen=True, slots=True)
class Series:
    """Points of one series: unix ns and value, oldest first. A gap is an absence of points."""

    attributes: Mapping[str, str]
    times_ns: Sequence[int]
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class HistogramSeries:
    """Increase of a histogram per step.

    ``bounds`` in the metric's unit; ``counts[i]`` has ``len(bounds) + 1`` numbers for the step that
    *ends* at ``times_ns[i]``; ``sums[i]`` is the sum of the values.
    """

    attributes: Mapping[str, str]
    bounds: Sequence[float]
    times_ns: Sequence[int]
    counts: Sequence[Sequence[float]]
    sums: Sequence[float]


@runtime_checkable
class Announces(Protocol):
    """A trace store that says when there is more, so that nobody needs to ask in vain."""

    async def arrived(self, service: str, pipeline: str, after_ns: int, patience_seconds: float) -> int:
        """The newest time (unix ns) of the pipeline's records, once beyond ``after_ns`` or after a while."""
        ...


@runtime_checkable
class FindsOldest(Protocol):
    """A trace store that need not be asked for all matches, newest first, to find the oldest of them."""

    async def oldest_frames(self, query: FrameQuery) -> Sequence[FrameRow]:
        """The oldest kept frames that match, at most its limit; order and cursor mean nothing here."""
        ...


class MetricStore(Protocol):
    """Metrics of all frames, the GPU and the host.

    ``where`` are exact matches on attributes; ``service.name`` (and other resource attributes the
    backend knows) may be among them. Metric names are those of ``framescope.signals``, untranslated.
    """

    name: str

    async def about(self) -> About:
        """What it is and what it cannot answer."""
        ...

    async def aclose(self) -> None:
        """Close idle connections."""
        ...

    async def gauge(
        self, metric: str, where: Mapping[str, str], start_ns: int, end_ns: int, max_points: int = 20_000
    ) -> list[Series]:
        """Raw readings of a gauge (or up-down counter), each at its own time, never resampled."""
        ...

    async def increase(
        self, metric: str, where: Mapping[str, str], start_ns: int, end_ns: int, step_ns: int
    ) -> list[Series]:
        """Increase of a counter in each step (value at the step's end), resets respected.

        A step without any point of the series has no point. A series' first value counts from 0 where
        the series began inside the range (its start time says so), else only its increase does.
        """
        ...

    async def histogram(
        self, metric: str, where: Mapping[str, str], start_ns: int, end_ns: int, step_ns: int
    ) -> list[HistogramSeries]:
        """Increase of a histogram in each step, resets respected."""
        ...
