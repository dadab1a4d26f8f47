"""One thread that turns requests into committed rows: many requests a commit, an answer after it.

A sender is answered only when its rows are on disk. Requests wait in memory up to a bound of bytes;
beyond it they are refused, which tells the sender to come again.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, MutableMapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Final, TypeAlias

import duckdb
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from .arrivals import Pipeline
from .metric_rows import MetricRows, metric_rows
from .otlp import Malformed
from .scan import ScannedTraces
from .schema import BATCH, FRAME, HISTOGRAM, MARK, POINT, RESOURCE, SERIES, SPAN, Table
from .segments import Segment, Segments
from .tally import Tally
from .trace_rows import Guilt, TraceRows, scanned_rows, trace_rows

_log = logging.getLogger(__name__)

_COMMIT_EVERY_S: Final = 0.05
"""Least time between commits where more than a few a second come. One of 57 frames took 9 ms, 6 of them CPU;
senders wait for it."""
_AT_ONCE: Final = 5
"""Commits a second that nobody has to wait for: a page shows a frame so much sooner."""
_COMMIT_SHARE: Final = 1 / 3
"""Of the time, spent on commits at most: fewer and larger ones take less each frame."""
_LONGEST_PAUSE_S: Final = 0.15
_GREATEST_COMMIT_BYTES: Final = 16 * 2**20
_APART_KEPT: Final = 10_000
_LEAST_FREE_BYTES: Final = 64 * 2**20
_HEARD: Final = {
    table: itemgetter(*(table.names.index(name) for name in ("service", "pipeline", "host", ends)))
    for table, ends in ((BATCH, "end_ns"), (FRAME, "start_ns"))
}
"""What a row tells of the pipeline it is of: service, pipeline, host, and until when."""
Storable: TypeAlias = ExportTraceServiceRequest | ScannedTraces | ExportMetricsServiceRequest
_PASSING_FAILURES: Final = (duckdb.Error, OSError, MemoryError)
"""What may be over when the sender comes again: the machine's doing, not the request's."""


class Overloaded(RuntimeError):
    """More waits than may; the sender should come again."""


class NotStored(RuntimeError):
    """The disk did not take it (full, read-only, gone); the sender should come again."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one request: items stored and items rejected, with the reasons."""

    rejected: int
    reason: str


@dataclass(slots=True)
class _Waiting:
    request: Storable
    size: int
    done: Future[Outcome]


@dataclass(slots=True)
class _Batch:
    rows: dict[Table, list[tuple[Any, ...]]] = field(default_factory=dict)
    frames: list[Any] = field(default_factory=list)
    apart: dict[bytes, Guilt] = field(default_factory=dict)
    resources: dict[int, bytes] = field(default_factory=dict)
    series: dict[int, Any] = field(default_factory=dict)
    outcomes: list[tuple[_Waiting, Outcome]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, table: Table, rows: list[tuple[Any, ...]]) -> None:
        if rows:
            self.rows.setdefault(table, []).extend(rows)


