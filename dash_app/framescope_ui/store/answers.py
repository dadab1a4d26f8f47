"""The named questions of the query socket: typed arguments in, an Arrow table out.

No SQL comes from outside and every value is a bound parameter; the only names pasted into a statement
are this package's own. The store answers rows; what they mean is the app's business.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, Final

import duckdb
import numpy as np
import pyarrow as pa
from pydantic import Field

from framescope import signals

from . import kept_spans
from .arrivals import Pipeline
from .heard import Heard
from .increase import Increases, by_step, increases, together
from .kept_frames import Frames, frames
from .metric_rows import Kind, Series
from .question import Ask, BadQuestion, Nanoseconds, Question
from .schema import BATCH, FRAME, HISTOGRAM, MARK, POINT, Table
from .segments import Segment, Segments, union
from .trace_filter import TraceFilter

_LOOK_BACK_NS: Final = 300 * 10**9
"""How far before a range a counter's last value is looked for, to know what its first point added."""
GREATEST_STEPS: Final = 20_000


class Pipelines(Question):
    """Pipelines heard of in a range."""

    start_ns: Nanoseconds
    end_ns: Nanoseconds


class TraceOf(Question):
    """Every span of one trace."""

    trace_id: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]


class EveryFrame(Question):
    """The newest ``frames`` records that overlap a range."""

    service: str
    pipeline: str
    start_ns: Nanoseconds
    end_ns: Nanoseconds
    limit: Annotated[int, Field(ge=1, le=100_000)]
    attributes: bool = False


class Marks(Question):
    """Change markers of a service."""

    service: str
    start_ns: Nanoseconds
    end_ns: Nanoseconds


class Readings(Question):
    """Readings of a gauge, at most ``max_points`` (the newest) of each series."""

    metric: str
    where: dict[str, str]
    start_ns: Nanoseconds
    end_ns: Nanoseconds
    max_points: Annotated[int, Field(ge=1, le=1_000_000)]


class Growth(Question):
    """Increase of a counter or histogram per step."""

    metric: str
    where: dict[str, str]
    start_ns: Nanoseconds
    end_ns: Nanoseconds
    step_ns: Annotated[int, Field(ge=1, lt=2**63)]


class Points(Question):
    """Readings and increases of many metrics at once: a page asks for some twenty in the same moment."""

    gauges: list[Readings] = Field([], max_length=200)
    increases: list[Growth] = Field([], max_length=200)


