"""Which pipeline is looked at where nobody says."""

from __future__ import annotations

from dataclasses import dataclass, field

from memory_stores import MemoryMetrics

from framescope import signals
from framescope_ui.backends.protocols import PipelineRef
from framescope_ui.questions.pipelines import LATELY_SECONDS, LOOK_BACK_SECONDS, chosen
from framescope_ui.questions.stores import NS, Stores

NOW_NS = 1_800_000_000 * NS


@dataclass
class Heard:
    """A trace store: when each pipeline was last heard of (s ago), and how far back it was asked for them."""

    ages: dict[str, float]
    name: str = "traces"
    asked: list[float] = field(default_factory=list)

    async def pipelines(self, start_ns: int, end_ns: int) -> list[PipelineRef]:
        self.asked.append((NOW_NS - start_ns) / NS)
        newest = {name: NOW_NS - int(age * NS) for name, age in self.ages.items()}
        return [PipelineRef("s", name, at) for name, at in newest.items() if at >= start_ns]


async def pick(ages: dict[str, float], pipeline: str | None = None) -> tuple[str | None, list[float]]:
    traces = Heard(ages)
    choice = await chosen(Stores(traces, MemoryMetrics()), NOW_NS, None, pipeline)  # type: ignore[arg-type]
    return (choice.pipeline if choice else None), traces.asked


async def test_one_that_runs_is_found_without_searching_the_day() -> None:
    assert await pick({"b": 1, "a": 2, "old": 4000}) == ("a", [LATELY_SECONDS])


async def test_one_that_ended_hours_ago_is_found_where_none_runs() -> None:
    assert await pick({"old": 9000, "older": 20_000}) == ("old", [LATELY_SECONDS, LOOK_BACK_SECONDS])


async def test_one_that_was_asked_for_is_found_though_others_run() -> None:
    assert await pick({"a": 1, "old": 9000}, "old") == ("old", [LATELY_SECONDS, LOOK_BACK_SECONDS])


async def test_without_any_there_is_no_choice() -> None:
    assert (await pick({}))[0] is None


async def test_the_doctors_own_test_is_shown_only_where_there_is_nothing_else() -> None:
    @dataclass
    class Services(Heard):
        async def pipelines(self, start_ns: int, end_ns: int) -> list[PipelineRef]:
            found = await super().pipelines(start_ns, end_ns)
            return [PipelineRef(one.pipeline, one.pipeline, one.newest_ns) for one in found]

    async def picked(ages: dict[str, float]) -> str | None:
        choice = await chosen(Stores(Services(ages), MemoryMetrics()), NOW_NS, None, None)  # type: ignore[arg-type]
        return choice.service if choice else None

    doctor = signals.TRIAL_SERVICE
    assert await picked({doctor: 1, "ultrasound": 2}) == "ultrasound"
    assert await picked({doctor: 1, "ultrasound": 9000}) == "ultrasound"
    assert await picked({doctor: 1}) == doctor
