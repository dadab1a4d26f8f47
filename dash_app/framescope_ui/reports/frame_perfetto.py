"""One frame for ui.perfetto.dev: Chrome's JSON trace, beside which a profiler's own trace can be opened.

The format is the Trace Event Format's JSON object (https://docs.google.com/document/d/
1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU, linked from https://perfetto.dev/docs): complete events ``X``,
counters ``C``, flows ``s`` ``f``, instants ``i`` and metadata ``M``; ``ts`` and ``dur`` in µs. Slices of one
track must nest perfectly there, so bars that overlap without nesting get a track of their own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import framescope
from framescope.signals import SOFTWARE_ACCELERATOR
from framescope_ui.figures import theme
from framescope_ui.figures.frame import around, in_flight, packed, shown_range
from framescope_ui.figures.live import gpu_title
from framescope_ui.questions.views import FrameView, StageRow
from framescope_ui.reports import frame_words as words

HOST, GPU, FLIGHT = 1, 2, 3
"""Process numbers: the service with its threads and queues, the GPU, the frames in flight."""
Event = dict[str, Any]


def frame_perfetto(view: FrameView) -> str:
    """The JSON text. ``ts`` 0 is when the earliest thing shown began; ``otherData`` says when that was."""
    start, end = shown_range(view)
    origin = min(start, 0.0)
    events = [
        *_frame(view, origin),
        *_stages(view, origin),
        *_flights(view, origin, start, end),
        *_counters(view, origin, start, end),
    ]
    events.sort(key=lambda event: (event["ph"] != "M", event.get("ts", 0.0)))
    told = {fact.title: fact.text for fact in words.key_facts(view)}
    if view.gpu_simulated:
        told["GPU"] = f"simulated: {SOFTWARE_ACCELERATOR}"
    return json.dumps(
        {
            "traceEvents": events,
            "displayTimeUnit": "ms",
            "otherData": {
                "made by": f"framescope {framescope.__version__}",
                "trace id": view.item.trace_id,
                "unix time of ts 0, s": f"{view.due + origin:.9f}",
                "verdict": words.headline(view),
                **told,
            },
        },
        ensure_ascii=True,
        allow_nan=False,
        separators=(",", ":"),
    )


def _us(seconds: float) -> float:
    return round(seconds * 1e6, 3)


def _slice(name: str, pid: int, tid: int, begin: float, end: float, args: Mapping[str, Any]) -> Event:
    shown = {key: value for key, value in args.items() if value not in (None, "", [])}
    return {
        "ph": "X",
        "name": name,
        "cat": "framescope",
        "pid": pid,
        "tid": tid,
        "ts": _us(begin),
        "dur": _us(max(end - begin, 0.0)),
        "args": shown,
    }


def _named(pid: int, name: str, order: int) -> Iterator[Event]:
    yield {"ph": "M", "name": "process_name", "pid": pid, "tid": 0, "args": {"name": name}}
    yield {"ph": "M", "name": "process_sort_index", "pid": pid, "tid": 0, "args": {"sort_index": order}}


def _track(pid: int, tid: int, name: str) -> Iterator[Event]:
    yield {"ph": "M", "name": "thread_name", "pid": pid, "tid": tid, "args": {"name": name}}
    yield {"ph": "M", "name": "thread_sort_index", "pid": pid, "tid": tid, "args": {"sort_index": tid}}


def _frame(view: FrameView, origin: float) -> Iterator[Event]:
    yield from _named(HOST, f"{view.item.service} {view.item.pipeline or ''}".strip(), HOST)
    yield from _track(HOST, 1, "frame")
    end = max([view.item.latency_seconds or 0.0, *(row.end for row in view.stages)])
    about = {"sentence": words.headline(view), "outcome": view.item.outcome, "cause": view.item.cause}
    yield _slice(words.frame_name(view), HOST, 1, -origin, end - origin, about)
    if view.budget_seconds is not None:
        yield {
            "ph": "i",
            "name": "budget",
            "cat": "framescope",
            "s": "p",
            "pid": HOST,
            "tid": 1,
            "ts": _us(view.budget_seconds - origin),
        }


def _stages(view: FrameView, origin: float) -> Iterator[Event]:
    host = [row for row in view.stages if not _on_gpu(row)]
    gpu = [row for row in view.stages if _on_gpu(row)]
    by_track: dict[str, list[StageRow]] = {}
    for row in host:
        track = "queues" if row.kind == "queue" else row.thread or "stages"
        by_track.setdefault(track, []).append(row)
    number = 2
    places: dict[int, tuple[int, StageRow]] = {}
    for track, rows in by_track.items():
        for part, level in enumerate(_nesting(rows)):
            yield from _track(HOST, number, track if part == 0 else f"{track} ({part + 1})")
            for row in level:
                places[id(row)] = (number, row)
                yield _slice(row.name, HOST, number, row.start - origin, row.end - origin, _about(row))
            number += 1
    if gpu:
        simulated = f", simulated: {SOFTWARE_ACCELERATOR}" if view.gpu_simulated else ""
        yield from _named(GPU, f"{gpu_title(view.gpu_id)}{simulated}", GPU)
        for part, level in enumerate(_nesting(gpu), start=1):
            yield from _track(GPU, part, "work" if part == 1 else f"work ({part})")
            for row in level:
                yield _slice(row.name, GPU, part, row.start - origin, row.end - origin, _about(row))
    yield from _path(places.values(), origin)


def _on_gpu(row: StageRow) -> bool:
    return row.parent is not None and row.kind == "gpu"


def _about(row: StageRow) -> dict[str, Any]:
    lost = {f"lost to {theme.title(cause)}, ms": round(s * 1e3, 6) for cause, s in row.lost_by_cause}
    return {
        "kind": row.kind,
        "expected, ms": None if row.expected is None else round(row.expected * 1e3, 6),
        "lost, ms": None if row.lost is None else round(row.lost * 1e3, 6),
        **lost,
        "found in the queue": row.depth_at_entry,
        "GPU busy, ms": None if row.gpu_busy is None else round(row.gpu_busy * 1e3, 6),
        "GPU wait, ms": None if row.gpu_wait is None else round(row.gpu_wait * 1e3, 6),
        "on the critical path": "yes" if row.on_path else None,
        "error": row.message,
    }


def _nesting(rows: Sequence[StageRow]) -> list[list[StageRow]]:
    """Rows shared out over tracks so that on each of them bars nest perfectly."""
    tracks: list[tuple[list[StageRow], list[float]]] = []
    for row in sorted(rows, key=lambda r: (r.start, -r.end)):
        for level, open_until in tracks:
            while open_until and open_until[-1] <= row.start:
                open_until.pop()
            if not open_until or row.end <= open_until[-1]:
                level.append(row)
                open_until.append(row.end)
                break
        else:
            tracks.append(([row], [row.end]))
    return [level for level, _ in tracks]


def _path(places: Iterable[tuple[int, StageRow]], origin: float) -> Iterator[Event]:
    """Flow arrows along the critical path, where it goes from one track to another."""
    steps = sorted((begin, end, tid) for tid, row in places for begin, end in row.on_path if end > begin)
    for number, (before, after) in enumerate(pairwise(steps), start=1):
        if before[2] == after[2]:
            continue
        common = {"name": "critical path", "cat": "critical path", "id": number, "pid": HOST}
        # A flow begins and ends inside a slice: at the very end of one it would belong to nothing.
        leaves = before[0] + (before[1] - before[0]) * 0.999
        arrives = after[0] + (after[1] - after[0]) * 0.001
        yield {"ph": "s", **common, "tid": before[2], "ts": _us(leaves - origin)}
        yield {"ph": "f", "bp": "e", **common, "tid": after[2], "ts": _us(arrives - origin)}


def _flights(view: FrameView, origin: float, start: float, end: float) -> Iterator[Event]:
    flights = in_flight(view.neighbours, view, start, end)
    if not flights:
        return
    yield from _named(FLIGHT, "frames in flight", FLIGHT)
    for (left, right, number), place in zip(flights, packed(flights), strict=True):
        begin = max(left, origin)
        yield _slice(f"frame {number}", FLIGHT, place + 1, begin - origin, right - origin, {})
    for place in sorted(set(packed(flights))):
        yield from _track(FLIGHT, place + 1, f"in flight ({place + 1})")


def _counters(view: FrameView, origin: float, start: float, end: float) -> Iterator[Event]:
    window = view.gpu_window_seconds or 0.0
    for key, title, factor in (
        ("gpu_utilization", "GPU load, %", 100.0),
        ("gpu_others", "GPU load of others, %", 100.0),
        ("gpu_clock", "GPU clock, MHz", 1e-6),
        ("queue_depth", "queue", 1.0),
    ):
        of_gpu = key.startswith("gpu")
        for line in around(view.series.get(key, ()), view.due, start, end, window if of_gpu else 0.0):
            name = title if of_gpu else f"queue {line.name}"
            for x, y in zip(line.x, line.y, strict=True):
                if y is not None and x >= origin:
                    yield {
                        "ph": "C",
                        "name": name,
                        "pid": GPU if of_gpu else HOST,
                        "tid": 0,
                        "ts": _us(x - origin),
                        "args": {"value": round(y * factor, 6)},
                    }