def pipelines(question: Pipelines, segments: Segments, ask: Ask) -> Any:
    """service, pipeline, newest_ns, host."""
    start, end = question.start_ns, question.end_ns
    parts: list[str] = []
    newest: dict[tuple[str, str], tuple[int, str | None]] = {}

    def note(service: str, pipeline: str, host: str | None, newest_ns: int) -> None:
        before = newest.get((service, pipeline))
        if before is None or newest_ns > before[0]:
            newest[(service, pipeline)] = (newest_ns, host)

    for table, told in ((BATCH, "least(end_ns, $end_ns - 1)"), (FRAME, "start_ns")):
        across: list[Segment] = []
        for segment in segments.covering(table, start, end):
            known = _heard(table, segment, ask)
            if any(one.newest_ns >= end for one in known.values()):
                across.append(segment)  # what was newest before that is for its rows to say
                continue
            for (service, pipeline), one in known.items():
                if one.newest_ns >= start:
                    note(service, pipeline, one.host, one.newest_ns)
        if across:
            named = f"service, pipeline, host, {', '.join(sorted({table.begins or '', table.ends or ''}))}"
            parts.append(
                f"SELECT service, pipeline, host, {told} AS newest_ns FROM {union(table, across, named)} "
                f"WHERE pipeline IS NOT NULL AND {table.begins} < $end_ns AND {table.ends} >= $start_ns"
            )
    found = segments.covering(HISTOGRAM, start, end)
    emitters = {
        series.id: dict(series.attributes)
        for series in _matching(segments, found, signals.FRAME_LATENCY, {}, ("histogram",))
    }
    if parts:
        rows = ask(
            "SELECT service, pipeline, arg_max(host, newest_ns) AS host, max(newest_ns) AS newest_ns "
            f"FROM ({' UNION ALL '.join(parts)}) GROUP BY ALL",
            {"start_ns": start, "end_ns": end},
        )
        for row in rows.to_pylist():
            note(row["service"], row["pipeline"], row["host"], row["newest_ns"])
    if emitters:
        rows = ask(
            f"SELECT series, max(time_ns) AS newest_ns FROM {union(HISTOGRAM, found, 'series, time_ns')} "
            "WHERE series IN (SELECT unnest($ids::UBIGINT[])) AND time_ns >= $start_ns AND time_ns < $end_ns "
            "GROUP BY series",
            {"ids": list(emitters), "start_ns": start, "end_ns": end},
        )
        for row in rows.to_pylist():
            labels = emitters[row["series"]]
            if named_pipeline := labels.get(signals.FRAME_PIPELINE):
                host = labels.get(signals.HOST_NAME)
                note(labels[signals.SERVICE_NAME], named_pipeline, host, row["newest_ns"])
    ordered = sorted(newest.items(), key=lambda item: (-item[1][0], item[0]))
    return pa.table(
        {
            "service": pa.array([key[0] for key, _ in ordered], pa.string()),
            "pipeline": pa.array([key[1] for key, _ in ordered], pa.string()),
            "newest_ns": pa.array([value[0] for _, value in ordered], pa.int64()),
            "host": pa.array([value[1] for _, value in ordered], pa.string()),
        }
    )


def _heard(table: Table, segment: Segment, ask: Ask) -> Mapping[Pipeline, Heard]:
    """Pipelines of a segment's rows, whatever their time."""
    heard = segment.heard[table.name]
    if not heard.whole:
        rows = ask(
            f"SELECT service, pipeline, arg_max(host, {table.ends}) AS host, max({table.ends}) AS newest_ns "
            f"FROM {segment.schema}.{table.name} WHERE pipeline IS NOT NULL GROUP BY service, pipeline",
            None,
        )
        heard.note(tuple(row.values()) for row in rows.to_pylist())
        heard.whole = True
    return heard.all()


def trace(question: TraceOf, segments: Segments, ask: Ask) -> Any:
    """root, children, body (OTLP messages, null where a row has none) and resource (an OTLP resource).

    Segments are asked from the newest on. The parts of a trace arrive within moments: when they begin in
    one segment, the rest can only be in the one before.
    """
    parts: list[Any] = []
    trace_id = bytes.fromhex(question.trace_id)
    for segment in reversed(segments.all()):
        looked_in = segment is segments.current or _filter(segment, ask).may_hold(trace_id)
        found = kept_spans.of_trace(segment, trace_id, ask) if looked_in else []
        if parts and not found:
            break
        parts += [_with_resources(rows, segment, segments, ask) for rows in found]
    if not parts:
        return FRAME.empty(("root", "children"))
    return pa.concat_tables(parts).sort_by("start_ns")


def _filter(segment: Segment, ask: Ask) -> TraceFilter:
    """The traces that a closed segment may have rows of."""
    if segment.traces is None:
        ids = f"SELECT trace_id FROM {segment.schema}"
        rows = ask(
            f"SELECT trace_id FROM ({ids}.frame UNION ALL {ids}.span) WHERE octet_length(trace_id) = 16", None
        )
        segment.traces = TraceFilter(
            b"".join(
                memoryview(chunk.buffers()[1])[16 * chunk.offset : 16 * (chunk.offset + len(chunk))]
                for chunk in rows["trace_id"].cast(pa.binary(16)).chunks
                if len(chunk)
            )
        )
    return segment.traces


