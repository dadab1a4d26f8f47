"""Pages of kept frames: the longest or the newest that match, and how many there are.

Frames only ever come behind those that are there. So what a segment that is written to no more answered is
remembered, and of the one that is written to, what its rows answered up to the last one: the next time only
those that have come since are looked through.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from . import kept_spans
from .packed import Row
from .question import Ask, Nanoseconds, Question
from .schema import FRAME
from .segments import Segment, Segments

GREATEST_PAGE: Final = 1_000
_SHOWN: Final = ("trace_id", "service", "start_ns", "latency_ns", "stage")


class Frames(Question):
    """Kept frames, one page. ``after`` is the last row's sort key and trace id of the page before; of the
    ``oldest`` there are no more pages."""

    service: str | None = None
    pipeline: str | None = None
    start_ns: Nanoseconds | None = None
    end_ns: Nanoseconds | None = None
    outcomes: list[str] = Field([], max_length=100)
    causes: list[str] = Field([], max_length=100)
    kept: list[str] = Field([], max_length=100)
    stage: str | None = None
    min_latency_ns: Nanoseconds | None = None
    order: Literal["duration", "time", "oldest"] = "time"
    limit: Annotated[int, Field(ge=1, le=GREATEST_PAGE)] = 100
    total: bool = True
    after_key: Nanoseconds | None = None
    after_trace_id: Annotated[str, Field(pattern="^[0-9a-f]{32}$")] | None = None

    @property
    def key(self) -> Literal["latency_ns", "start_ns"]:
        """What it is sorted by."""
        return "latency_ns" if self.order == "duration" else "start_ns"

    @property
    def goes_on(self) -> bool:
        """Whether it is about a later page than the first."""
        return self.after_key is not None and self.after_trace_id is not None

    @property
    def counted(self) -> bool:
        """Whether the total is told: where it is wanted, unless that means counting all there is; not of one
        frame."""
        return self.total and not self.goes_on and self.start_ns is not None and self.limit > 1


@dataclass(frozen=True, slots=True)
class _Answered:
    """The first rows of a segment in order, and how many match; of one that is written to, among those up to
    ``last``."""

    rows: Any
    count: int = 0
    last: int = -1


_NOTHING: Final = _Answered(None)


def frames(question: Frames, segments: Segments, ask: Ask) -> Any:
    """trace_id, service, start_ns, latency_ns, stage, root (an OTLP span); in order, one more than asked
    where there is more. The first page's metadata tells the total, unless that means counting all there
    is: without a start, or for one frame only, it is left out."""
    found = segments.covering(FRAME, question.start_ns, question.end_ns)
    edge = 0 if question.order == "oldest" else 1
    page: Any = None
    total = 0
    # A statement a segment: one over all of them costs 20 ms a segment to plan.
    for segment in sorted(found, key=lambda one: one.covers[FRAME.name][edge], reverse=edge == 1):
        if not question.counted and page is not None and _is_full(page, question, segment):
            break
        answered = _of(segment, segments, question, ask)
        page = answered.rows if page is None else _together(question, [page, answered.rows])
        total += answered.count
    metadata = {"total": str(total)} if question.counted else None
    if page is None:
        return FRAME.empty((*_SHOWN, "root")).replace_schema_metadata(metadata)
    page = page.append_column("root", pa.array(_roots(page, found, segments, ask), pa.binary()))
    return page.replace_schema_metadata(metadata).drop_columns(["sequence", "place"])


def _is_full(page: Any, question: Frames, segment: Segment) -> bool:
    """Whether no frame of ``segment`` can be on the page, nor one of the segments that come after it."""
    if question.order == "duration" or len(page) <= question.limit:
        return False
    last, (first_ns, last_ns) = page["start_ns"][question.limit].as_py(), segment.covers[FRAME.name]
    return bool(last < first_ns if question.order == "oldest" else last > last_ns)


def _together(question: Frames, pages: list[Any]) -> Any:
    """The first rows of several pages, in order."""
    way = "ascending" if question.order == "oldest" else "descending"
    rows = pa.concat_tables(pages).sort_by([(question.key, way), ("trace_id", way)])
    return rows.slice(0, question.limit + 1)


def _of(segment: Segment, segments: Segments, question: Frames, ask: Ask) -> _Answered:
    """What one segment answers, of what was asked before only what is new."""
    closed = segment is not segments.current
    asked = _within(question, segment)
    key = (segment.schema, closed, segment.rewritten, asked.model_dump_json(), question.counted)
    known: _Answered | None = segments.answers.get(key)
    if closed:
        if known is None:
            known = _asked_anew(segment, asked, question.counted, ask)
            segments.answers.put(key, known)
        return known
    if asked.goes_on or _is_timed(asked):
        return _asked_anew(segment, asked, question.counted, ask)
    now = _since(known or _NOTHING, segment, asked, ask)
    if _is_timed(_within(question, segment)):  # some that have come meanwhile lie beyond the range
        return _asked_anew(segment, question, question.counted, ask)
    segments.answers.put(key, now)
    return now


def _since(known: _Answered, segment: Segment, question: Frames, ask: Ask) -> _Answered:
    """What is known of a segment, and what the rows answer that have come since."""
    tests, values = _tests(question)
    matching = f" FILTER (WHERE {' AND '.join(tests)})" if tests else ""
    told = ask(
        f"SELECT count(*){matching} AS n, max(rowid) AS last FROM {segment.schema}.frame "
        "WHERE rowid > $known",
        values | {"known": known.last},
    ).to_pylist()[0]
    last = known.last if told["last"] is None else told["last"]
    rows = known.rows
    if rows is None:
        rows = _first(segment, question, tests, values, ask)
    elif told["n"]:
        # What came after ``last`` may be among them, and then is again the next time.
        new = _first(segment, question, tests, values, ask, known.last)
        new = new.filter(pc.invert(pc.is_in(new["place"], value_set=rows["place"].combine_chunks())))
        rows = _together(question, [rows, new])
    return _Answered(rows, known.count + told["n"], last)


def _asked_anew(segment: Segment, question: Frames, counted: bool, ask: Ask) -> _Answered:
    tests, values = _tests(question)
    rows = _first(segment, question, tests, values, ask)
    if not counted:
        return _Answered(rows)
    counting = f"SELECT count(*) AS n FROM {segment.schema}.frame{_where(tests)}"
    return _Answered(rows, ask(counting, values)["n"][0].as_py())


def _within(question: Frames, segment: Segment) -> Frames:
    """The question without the times that all frames of a segment lie within."""
    first_ns, last_ns = segment.covers[FRAME.name]
    within: dict[str, None] = {}
    if question.start_ns is not None and question.start_ns <= first_ns:
        within["start_ns"] = None
    if question.end_ns is not None and last_ns < question.end_ns:
        within["end_ns"] = None
    return question.model_copy(update=within)


def _is_timed(question: Frames) -> bool:
    return question.start_ns is not None or question.end_ns is not None


def _first(
    segment: Segment,
    question: Frames,
    tests: list[str],
    values: Mapping[str, Any],
    ask: Ask,
    behind: int | None = None,
) -> Any:
    """The first rows of a segment that match, in order, one more than a page has, with where they are; or
    only of those ``behind`` a row."""
    key, way = question.key, "ASC" if question.order == "oldest" else "DESC"
    if question.after_key is not None and question.after_trace_id is not None:
        tests = [*tests, f"({key} < $after_key OR ({key} = $after_key AND trace_id < $after_trace_id))"]
        after_trace_id = bytes.fromhex(question.after_trace_id)
        values = {**values, "after_key": question.after_key, "after_trace_id": after_trace_id}
    columns = f"SELECT {segment.sequence} AS sequence, {segment.place} AS place, {', '.join(_SHOWN)}"
    of = f"{segment.schema}.frame"
    if behind is not None:
        # Not in one: DuckDB 2.0 fails over "rowid > n" where few of many rows are sorted out.
        return ask(
            f"WITH new AS MATERIALIZED ({columns} FROM {of}{_where([*tests, 'rowid > $behind'])}) "
            f"SELECT * FROM new ORDER BY {key} {way}, trace_id {way} LIMIT $limit",
            {**values, "behind": behind, "limit": question.limit + 1},
        )
    return ask(
        f"{columns} FROM {of}{_where(tests)} ORDER BY {key} {way}, trace_id {way} LIMIT $limit",
        {**values, "limit": question.limit + 1},
    )


def _tests(question: Frames) -> tuple[list[str], dict[str, Any]]:
    """Conditions on frames, and the values in them."""
    tests: list[str] = []
    values: dict[str, Any] = {}
    for name, test, value in (
        ("service", "service = $service", question.service),
        ("pipeline", "pipeline = $pipeline", question.pipeline),
        ("start_ns", "start_ns >= $start_ns", question.start_ns),
        ("end_ns", "start_ns < $end_ns", question.end_ns),
        ("stage", "stage = $stage", question.stage),
        ("least", "latency_ns >= $least", question.min_latency_ns),
    ):
        if value is not None:
            tests.append(test)
            values[name] = value
    # A plain list, not a joined one: the newest of 280 000 frames take 4 ms of CPU instead of 24.
    lists = {"outcome": question.outcomes, "cause": question.causes, "kept": question.kept}
    for column, wanted in lists.items():
        if wanted:
            names = {f"{column}_{number}": value for number, value in enumerate(wanted)}
            tests.append(f"{column} IN ({', '.join(f'${name}' for name in names)})")
            values |= names
    return tests, values


def _where(tests: list[str]) -> str:
    return f" WHERE {' AND '.join(tests)}" if tests else ""


def _roots(rows: Any, found: list[Segment], segments: Segments, ask: Ask) -> list[bytes]:
    """The root spans of a page, fetched apart: sorting must not unpack every frame's bytes."""
    wanted: defaultdict[int, dict[int, Row]] = defaultdict(dict)
    keys: list[tuple[int, int]] = []
    bodies: dict[tuple[int, int], bytes] = {}
    schemas = {segment.sequence: segment.schema for segment in found}
    for row in rows.select(["sequence", "place", "trace_id", "start_ns"]).to_pylist():
        sequence, place = row["sequence"], row["place"]
        keys.append((sequence, place))
        if (known := segments.roots.get((schemas[sequence], place))) is not None:
            bodies[(sequence, place)] = known
        else:
            wanted[sequence][place] = Row(row["trace_id"], row["start_ns"])
    for segment in found:
        if segment.sequence in wanted:
            for place, root in kept_spans.roots(segment, wanted[segment.sequence], ask).items():
                bodies[(segment.sequence, place)] = root
                segments.roots.put((segment.schema, place), root)
    return [bodies[key] for key in keys]
