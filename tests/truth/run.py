"""How right are the verdicts? Runs pipelines with faults of known cause, and again without; judges; counts.

Usage, from the repository's root:

    python tests/truth/run.py                    every shape with every fault, seed 2
    … --shapes chain service --faults "held lock" --seeds 2 4 --frames 60
    … --double                                   pairs of faults at once
    … --modes nvml                               less is told of the accelerator
    … --part 1                                   of all that the first nine minutes; --plan tells the parts
    python tests/truth/run.py --rescore [FILE…]  judges recorded frames again by today's judge, runs nothing

Each run is recorded in test-results/truth/SHAPE-SEED-WHAT-MODE.jsonl.gz: all that its agent took in, with
faults and without (``recording.py``). --rescore without a FILE takes all of them. It takes seconds, and the
same recording gives the same verdicts: all that is needed to work at the judge. --details writes every slow
frame beside its recording, a JSON object a line: truth (what was done, what the replay says it took, what was
named), frame (all the judge was told: stages, threads' evidence, what is usual), verdict.

Even seeds are for development, odd ones for the report. Tables go to standard output, JSON to
bench-results/truth.json.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import recording
import shapes
from listening import record
from paired import details, latencies, rows
from programmes import Programme, parts, programme, programme_of
from score import Row, report

ROOT = Path(__file__).resolve().parents[2]
RECORDINGS = ROOT / "test-results" / "truth"
RESULT = ROOT / "bench-results" / "truth.json"
PART_S = 540.0
"""No part takes longer: a machine that others use as well is quiet for ten minutes at most."""
ENVIRONMENT = {
    "FRAMESCOPE_PROBES_SYSTEM_CALLS": "1",
    "PYTHONPATH": os.pathsep.join(str(ROOT / place) for place in ("instrumentation", "examples")),
}
WITH, WITHOUT = "with faults", "without"


# -- run ----------------------------------------------------------------------------------------------------


def hear(programme: Programme, episodes: bool) -> recording.Recording:
    """One run of a host, with its faults or (without episodes) as its replay."""
    told = programme.told() | ({} if episodes else {"episodes": []})
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(told, file)
        file.flush()
        return record("faulty_host.py", file.name, **ENVIRONMENT)


def run(programme: Programme) -> Path:
    """Run a programme and its replay; answers where they are recorded."""
    began = time.monotonic()
    told = programme.told() | {"load_before": os.getloadavg()[0], "python": sys.version.split()[0]}
    runs = [(WITH, hear(programme, True)), (WITHOUT, hear(programme, False))]
    path = RECORDINGS / f"{programme.name}.jsonl.gz"
    recording.write(path, told, runs)
    print(f"{path.relative_to(ROOT)}: {time.monotonic() - began:.0f} s", flush=True)
    return path


# -- judge --------------------------------------------------------------------------------------------------


def judge(path: Path, with_details: bool) -> list[Row]:
    """The slow frames of one recorded run and of its replay, judged by today's judge."""
    told, runs = recording.read(path)
    done = programme_of(told)
    disturbed, calm = recording.judged(runs[WITH]), recording.judged(runs[WITHOUT])
    usual = latencies(calm)
    found = rows(done, disturbed, usual)
    if with_details:
        file = path.with_name(path.name.removesuffix(".jsonl.gz") + ".frames.jsonl")
        file.write_text("".join(json.dumps(one) + "\n" for one in details(found, disturbed)))
        print(file.relative_to(ROOT))
    return found + rows(Programme(done.shape, done.seed, done.mode, done.frames, ()), calm, usual)


def tell(rows: Sequence[Row]) -> dict[str, Any]:
    """Print the tables; answers them as JSON."""
    single = [row for row in rows if row.mode == "full" and len(row.causes) < 2]
    results: dict[str, Any] = {"shapes": {}}
    for shape in sorted({row.shape for row in rows}):
        of_shape = [row for row in rows if row.shape == shape]
        results["shapes"][shape] = report([row for row in of_shape if row in single])
        print(f"== {shape}\n{table(results['shapes'][shape])}")
        for kind, some in by_kind(of_shape):
            named = Counter(row.named for row in some).most_common()
            print(f"     {kind:40} {len(some):4} slow: {', '.join(f'{name} {n}' for name, n in named)}")
    results["all"] = report([row for row in rows if row.mode == "full"])
    print(f"== all\n{table(results['all'])}")
    return results


