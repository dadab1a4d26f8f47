"""Who uses a GPU, over time."""

from __future__ import annotations

from framescope import signals
from framescope_ui.backends.protocols import Series
from framescope_ui.questions.gpus import labels, now_of, of_gpu, others_of

S = 1_000_000_000


def using(own: bool, *readings: tuple[int, float], gpu: str = "0") -> Series:
    attributes = {signals.HW_ID: gpu, signals.FS_PROCESS_SELF: "true" if own else "false"}
    return Series(attributes, [at for at, _ in readings], [value for _, value in readings])


def test_others_are_added_up_at_each_instant() -> None:
    found = others_of([using(False, (1, 0.25), (2, 0.25)), using(False, (2, 0.5))], "0")
    assert (list(found.times_ns), list(found.values)) == ([1, 2], [0.25, 0.75])


def test_another_process_that_ended_no_longer_uses_the_gpu() -> None:
    found = others_of([using(True, (1, 0.1), (2, 0.1), (3, 0.1)), using(False, (1, 0.75))], "0")
    assert (list(found.times_ns), list(found.values)) == ([1, 2, 3], [0.75, 0.0, 0.0])


def test_without_any_other_process_nothing_is_told_apart() -> None:
    assert not others_of([using(True, (1, 0.1))], "0").times_ns
    assert not others_of([using(False, (1, 0.1), gpu="1")], "0").times_ns


def told(metric: str, value: float, at: int = 10 * S, **more: str) -> tuple[str, Series]:
    names = {"task": signals.HW_GPU_TASK, "location": signals.HW_SENSOR_LOCATION, "state": signals.HW_STATE}
    attributes = {names[name]: what for name, what in more.items()}
    return metric, Series({signals.HW_ID: "0", signals.HW_TYPE: "gpu", **attributes}, [at], [value])


def gauges(*series: tuple[str, Series]) -> dict[str, list[Series]]:
    found: dict[str, list[Series]] = {}
    for metric, one in series:
        found.setdefault(metric, []).append(one)
    return found


def test_a_gpus_load_is_not_its_encoders_and_its_temperature_not_its_memorys() -> None:
    found = gauges(
        told(signals.HW_GPU_UTILIZATION, 0.5, task="general"),
        told(signals.HW_GPU_UTILIZATION, 0.9, task="encoder"),
        told(signals.HW_TEMPERATURE, 60, location="gpu"),
        told(signals.HW_TEMPERATURE, 90, location="memory"),
    )
    now = now_of(labels(found)[0], found, (), 10 * S)
    assert (now.utilization, now.temperature_celsius, now.state) == (0.5, 60, None)


def test_series_without_a_task_are_the_gpus_own() -> None:
    found = gauges(told(signals.HW_GPU_UTILIZATION, 0.5))
    assert of_gpu(found[signals.HW_GPU_UTILIZATION], "0")


def test_a_gpu_that_is_lost_is_still_shown_and_said_to_be() -> None:
    found = gauges(
        told(signals.HW_STATUS, 0, state="ok"), told(signals.HW_STATUS, 1, state="failed"),
    )  # fmt: skip
    [gpu] = labels(found)
    now = now_of(gpu, found, (), 10 * S)
    assert (now.state, now.utilization) == ("failed", None)


def test_reasons_that_hold_at_once_are_not_added_up() -> None:
    def held(reason: str, seconds: float) -> Series:
        return Series({signals.HW_ID: "0", signals.FS_GPU_THROTTLE_REASON: reason}, [10 * S], [seconds])

    found = gauges(told(signals.FS_GPU_CLOCK, 1e9))
    now = now_of(labels(found)[0], found, [held("power_cap", 8.0), held("hw_thermal", 5.0)], 10 * S)
    assert now.throttled_seconds_per_second == 0.8
    assert now.throttle_reasons == ["hw_thermal", "power_cap"]
