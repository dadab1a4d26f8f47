"""Pipelines heard of: what is remembered of rows gives what the rows give, whatever came since."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from framescope_ui.store.answers import Pipelines, answer
from framescope_ui.store.schema import FRAME
from framescope_ui.store.segments import Segments

START = 1_795_000_000
_steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from("abc"), st.integers(0, 20)),
        st.tuples(st.none(), st.integers(0, 20)),
        st.just("the next segment"),
        st.just("opened anew"),
        st.tuples(st.just("asked"), st.integers(0, 20), st.integers(0, 20)),
    ),
    max_size=12,
)


def _add(segments: Segments, pipeline: str | None, time_ns: int) -> None:
    cursor = segments.cursor()
    cursor.execute(
        f"INSERT INTO {segments.current.schema}.frame (trace_id, service, host, pipeline, start_ns) "
        "VALUES ('t', 's', ?, ?, ?)",
        [f"host {time_ns}", pipeline, time_ns],
    )
    cursor.close()
    segments.current.cover(FRAME, time_ns, time_ns)
    segments.current.heard[FRAME.name].note(
        [("s", pipeline, f"host {time_ns}", time_ns)]
    )  # as the writer does


@settings(max_examples=12, deadline=None)
@given(_steps)
def test_the_newest_of_a_range_is_told_however_often_it_was_asked(steps: list[object]) -> None:
    now = float(START)
    with tempfile.TemporaryDirectory() as directory:
        segments = Segments(
            Path(directory),
            segment_seconds=10,
            retention_seconds=1e9,
            retention_bytes=2**30,
            now_s=lambda: now,
        )
        kept: list[tuple[str, int]] = []
        try:
            for step in [*steps, ("asked", 0, 21), ("asked", 5, 12)]:
                match step:
                    case ("asked", int(start), int(end)):
                        question = Pipelines(start_ns=start, end_ns=end)
                        rows = answer("pipelines", question, segments).to_pylist()
                        told = {one["pipeline"]: (one["newest_ns"], one["host"]) for one in rows}
                        inside = sorted(one for one in kept if start <= one[1] < end)
                        assert told == {pipeline: (at, f"host {at}") for pipeline, at in inside}
                    case (pipeline, int(at)):
                        _add(segments, pipeline, at)  # type: ignore[arg-type]
                        if pipeline is not None:
                            kept.append((pipeline, at))  # type: ignore[arg-type]
                    case "opened anew":
                        segments.reopen()
                    case _:
                        now += 20
                        segments.roll_if_due()
        finally:
            segments.close()
