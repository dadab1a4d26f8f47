"""What the Frame page says of the GPU: only what is known, in words and units."""

from __future__ import annotations

from framescope_ui.questions.views import GpuThen
from framescope_ui.reports.frame_words import gpu_facts


def test_everything_that_is_known_is_said() -> None:
    then = GpuThen(
        clock_hz=1.1e9, usual_clock_hz=1.5e9, held=0.34, held_by="its power limit", memory_bytes=3e9,
        temperature_celsius=84.6, power_watts=301.2, errors=("Xid 79", "uncorrectable memory error"),
    )  # fmt: skip
    assert [f"{title}: {said}".replace("\u202f", " ") for title, said in gpu_facts(then)] == [
        "GPU clock: 1 100 MHz, usually 1 500",
        "Held back: 34 % of the time, by its power limit",
        "GPU memory: 3.0 GB",
        "GPU temperature: 85 °C",
        "GPU power: 301 W",
        "GPU errors: Xid 79; uncorrectable memory error",
    ]


def test_what_is_not_known_or_did_not_happen_is_not_said() -> None:
    assert gpu_facts(GpuThen()) == []
    assert gpu_facts(GpuThen(held=0.0)) == []
    assert gpu_facts(GpuThen(clock_hz=1e9)) == [("GPU clock", "1\u202f000 MHz")]