class Writer:
    """Takes requests from any thread and commits them from its own."""

    def __init__(
        self,
        segments: Segments,
        tally: Tally,
        *,
        arrived: Callable[[dict[Pipeline, int]], None] = lambda reached: None,
        greatest_waiting_bytes: int = 64 * 2**20,
        now_s: Callable[[], float] = time.monotonic,
        unix_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._segments = segments
        self._tally = tally
        self._arrived = arrived
        self._greatest_waiting_bytes = greatest_waiting_bytes
        self._now_s = now_s
        self._unix_ns = unix_ns
        self._waiting: list[_Waiting] = []
        self._waiting_bytes = 0
        self._changed = threading.Condition()
        self._closing = False
        self._begun: deque[float] = deque(maxlen=_AT_ONCE)
        self._engine_lost = False
        self._apart: OrderedDict[bytes, Guilt] = OrderedDict()
        self._thread = threading.Thread(target=self._work, name="store-writer", daemon=True)
        self._thread.start()

    def submit(self, request: Storable, size: int) -> Future[Outcome]:
        """Store a request of ``size`` bytes; the future is done when it is committed.

        Raises ``Overloaded`` at once when too much waits already. The future fails with ``NotStored``
        when the disk refuses, and with ``Malformed`` when this request alone cannot be stored. One that
        is cancelled before its turn is not stored.
        """
        waiting = _Waiting(request, size, Future())
        with self._changed:
            if self._closing or self._waiting_bytes + size > self._greatest_waiting_bytes:
                raise Overloaded("too much is waiting to be stored")
            self._waiting.append(waiting)
            self._waiting_bytes += size
            self._changed.notify()
        return waiting.done

    def close(self) -> None:
        """Commit what waits, then end."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while True:
            taken = self._take()
            if not taken and self._closing and not self._waiting:
                return
            begun = self._now_s()
            if taken:
                self._begun.append(begun)
            try:
                self._tend()
                if taken:
                    self._store(taken)
            except Exception as error:  # whatever it is, the next request finds a writer
                _log.exception("storing %d requests", len(taken))
                self._refuse(taken, NotStored(f"the store failed: {error}"))
            with self._changed:
                self._waiting_bytes -= sum(waiting.size for waiting in taken)
                spare = self._pause(begun)
                self._changed.wait_for(lambda: self._closing, timeout=max(spare, 0.0))

    def _pause(self, begun: float) -> float:
        """How long to let requests gather after the commit that began then."""
        now = self._now_s()
        if len(self._begun) < _AT_ONCE or now - self._begun[0] > 1:
            return 0
        took = now - begun
        return min(max(took / _COMMIT_SHARE, _COMMIT_EVERY_S) - took, _LONGEST_PAUSE_S)

    def _take(self) -> list[_Waiting]:
        """What waits, up to one commit's worth; nothing after a while, since segments end by the clock.

        What is taken can be cancelled no more: a sender that leaves is not another one's concern.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing, timeout=1.0)
            taken, size = 0, 0
            for waiting in self._waiting:
                if taken and size + waiting.size > _GREATEST_COMMIT_BYTES:
                    break
                taken, size = taken + 1, size + waiting.size
            batch, self._waiting = self._waiting[:taken], self._waiting[taken:]
            wanted = [waiting for waiting in batch if waiting.done.set_running_or_notify_cancel()]
            self._waiting_bytes -= size - sum(waiting.size for waiting in wanted)
        self._tally.add("refused: the sender left", len(batch) - len(wanted))
        return wanted

    def _tend(self) -> None:
        try:
            self._segments.roll_if_due()
        except (duckdb.Error, OSError) as error:
            _log.error("tending the segments: %s", error)

    def _store(self, taken: list[_Waiting]) -> None:
        if self._engine_lost:
            self._segments.reopen()
            self._engine_lost = False
        if shutil.disk_usage(self._segments.data_dir).free < _LEAST_FREE_BYTES:
            self._refuse(taken, NotStored("the disk is full"))
            return
        try:
            self._store_together(taken)
        except duckdb.FatalException as error:
            _log.error("the engine gave up and will be started anew: %s", error)
            self._engine_lost = True
            self._refuse(taken, NotStored(f"the disk refused: {error}"))
        except _PASSING_FAILURES as error:
            _log.error("nothing committed: %s", error)
            self._refuse(taken, NotStored(f"the disk refused: {error}"))
        except Exception as error:  # something in the rows themselves: coming again would not help
            if len(taken) > 1:
                for waiting in taken:
                    self._store([waiting])
                return
            _log.exception("a request cannot be stored")
            self._tally.add("refused: cannot be stored")
            taken[0].done.set_exception(Malformed(f"the request cannot be stored: {error}"))

    def _store_together(self, taken: list[_Waiting]) -> None:
        batch = _Batch()
        for waiting in taken:
            self._translate(waiting, batch)
        self._commit(batch)
        self._tally.add_all(batch.counts)
        self._arrived(_reached(batch))
        for waiting, outcome in batch.outcomes:
            waiting.done.set_result(outcome)

    def _refuse(self, taken: list[_Waiting], why: NotStored) -> None:
        for waiting in taken:
            if not waiting.done.done():
                self._tally.add("refused: not stored")
                waiting.done.set_exception(why)

    def _translate(self, waiting: _Waiting, batch: _Batch) -> None:
        request = waiting.request
        if isinstance(request, ExportMetricsServiceRequest):
            points = metric_rows(request)
            self._add_metrics(points, batch)
            rejected = points.rejected
        else:
            arrived_ns = self._unix_ns()
            if isinstance(request, ScannedTraces):
                rows = scanned_rows(request, arrived_ns)
            else:
                rows = trace_rows(request, arrived_ns)
            self._add_traces(rows, batch)
            rejected = rows.rejected
        batch.counts.update({f"rejected: {reason}": count for reason, count in rejected.items()})
        reason = ", ".join(f"{count} with {name}" for name, count in sorted(rejected.items()))
        batch.outcomes.append((waiting, Outcome(rejected.total(), reason)))

    def _add_traces(self, rows: TraceRows, batch: _Batch) -> None:
        batch.frames += rows.frames
        batch.add(BATCH, rows.batches)
        batch.add(MARK, rows.marks)
        batch.add(SPAN, rows.spans)
        for trace_id, guilt in rows.apart.items():
            _keep_the_guiltier(batch.apart, trace_id, guilt)
        batch.resources.update(rows.resources)
        batch.counts["stored: spans"] += rows.accepted
        batch.counts["stored: frames"] += len(rows.frames)
        if rows.endless:
            batch.counts["stored as spans: frames without an end"] += rows.endless

    def _add_metrics(self, rows: MetricRows, batch: _Batch) -> None:
        batch.add(POINT, rows.points)
        batch.add(HISTOGRAM, rows.histograms)
        batch.series.update(rows.series)
        batch.counts["stored: points"] += len(rows.points) + len(rows.histograms)
        batch.counts.update({f"ignored: {reason}": count for reason, count in rows.ignored.items() if count})

    def _commit(self, batch: _Batch) -> None:
        segment = self._segments.current
        self._join_parted(batch)
        batch.add(FRAME, [frame.columns() for frame in batch.frames])
        new_resources = {d: b for d, b in batch.resources.items() if d not in segment.resources}
        if FRAME in batch.rows or SPAN in batch.rows:
            batch.add(RESOURCE, list(new_resources.items()))
        new_series = {d: s for d, s in batch.series.items() if d not in segment.series}
        batch.add(SERIES, [series.columns() for series in new_series.values()])
        self._note(segment, batch)  # before anyone sees a row: who reads one finds it covered
        rewritten = 0
        cursor = self._segments.cursor()
        try:
            cursor.execute("BEGIN")
            for table, rows in batch.rows.items():
                cursor.register("incoming", table.arrow(rows))
                cursor.execute(f"INSERT INTO {segment.schema}.{table.name} SELECT * FROM incoming")
                cursor.unregister("incoming")
            for trace_id, guilt in batch.apart.items():
                # A stage that came after its root may be the guilty one.
                changed = cursor.execute(
                    f"UPDATE {segment.schema}.frame SET stage = $stage, stage_lost = $lost "
                    "WHERE trace_id = $trace_id AND (stage_lost IS NULL OR stage_lost < $lost)",
                    {"stage": guilt.stage, "lost": guilt.lost, "trace_id": trace_id},
                ).fetchone()
                rewritten += changed[0] if changed else 0
            cursor.execute("COMMIT")
        finally:
            cursor.close()
        segment.rewritten += rewritten
        for table, told in _HEARD.items():
            segment.heard[table.name].note(map(told, batch.rows.get(table, ())))
        if RESOURCE in batch.rows:
            segment.resources.update(new_resources)
        self._segments.learn(segment, new_series.values())

    def _join_parted(self, batch: _Batch) -> None:
        """Give frames the guilt of stages that came before their root; remember those of this batch."""
        for trace_id, guilt in batch.apart.items():
            _keep_the_guiltier(self._apart, trace_id, guilt)
        while len(self._apart) > _APART_KEPT:
            self._apart.popitem(last=False)
        for frame in batch.frames:
            before = self._apart.get(frame.trace_id)
            if before and (frame.guilt is None or before.lost > frame.guilt.lost):
                frame.guilt = before

    @staticmethod
    def _note(segment: Segment, batch: _Batch) -> None:
        for table, rows in batch.rows.items():
            if table.begins and table.ends:
                names = [name for name, _, _ in table.columns]
                begins, ends = names.index(table.begins), names.index(table.ends)
                segment.cover(table, min(row[begins] for row in rows), max(row[ends] for row in rows))


def _reached(batch: _Batch) -> dict[Pipeline, int]:
    """How far the batch's ``frames`` records reach, by pipeline: unix ns."""
    reached: dict[Pipeline, int] = {}
    for service, name, _, end_ns in map(_HEARD[BATCH], batch.rows.get(BATCH, ())):
        pipeline = (service, name)
        reached[pipeline] = max(end_ns, reached.get(pipeline, end_ns))
    return reached


def _keep_the_guiltier(known: MutableMapping[bytes, Guilt], trace_id: bytes, guilt: Guilt) -> None:
    before = known.get(trace_id)
    if before is None or guilt.lost > before.lost:
        known[trace_id] = guilt