def by_kind(rows: Iterable[Row]) -> list[tuple[str, list[Row]]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        mode = "" if row.mode == "full" else f" ({row.mode})"
        found.setdefault((" + ".join(row.kinds) or "nothing") + mode, []).append(row)
    return sorted(found.items())


def table(found: Mapping[str, Any]) -> str:
    """The figures for people."""

    def number(value: float | None, form: str = ".2f") -> str:
        return "–" if value is None else format(value, form)

    lines = [
        f"{found['frames']} slow frames; macro-F1 {number(found['macro_f1'])}, "
        f"right family {number(found['right_family'])}, both of two {number(found['both_of_two'])} of "
        f"{found['frames_of_two']}, calibration error {number(found['calibration_error'])}, "
        f"AUROC {number(found['auroc'])}; share error median {number(found['share_error_median'])}, "
        f"p90 {number(found['share_error_p90'])}",
    ]
    for cause, named in found["confusion"].items():
        told = ", ".join(f"{name} {count}" for name, count in named.items())
        unknown = found["unknown_part"].get(cause)
        lines.append(f"  {cause:16} F1 {found['f1'][cause]:.2f}  unknown {number(unknown)}  {told}")
    lines.append(f"  controls: {found['control_frames']} frames, impossible "
                 f"{number(found['control_impossible'])}, named with confidence > 0.5: "
                 f"{found['control_named'] or 'none'}")  # fmt: skip
    return "\n".join(lines)


# -- the command line ---------------------------------------------------------------------------------------


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shapes", nargs="*", default=list(shapes.FPS), choices=list(shapes.FPS))
    parser.add_argument("--faults", nargs="*", default=[])
    parser.add_argument("--seeds", nargs="*", type=int, default=[2])
    parser.add_argument("--frames", type=int, default=120, help="frames an episode lasts")
    parser.add_argument("--double", action="store_true", help="faults in pairs, instead of one by one")
    parser.add_argument("--modes", nargs="*", default=["full"], choices=["full", "nvml", "stub"])
    parser.add_argument("--part", type=int, help="of all that, the K-th part of nine minutes at most")
    parser.add_argument("--plan", action="store_true", help="say what would be run, and how long it takes")
    parser.add_argument("--rescore", nargs="*", type=Path, metavar="FILE", help="run nothing")
    parser.add_argument("--details", action="store_true", help="write every slow frame beside its recording")
    asked = parser.parse_args()
    if asked.rescore is not None:
        paths = asked.rescore or sorted(RECORDINGS.glob("*.jsonl.gz"))
    else:
        planned = [
            programme(shape, seed, asked.frames, asked.faults, mode, asked.double)
            for shape in asked.shapes
            for seed in asked.seeds
            for mode in asked.modes
            if mode == "full" or shape == "accelerator"
        ]
        divided = parts(planned, PART_S)
        if asked.plan:
            for place, some in enumerate(divided, 1):
                print(f"part {place}, {sum(one.seconds for one in some):.0f} s:", *(one.name for one in some))
            return 0
        if asked.part is not None:
            if not 1 <= asked.part <= len(divided):
                parser.error(f"--part {asked.part}: there are {len(divided)} parts")
            planned = divided[asked.part - 1]
        print(f"{len(planned)} runs with their replays, about {sum(one.seconds for one in planned):.0f} s")
        paths = [run(one) for one in planned]
    everything = [row for path in paths for row in judge(path, asked.details)]
    results = {"recordings": [path.name for path in paths], **tell(everything)}
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(results | {"rows": [asdict(row) for row in everything]}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
