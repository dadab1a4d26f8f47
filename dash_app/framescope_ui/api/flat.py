"""Live snapshots as flat rows that ``pandas.DataFrame`` loads directly."""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from framescope_ui.questions.gaps import GAP_SPACINGS, usual_spacing
from framescope_ui.questions.views import Line, Live

Cell = float | int | str | None
Row = dict[str, Cell]

UNITS: Mapping[str, str] = {
    "timestamp": "unix seconds",
    "fps_in": "1/s",
    "fps_out": "1/s",
    "fps_target": "1/s",
    "sync": "1/s, frames in minus frames out",
    "sync_trend": "growing, shrinking or steady, over the last minute",
    "missed_per_minute": "frames per minute that the source numbered and the pipeline never began",
    "latency_ms": "ms, median",
    "latency_p95_ms": "ms",
    "latency_p99_ms": "ms",
    "budget_ms": "ms",
    "slow_share": "0-1",
    "dropped_per_minute": "frames per minute",
    "cpu": "0-1 of all cores",
    "memory": "0-1",
    "process_cpu": "0-1 of all cores",
    "process_memory": "bytes",
    "gpu_utilization": "0-1",
    "gpu_memory_used": "bytes",
    "gpu_memory_total": "bytes",
    "gpu_temperature": "degrees Celsius",
    "gpu_power": "W",
    "gpu_clock": "Hz",
    "queue_*_depth": "items",
    "queue_*_drops": "frames: in the step of a history row, per minute in the latest",
    "health": "OK, WARNING, CRITICAL or NO DATA",
}
_STATES = ("OK", "WARNING", "CRITICAL")


def latest_row(live: Live) -> Row:
    """The newest snapshot as one flat row."""
    row: Row = {
        "timestamp": live.time,
        "time": _rfc3339(live.time),
        "service": live.service,
        "pipeline": live.pipeline,
        "health": live.health.state,
        "health_reason": live.health.text,
        "newest_age_seconds": live.newest_age_seconds,
        "fps_in": live.fps_in,
        "fps_out": live.fps_out,
        "fps_target": live.target_fps,
        "sync": live.sync_gap,
        "sync_trend": live.sync_trend,
        "missed_per_minute": live.missed_per_minute,
        "latency_ms": _ms(live.latency_p50),
        "latency_p95_ms": _ms(live.latency_p95),
        "latency_p99_ms": _ms(live.latency_p99),
        "budget_ms": _ms(live.budget_seconds),
        "slow_share": live.slow_share,
        "dropped_per_minute": live.dropped_per_minute,
        "cpu": live.cpu_utilization,
        "memory": live.memory_utilization,
        "process_cpu": live.process_cpu_utilization,
        "process_memory": live.process_memory_bytes,
    }
    row |= dict.fromkeys(
        ("gpu_name", "gpu_utilization", "gpu_memory_used", "gpu_memory_total", "gpu_temperature"), None
    )
    for index, gpu in enumerate(live.gpus):
        prefix = _gpu(index)
        row |= {
            f"{prefix}_name": gpu.name,
            f"{prefix}_utilization": gpu.utilization,
            f"{prefix}_memory_used": gpu.memory_used_bytes,
            f"{prefix}_memory_total": gpu.memory_total_bytes,
            f"{prefix}_temperature": gpu.temperature_celsius,
            f"{prefix}_power": gpu.power_watts,
            f"{prefix}_clock": gpu.clock_hz,
        }
    for queue in live.queues:
        name = _column(queue.name)
        row |= {
            f"queue_{name}_depth": queue.depth,
            f"queue_{name}_capacity": queue.capacity,
            f"queue_{name}_drops": queue.dropped_per_minute,
        }
    row |= {f"custom_{_column(name)}": value for name, value in live.custom}
    row |= {f"custom_{_column(name)}_per_minute": value for name, value in live.counted}
    return {name: _finite(value) for name, value in row.items()}


def history_rows(live: Live, last: int) -> list[Row]:
    """The last rows of history, oldest first, one a step; what is not known in a step is None."""
    history = live.history
    lines: dict[str, tuple[Line, float]] = {}
    counted = {f"queue_{_column(queue.name)}_drops" for queue in live.queues}

    def add(column: str, key: str, index: int = 0, factor: float = 1.0) -> None:
        found: Sequence[Line] = history.get(key, ())
        lines[column] = (found[index] if index < len(found) else Line(column, "", (), ()), factor)

    add("fps_in", "fps_in")
    add("fps_out", "fps_out")
    add("latency_ms", "latency_p50", factor=1000.0)
    add("latency_p95_ms", "latency_p95", factor=1000.0)
    add("latency_p99_ms", "latency_p99", factor=1000.0)
    add("cpu", "cpu")
    add("memory", "memory")
    for index in range(max(1, len(live.gpus))):
        prefix = _gpu(index)
        add(f"{prefix}_utilization", "gpu_utilization", index)
        add(f"{prefix}_memory_used", "gpu_memory", index)
        add(f"{prefix}_temperature", "gpu_temperature", index)
        add(f"{prefix}_clock", "gpu_clock", index)
    for queue in live.queues:
        for column, key in (("depth", "queue_depth"), ("drops", "queue_drops")):
            found = [i for i, line in enumerate(history.get(key, ())) if line.name == queue.name]
            add(
                f"queue_{_column(queue.name)}_{column}", key, found[0] if found else len(history.get(key, ()))
            )
    add("health", "health")
    times = sorted(
        {x for line, _ in lines.values() for x, y in zip(line.x, line.y, strict=True) if y is not None}
    )
    columns = {name: _Cells(line, factor, held=name not in counted) for name, (line, factor) in lines.items()}
    rows: list[Row] = []
    for time in times[-last:] if last > 0 else []:
        row: Row = {"timestamp": time, "time": _rfc3339(time)}
        row |= {name: _finite(column.at(time)) for name, column in columns.items()}
        level = row["health"]
        row["health"] = _STATES[round(level)] if isinstance(level, float) else "NO DATA"
        row["sync"] = _difference(_number(row["fps_in"]), _number(row["fps_out"]))
        rows.append(row)
    return rows


class _Cells:
    """A line as a column: a reading holds until the next, but not over a gap.

    Where ``held`` is false it stands in its own step alone: what was counted once is not counted again.
    """

    def __init__(self, line: Line, factor: float, held: bool) -> None:
        points = [(x, y) for x, y in zip(line.x, line.y, strict=True) if y is not None]
        self._x = [x for x, _ in points]
        self._y = [y for _, y in points]
        self._factor = factor
        self._reach = GAP_SPACINGS * (usual_spacing(self._x) or 0.0) if held else 0.0

    def at(self, time: float) -> float | None:
        index = bisect_right(self._x, time) - 1
        if index < 0 or (self._x[index] != time and time - self._x[index] >= self._reach):
            return None
        return self._y[index] * self._factor


def _gpu(index: int) -> str:
    return "gpu" if index == 0 else f"gpu{index}"


def _column(name: str) -> str:
    return re.sub(r"[^0-9a-z]+", "_", name.lower()).strip("_") or "unnamed"


def _ms(value: float | None) -> float | None:
    return None if value is None else value * 1000.0


def _difference(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a - b


def _number(value: Cell) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None


def _finite(value: Cell) -> Cell:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _rfc3339(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
