"""The pages' questions from a notebook: the example runs as it stands, and its tables are pandas' own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas
import plotly.graph_objects as go
import pytest
from memory_store import MemoryStore
from memory_stores import MemoryMetrics, MemoryTraces

from framescope_ui import notebook
from framescope_ui.figures.strip import strip_figure
from framescope_ui.notebook import Reader, table
from framescope_ui.questions.stores import Stores

EXAMPLE = Path(__file__).parents[3] / "examples" / "notebook.ipynb"


@pytest.fixture(scope="module")
def reader() -> Reader:
    memory = MemoryStore()
    return Reader(Stores(memory, memory))


def test_the_example_runs_from_top_to_bottom(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebook, "connect", lambda: reader)
    cells = json.loads(EXAMPLE.read_text(encoding="utf-8"))["cells"]
    said: dict[str, Any] = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            assert not cell["outputs"], "outputs are whoever ran it last's, not the example's"
            exec("".join(cell["source"]), said)
    assert len(said["slow"]) > 0 and said["slow"]["latency_seconds"].is_monotonic_decreasing
    assert len(said["latency"]) > 3000
    assert said["stages"]["end"].max() > 0
    assert len(said["risks"]) > 0
    for name in ("strip", "waterfall", "live"):
        assert isinstance(said[name], go.Figure)


def test_a_figure_is_drawn_in_the_zone_it_is_given(reader: Reader) -> None:
    every = reader.every_frame(last=5)
    figure = notebook.in_zone(strip_figure(every, "light", every.x[0], every.x[-1]), "Asia/Tokyo")
    assert "JST" in [note.text for note in figure.layout.annotations]
    with pytest.raises(ValueError, match="Nowhere/Atall"):
        notebook.in_zone(figure, "Nowhere/Atall")


def test_a_row_has_what_is_one_value_and_the_shares_by_cause(reader: Reader) -> None:
    frames = pandas.DataFrame(table(reader.kept(limit=50)))
    assert {"trace_id", "latency_seconds", "cause", "stage"} <= set(frames.columns)
    assert any(name.startswith("overrun_by_cause.") for name in frames.columns)
    assert not any(isinstance(value, (list, tuple, dict)) for value in frames.to_numpy().ravel())


def test_what_is_unknown_is_missing_and_not_0() -> None:
    @dataclass
    class View:
        name: str
        value: float | None

    frame = pandas.DataFrame(table([View("a", 1.0), View("b", None)]))
    assert frame["value"].isna().tolist() == [False, True]


def test_a_view_of_parallel_lists_is_a_table_too(reader: Reader) -> None:
    every = reader.every_frame(last=10)
    assert len(pandas.DataFrame(table(every))) == len(every.x) > 0


def test_a_view_without_rows_says_what_to_give(reader: Reader) -> None:
    with pytest.raises(TypeError, match="one of its lists"):
        table(reader.live())


def test_nothing_heard_of_is_said_with_what_to_give() -> None:
    with pytest.raises(LookupError, match="give service and pipeline"):
        Reader(Stores(MemoryTraces(), MemoryMetrics())).kept()


async def test_it_works_where_an_event_loop_runs_already(reader: Reader) -> None:
    assert reader.pipelines()