def _with_resources(rows: Any, segment: Segment, segments: Segments, ask: Ask) -> Any:
    """The same rows with their resources for the ids of those: spans of one process all have the same."""
    known: dict[int | None, bytes | None] = {}
    for one in set(rows["resource"].to_pylist()):
        body: bytes | None = segments.answers.get(("resource", one))
        if body is None and one is not None:
            found = ask(f"SELECT body FROM {segment.schema}.resource WHERE id = $id LIMIT 1", {"id": one})
            body = found["body"][0].as_py() if len(found) else None
            if body is not None:
                segments.answers.put(("resource", one), body)
        known[one] = body
    bodies = pa.array([known[one] for one in rows["resource"].to_pylist()], pa.binary())
    return rows.drop_columns(["resource"]).append_column("resource", bodies)


def every_frame(question: EveryFrame, segments: Segments, ask: Ask) -> Any:
    """The records, oldest first."""
    found = segments.covering(BATCH, question.start_ns, question.end_ns)
    columns = "start_ns, first_id, offsets_us, latencies_us, outcomes, causes, depths, budget_ns"
    if question.attributes:
        columns += ", attributes"
    if not found:
        return BATCH.empty(columns.split(", "))
    return ask(
        f"SELECT {columns} FROM (SELECT {columns} FROM {union(BATCH, found)} "
        "WHERE service = $service AND pipeline = $pipeline AND start_ns < $end_ns AND end_ns >= $start_ns "
        "ORDER BY start_ns DESC LIMIT $limit) ORDER BY start_ns",
        question.model_dump(exclude={"attributes"}),
    )


def marks(question: Marks, segments: Segments, ask: Ask) -> Any:
    """time_ns, text; oldest first, the newest 10 000."""
    found = segments.covering(MARK, question.start_ns, question.end_ns)
    if not found:
        return MARK.empty(("time_ns", "text"))
    return ask(
        f"SELECT * FROM (SELECT DISTINCT time_ns, text FROM {union(MARK, found)} WHERE service = $service "
        "AND time_ns >= $start_ns AND time_ns < $end_ns ORDER BY time_ns DESC LIMIT 10000) ORDER BY time_ns",
        question.model_dump(),
    )


def points(question: Points, segments: Segments, ask: Ask) -> Any:
    """asked, attributes, times_ns, values: one row per series of each question; ``asked`` is its number, the
    gauges' first. Of a gauge the newest ``max_points``; of counters the increases, emitters added up."""
    asked: list[int] = []
    attributes: list[dict[str, str]] = []
    times_ns: list[Any] = []
    values: list[Any] = []

    def tell(number: int, told: dict[str, str], times: Any, those: Any) -> None:
        asked.append(number)
        attributes.append(told)
        times_ns.append(times)
        values.append(those)

    gauges = [
        _Wanted(_known(segments, POINT, one, one.start_ns, ("gauge",)), one.start_ns, one.end_ns)
        for one in question.gauges
    ]
    most = sum(
        one.max_points * len(wanted.known) for one, wanted in zip(question.gauges, gauges, strict=True)
    )
    read = _read(gauges, segments, ask, "time_ns, value", most)
    if len(gauges) > 1 and sum(map(len, read.values())) == most:
        # A busy gauge has taken the room of a quiet one, whose older readings are missing.
        read = {
            (number, series): mine
            for number, (one, wanted) in enumerate(zip(question.gauges, gauges, strict=True))
            for (_, series), mine in _read(
                [wanted], segments, ask, "time_ns, value", one.max_points * len(wanted.known)
            ).items()
        }
    for number, (readings, wanted) in enumerate(zip(question.gauges, gauges, strict=True)):
        for series in wanted.known:
            if (mine := read.get((number, series.id))) is not None:
                # A reading sent twice has the same time.
                kept, place = np.unique(mine["time_ns"].to_numpy(), return_index=True)
                newest = slice(-readings.max_points, None)
                tell(number, dict(series.attributes), kept[newest], mine["value"].to_numpy()[place][newest])
    counters = [_growing(one, segments, POINT, "counter") for one in question.increases]
    read = _read(counters, segments, ask, "time_ns, began_ns, value")
    for number, (growth, wanted) in enumerate(zip(question.increases, counters, strict=True)):
        grown = {
            series.id: _grown(mine, mine["value"].to_numpy()[:, None], series, growth.start_ns)
            for series in wanted.known
            if (mine := read.get((number, series.id))) is not None
        }
        for told, _, steps in _summed(wanted.known, grown, growth):
            tell(len(gauges) + number, told, steps.times, steps.values[:, 0])
    return pa.table(
        {
            "asked": pa.array(asked, pa.int64()),
            "attributes": _attributes(attributes),
            "times_ns": pa.array(times_ns, pa.list_(pa.int64())),
            "values": pa.array(values, pa.list_(pa.float64())),
        }
    )


