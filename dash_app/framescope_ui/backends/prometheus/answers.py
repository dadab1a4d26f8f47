"""What the query API answers, as arrays. The format: prometheus.io/docs/prometheus/latest/querying/api."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Times: TypeAlias = NDArray[np.int64]
Values: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Native:
    """One sample of a native histogram: populated buckets as ``(low, high, count)``, lowest first."""

    count: float
    sum: float
    buckets: tuple[tuple[float, float, float], ...]


@dataclass(frozen=True, slots=True)
class Samples:
    """Samples of one series, oldest first. ``times_ms`` unix ms; numbers or native histograms."""

    labels: Mapping[str, str]
    times_ms: Times
    values: Values
    native: tuple[Native, ...] = ()
    """As long as ``times_ms`` for a native histogram; then ``values`` are its counts."""

    def kept(self, rows: NDArray[np.bool_]) -> Samples:
        """Only these samples."""
        native = tuple(one for one, keep in zip(self.native, rows.tolist(), strict=False) if keep)
        return Samples(self.labels, self.times_ms[rows], self.values[rows], native if self.native else ())

    def since(self, start_ms: int) -> Samples:
        """Without samples before a time."""
        if not len(self.times_ms) or self.times_ms[0] >= start_ms:
            return self
        return self.kept(self.times_ms >= start_ms)


@dataclass(frozen=True, slots=True)
class Answer:
    """Series, and what the server says is missing from them ("" if nothing)."""

    series: tuple[Samples, ...] = field(default=())
    incomplete: str = ""

    @property
    def size(self) -> int:
        """How many samples it holds."""
        return sum(len(one.times_ms) for one in self.series)

    def since(self, start_ms: int) -> Answer:
        """Without samples before a time."""
        kept = (one.since(start_ms) for one in self.series)
        return Answer(tuple(one for one in kept if len(one.times_ms)), self.incomplete)


class Malformed(ValueError):
    """It is JSON and not an answer of this API."""


def answer(body: Any) -> Answer:
    """Read a matrix or a vector. Raises ``Malformed``."""
    try:
        data = body["data"]
        kind = data["resultType"]
        if body["status"] != "success" or kind not in ("matrix", "vector"):
            raise Malformed(str(kind))
        plural = kind == "matrix"
        found: list[Samples] = []
        for row in data["result"]:
            labels = {str(key): str(value) for key, value in row["metric"].items()}
            numbers = row.get("values", ()) if plural else [row["value"]] if "value" in row else ()
            native = row.get("histograms", ()) if plural else [row["histogram"]] if "histogram" in row else ()
            if numbers:
                found.append(Samples(labels, _times(numbers), _numbers(numbers)))
            if native:
                histograms = tuple(_native(one[1]) for one in native)
                counts = np.array([one.count for one in histograms], np.float64)
                found.append(Samples(labels, _times(native), counts, histograms))
    except (KeyError, IndexError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise Malformed(type(error).__name__) from error
    return Answer(tuple(found), incomplete(body))


def strings(body: Any) -> tuple[list[str], str]:
    """Read a list of names, and what is missing from it. Raises ``Malformed``."""
    if not isinstance(body, dict) or not isinstance(body.get("data"), list):
        raise Malformed("no list")
    return [str(one) for one in body["data"]], incomplete(body)


def incomplete(body: Any) -> str:
    """Why an answer lacks data that the server should have: Thanos and Prometheus warn, VictoriaMetrics
    says ``isPartial``. "" where it is whole."""
    warnings = body.get("warnings") or []
    if not isinstance(warnings, list):
        warnings = [warnings]
    # Annotations on a query are about its form ("PromQL warning", "PromQL info"), not about missing data.
    missing = [str(one) for one in warnings if not str(one).startswith("PromQL ")]
    if missing:
        return "; ".join(missing)[:300]
    return "part of the storage did not answer" if body.get("isPartial") is True else ""


def together(answers: Iterable[Answer]) -> Answer:
    """Several answers about the same series as one; where times meet, once."""
    parts: dict[tuple[tuple[tuple[str, str], ...], bool], list[Samples]] = {}
    missing = ""
    for one in answers:
        missing = missing or one.incomplete
        for series in one.series:
            parts.setdefault((tuple(sorted(series.labels.items())), bool(series.native)), []).append(series)
    return Answer(tuple(_joined(series) for series in parts.values()), missing)


def _joined(parts: Sequence[Samples]) -> Samples:
    if len(parts) == 1:
        return parts[0]
    times, place = np.unique(np.concatenate([part.times_ms for part in parts]), return_index=True)
    values = np.concatenate([part.values for part in parts])[place]
    native = [one for part in parts for one in part.native]
    return Samples(parts[0].labels, times, values, tuple(native[at] for at in place) if native else ())


def _times(rows: Sequence[Any]) -> Times:
    seconds = np.array([row[0] for row in rows], np.float64)
    if not (np.abs(seconds) < 1e12).all():
        raise Malformed("a time is none")
    return np.rint(seconds * 1000).astype(np.int64)


def _numbers(rows: Sequence[Any]) -> Values:
    return np.array([row[1] for row in rows]).astype(np.float64)


def _native(said: Any) -> Native:
    buckets = sorted(
        (float(low), float(high), float(count)) for _, low, high, count in said.get("buckets", ())
    )
    return Native(float(said["count"]), float(said["sum"]), tuple(buckets))
