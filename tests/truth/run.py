"""Run every shape with every fault it can have, and once more without: how right are the verdicts?

Usage: python tests/truth/run.py [--shape NAME…] [--kind NAME…] [--seeds 1 2] [--frames 120]. Even seeds are
for development, odd ones for the report. Tables go to standard output, JSON to bench-results/truth.json.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import shapes
from faults import KINDS, OF_THE_ACCELERATOR
from listening import Heard, listen
from score import CLEARLY_MS, Row, report

from framescope import signals as sig

ROOT = Path(__file__).resolve().parents[2]
CALM_S = 6.0
REST_S = 2.0
AFTERMATH_S = 0.5
STRENGTHS_MS = (5.0, 14.0)
ENVIRONMENT = {
    "FRAMESCOPE_PROBES_SYSTEM_CALLS": "1",
    "PYTHONPATH": os.pathsep.join(str(ROOT / place) for place in ("instrumentation", "examples")),
}


@dataclass(frozen=True, slots=True)
class Episode:
    """A fault from one frame to before another."""

    kind: str
    strength_ms: float
    first: int
    after: int


def causes_of(shape: str) -> dict[str, str]:
    """The faults that make sense in a shape, and the cause of each."""
    found = {kind: one.cause for kind, one in KINDS.items() if shape in one.shapes}
    return found | OF_THE_ACCELERATOR if shape == "accelerator" else found


def programme(shape: str, seed: int, frames: int, kinds: Sequence[str]) -> tuple[list[Episode], int]:
    """Each fault once for so many frames, in an order and of a strength that the seed gives; a control among
    them; and the frames in all."""
    chance = random.Random(f"{shape} {seed}")
    chosen = [kind for kind in causes_of(shape) if not kinds or kind in kinds]
    chance.shuffle(chosen)
    at = round(CALM_S * shapes.FPS[shape])
    found = []
    for kind in chosen:
        found.append(Episode(kind, round(chance.uniform(*STRENGTHS_MS), 1), at, at + frames))
        at += frames + round(REST_S * shapes.FPS[shape])
    return found, at


def hear(shape: str, seed: int, frames: int, episodes: Sequence[Episode]) -> Heard:
    """One run of a host, with its faults or (without episodes) as its replay."""
    told = {
        "shape": shape,
        "seed": seed,
        "frames": frames,
        "episodes": [[one.kind, one.strength_ms, one.first, one.after] for one in episodes],
    }
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(told, file)
        file.flush()
        return listen("faulty_host.py", file.name, **ENVIRONMENT)


def latencies(heard: Heard) -> dict[int, float]:
    """Every frame's latency by its number, in ms."""
    found: dict[int, float] = {}
    for group in heard.groups:
        told: Mapping[str, Any] = group[0].attributes or {}
        if group[0].name == sig.SPAN_FRAMES:
            for place, latency in enumerate(told[sig.BATCH_LATENCIES_US]):
                found[told[sig.BATCH_FIRST_ID] + place] = latency / 1e3
    return found


def rows(shape: str, disturbed: Heard, replay: Heard, episodes: Sequence[Episode]) -> list[Row]:
    """The slow frames with what is known of them. A frame shortly after an episode is the episode's where it
    clearly lost time against its replay; one that nothing was done to is a control."""
    causes, usual = causes_of(shape), latencies(replay)
    after = round(AFTERMATH_S * shapes.FPS[shape])
    found = []
    for root, *_ in disturbed.slow():
        told: Mapping[str, Any] = root.attributes or {}
        number = told[sig.FRAME_ID]
        latency = ((root.end_time or 0) - (root.start_time or 0)) / 1e6
        if number not in usual or sig.FRAME_CAUSE_NAME not in told:
            continue
        injected = latency - usual[number]
        on = [one for one in episodes if one.first <= number < one.after + after]
        during = any(one.first <= number < one.after for one in on)
        if on and injected < CLEARLY_MS:
            continue  # slow, but not by this fault
        if on and not during and injected < CLEARLY_MS:
            on = []
        found.append(
            Row(
                shape,
                tuple(one.kind for one in on),
                tuple(causes[one.kind] for one in on),
                injected,
                told[sig.FRAME_CAUSE_NAME],
                told.get(sig.FRAME_CAUSE_CONFIDENCE, 0.0),
                told.get(sig.FRAME_LOST_TOTAL, 0.0) * 1e3,
                {
                    cause: told[sig.FRAME_LOST_PREFIX + cause] * 1e3
                    for cause in sig.CAUSES
                    if sig.FRAME_LOST_PREFIX + cause in told
                },
            )
        )
    return found


def table(found: Mapping[str, Any]) -> str:
    """The figures for people."""

    def number(value: float | None, form: str = ".2f") -> str:
        return "–" if value is None else format(value, form)

    lines = [
        f"{found['frames']} slow frames; macro-F1 {number(found['macro_f1'])}, "
        f"right family {number(found['right_family'])}, calibration error "
        f"{number(found['calibration_error'])}, AUROC {number(found['auroc'])}; share error median "
        f"{number(found['share_error_median'])}, p90 {number(found['share_error_p90'])}",
    ]
    for cause, named in found["confusion"].items():
        told = ", ".join(f"{name} {count}" for name, count in named.items())
        unknown = found["unknown_part"].get(cause)
        lines.append(f"  {cause:16} F1 {found['f1'][cause]:.2f}  unknown {number(unknown)}  {told}")
    lines.append(f"  controls: {found['control_frames']} frames, named with confidence > 0.5: "
                 f"{found['control_named'] or 'none'}")  # fmt: skip
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--shape", nargs="*", default=list(shapes.FPS), choices=list(shapes.FPS))
    parser.add_argument("--kind", nargs="*", default=[])
    parser.add_argument("--seeds", nargs="*", type=int, default=[2])
    parser.add_argument("--frames", type=int, default=120, help="frames an episode lasts")
    asked = parser.parse_args()
    everything: list[Row] = []
    results: dict[str, Any] = {"seeds": asked.seeds, "shapes": {}}
    for shape in asked.shape:
        of_shape: list[Row] = []
        for seed in asked.seeds:
            episodes, frames = programme(shape, seed, asked.frames, asked.kind)
            disturbed = hear(shape, seed, frames, episodes)
            replay = hear(shape, seed, frames, ())
            of_shape += rows(shape, disturbed, replay, episodes)
            of_shape += rows(shape, replay, replay, ())
        everything += of_shape
        results["shapes"][shape] = report(of_shape)
        print(f"== {shape}\n{table(results['shapes'][shape])}", flush=True)
        by_kind: dict[str, list[Row]] = {}
        for row in of_shape:
            by_kind.setdefault(" + ".join(row.kinds) or "nothing", []).append(row)
        for kind, some in by_kind.items():
            named: dict[str, int] = {}
            for row in some:
                named[row.named] = named.get(row.named, 0) + 1
            print(f"     {kind:22} {len(some):4} slow: {named}")
    results["all"] = report(everything)
    results["rows"] = [asdict(row) for row in everything]
    print(f"== all\n{table(results['all'])}")
    folder = ROOT / "bench-results"
    folder.mkdir(exist_ok=True)
    (folder / "truth.json").write_text(json.dumps(results, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