def histogram(question: Growth, segments: Segments, ask: Ask) -> Any:
    """attributes, bounds, times_ns, sums, counts (a list per step): one row per series."""
    wanted = _growing(question, segments, HISTOGRAM, "histogram")
    read = _read([wanted], segments, ask, "time_ns, began_ns, sum, counts", table=HISTOGRAM)
    told: dict[int, Increases] = {}
    for series in wanted.known:
        if (mine := read.get((0, series.id))) is not None:
            counts = mine["counts"].combine_chunks().flatten().to_numpy().reshape(len(mine), -1)
            sums = mine["sum"].to_numpy().astype(np.float64)
            values = np.column_stack([sums, counts.astype(np.float64)])
            told[series.id] = _grown(mine, values, series, question.start_ns)
    rows = _summed(wanted.known, told, question)
    doubles = pa.list_(pa.float64())
    return pa.table(
        {
            "attributes": _attributes([attributes for attributes, _, _ in rows]),
            "bounds": pa.array([list(bounds) for _, bounds, _ in rows], doubles),
            "times_ns": pa.array([step.times for _, _, step in rows], pa.list_(pa.int64())),
            "sums": pa.array([step.values[:, 0] for _, _, step in rows], doubles),
            "counts": pa.array([list(step.values[:, 1:]) for _, _, step in rows], pa.list_(doubles)),
        }
    )


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Series whose points in ``[from_ns, end_ns)`` a question is about."""

    known: list[Series]
    from_ns: int
    end_ns: int


def _growing(question: Growth, segments: Segments, table: Table, kind: Kind) -> _Wanted:
    if (question.end_ns - question.start_ns) / question.step_ns > GREATEST_STEPS:
        raise BadQuestion(f"more than {GREATEST_STEPS} steps: ask for a longer step or a shorter range")
    from_ns = question.start_ns - _LOOK_BACK_NS
    return _Wanted(_known(segments, table, question, from_ns, (kind,)), from_ns, question.end_ns)


def _known(
    segments: Segments, table: Table, question: Readings | Growth, from_ns: int, kinds: tuple[Kind, ...]
) -> list[Series]:
    found = segments.covering(table, from_ns, question.end_ns)
    return _matching(segments, found, question.metric, question.where, kinds)


def _read(
    wanted: Sequence[_Wanted],
    segments: Segments,
    ask: Ask,
    columns: str,
    most: int | None = None,
    table: Table = POINT,
) -> dict[tuple[int, int], Any]:
    """The points of each wanted series by the number in ``wanted`` and its id, the newest ``most`` of all.

    One statement for all of them: each costs the store some 4 ms, whatever it finds.
    """
    series = [(number, one, of.id) for number, one in enumerate(wanted) for of in one.known]
    if not series:
        return {}
    first, last = min(one.from_ns for _, one, _ in series), max(one.end_ns for _, one, _ in series)
    rows = ask(
        f"SELECT number, series, {columns} FROM {union(table, segments.covering(table, first, last))} "
        "JOIN (SELECT unnest($numbers::BIGINT[]) AS number, unnest($ids::UBIGINT[]) AS id, "
        "unnest($froms::BIGINT[]) AS from_ns, unnest($ends::BIGINT[]) AS until_ns) "
        "ON series = id AND time_ns >= from_ns AND time_ns < until_ns "
        "WHERE time_ns >= $first AND time_ns < $last"
        + (" ORDER BY time_ns DESC LIMIT $most" if most else ""),
        {
            "numbers": [number for number, _, _ in series],
            "ids": [of for _, _, of in series],
            "froms": [one.from_ns for _, one, _ in series],
            "ends": [one.end_ns for _, one, _ in series],
            "first": first,
            "last": last,
        }
        | ({"most": most} if most else {}),
    )
    numbers, ids = rows["number"].to_numpy(), rows["series"].to_numpy()
    order = np.lexsort((ids, numbers))
    rows, numbers, ids = rows.take(order), numbers[order], ids[order]
    edges = np.flatnonzero((numbers[1:] != numbers[:-1]) | (ids[1:] != ids[:-1])) + 1
    bounds = [0, *edges.tolist(), len(rows)] if len(rows) else []
    return {(int(numbers[low]), int(ids[low])): rows.slice(low, high - low) for low, high in pairwise(bounds)}


def _grown(rows: Any, values: Any, series: Series, start_ns: int) -> Increases:
    times, began = rows["time_ns"].to_numpy(), rows["began_ns"].to_numpy()
    return increases(times, began, values.astype(np.float64), start_ns, series.cumulative)


def _summed(
    known: list[Series], told: dict[int, Increases], question: Growth
) -> list[tuple[dict[str, str], tuple[float, ...], Increases]]:
    """Steps of all emitters together. Differences are taken before: two emitters never mix."""
    groups: defaultdict[Any, list[Increases]] = defaultdict(list)
    for series in known:
        if series.id in told:
            steps = by_step(told[series.id], question.start_ns, question.end_ns, question.step_ns)
            if len(steps.times):
                groups[(_without_instance(series, question.where), series.bounds)].append(steps)
    return [
        (dict(attributes), bounds, together(parts)) for (attributes, bounds), parts in sorted(groups.items())
    ]


def _without_instance(series: Series, where: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (key, value) for key, value in series.attributes if key != signals.SERVICE_INSTANCE_ID or key in where
    )


def _matching(
    segments: Segments,
    found: list[Segment],
    metric: str,
    where: Mapping[str, str],
    kinds: tuple[Kind, ...],
) -> list[Series]:
    wanted = where.items()
    present: set[int] = set().union(*(segment.series for segment in found))
    return sorted(
        (
            series
            for series in segments.of_metric(metric)
            if series.kind in kinds and series.id in present and wanted <= dict(series.attributes).items()
        ),
        key=lambda series: series.id,
    )


def _attributes(maps: list[dict[str, str]]) -> Any:
    return pa.array([list(one.items()) for one in maps], pa.map_(pa.string(), pa.string()))


QUESTIONS: Final[dict[str, tuple[type[Question], Callable[[Any, Segments, Ask], Any]]]] = {
    "pipelines": (Pipelines, pipelines),
    "frames": (Frames, frames),
    "trace": (TraceOf, trace),
    "every_frame": (EveryFrame, every_frame),
    "marks": (Marks, marks),
    "points": (Points, points),
    "histogram": (Growth, histogram),
}


def answer(name: str, question: Question, segments: Segments, patience_s: float = 20.0) -> Any:
    """The Arrow table that answers a question, over a connection of its own.

    Raises ``duckdb.InterruptException`` when it took longer than ``patience_s``.
    """
    _, function = QUESTIONS[name]
    cursor = segments.cursor()
    patience = threading.Timer(patience_s, cursor.interrupt)
    patience.start()

    def ask(statement: str, values: Mapping[str, Any] | None) -> Any:
        return cursor.sql(statement, params=values).to_arrow_table()

    try:
        return function(question, segments, ask)
    except (duckdb.CatalogException, duckdb.BinderException):
        # A segment was forgotten between choosing and asking: choose again.
        return function(question, segments, ask)
    finally:
        patience.cancel()
        cursor.close()
