"""How right are the verdicts? Runs pipelines with faults of known cause, and again without; judges; counts.

Usage, from the repository's root:

    python tests/truth/run.py                    every shape with every fault, seed 2
    … --shapes chain service --faults "held lock" --seeds 2 4 --frames 60
    … --what single double nvml stub             faults one by one; pairs of them; those of the accelerator,
                                                 told as NVML does, and by NVML's own library
    … --part 1                                   of all that the first nine minutes; --plan tells the parts
    python tests/truth/run.py --rescore [FILE…]  judges recorded frames again by today's judge, runs nothing

Each run is recorded in test-results/truth/SHAPE-SEED-WHAT.jsonl.gz: all that its agent took in, with
faults and without (``recording.py``). --rescore without a FILE takes all of them. It takes seconds, and the
same recording gives the same verdicts: all that is needed to work at the judge. --details writes every slow
frame beside its recording, a JSON object a line: truth (what was done, what the replay says it took, what was
named), frame (all the judge was told: stages, threads' evidence, what is usual), verdict.

Even seeds are for development, odd ones for the report. Tables go to standard output, JSON to
bench-results/truth.json.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

import recording
import shapes
import tables
from faults import PACE, pace
from listening import record
from paired import details, episodes_told, rows, slow_frames, undisturbed, usual
from programmes import Programme, What, parts, programme, programme_of
from score import BARS, Row, matched, own_errors, quantile, report, wrong_for_want, wrong_instead
from scripted_nvml import ScriptedNvml
from withheld import PROBES

from framescope.judge.incidents import incidents

ROOT = Path(__file__).resolve().parents[2]
RECORDINGS = ROOT / "test-results" / "truth"
RESULT = ROOT / "bench-results" / "truth.json"
PART_S = 540.0
"""No part takes longer: a machine that others use as well is quiet for ten minutes at most."""
ENVIRONMENT = {
    "FRAMESCOPE_PROBES_SYSTEM_CALLS": "1",
    "PYTHONPATH": os.pathsep.join(str(ROOT / place) for place in ("instrumentation", "examples")),
}
OF_ALL = {"single", "double"}
"""Runs in which all is told that can be."""
WITH, WITHOUT = "with faults", "without"


# -- run ----------------------------------------------------------------------------------------------------


def hear(programme: Programme, episodes: bool, turns_a_second: float) -> recording.Recording:
    """One run of a host, with its faults or (without episodes) as its replay."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        told = programme.told() | {"directory": str(directory)} | ({} if episodes else {"episodes": []})
        (directory / "programme").write_text(json.dumps(told))
        nvml = programme.what == "stub"
        if nvml:
            stack.enter_context(ScriptedNvml(directory, directory / "status"))
        environment = ENVIRONMENT | {PACE: str(turns_a_second)}
        return record("faulty_host.py", str(directory / "programme"), nvml=nvml, **environment)


def run(programme: Programme) -> Path:
    """Run a programme and its replay; answers where they are recorded."""
    began = time.monotonic()
    fast = pace()
    told = programme.told() | {
        "load_before": os.getloadavg()[0],
        "python": sys.version.split()[0],
        "pace": fast,
    }
    runs = [(WITH, hear(programme, True, fast)), (WITHOUT, hear(programme, False, fast))]
    path = RECORDINGS / f"{programme.name}.jsonl.gz"
    recording.write(path, told, runs)
    print(f"{path.relative_to(ROOT)}: {time.monotonic() - began:.0f} s", flush=True)
    return path


# -- judge --------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Found:
    """What was found in recorded runs."""

    rows: list[Row] = field(default_factory=list)
    withheld: dict[str, list[Row]] = field(default_factory=dict)
    """By what was withheld: the frames of the faults that rest on it."""
    left_out: int = 0
    """Slow frames of a time when others used the machine."""
    unrest: dict[str, list[float]] = field(default_factory=dict)
    """By shape: frames that nothing was done to, beside their replay, in ms."""
    episodes: int = 0
    incidents: int = 0
    matched: int = 0


def judge(path: Path, found: Found, withholding: bool, with_details: bool, also_crowded: bool) -> None:
    """Add the slow frames of one recorded run and of its replay, judged by today's judge."""
    told, runs = recording.read(path)
    done = programme_of(told)
    disturbed, calm = recording.judged(runs[WITH]), recording.judged(runs[WITHOUT])
    crowded = [] if also_crowded else runs[WITH].crowded()
    expected = usual(done, disturbed, calm, crowded)
    slow = rows(done, disturbed, expected, crowded)
    if with_details:
        file = path.with_name(path.name.removesuffix(".jsonl.gz") + ".frames.jsonl")
        file.write_text("".join(json.dumps(one) + "\n" for one in details(slow, disturbed)))
        print(file)
    found.rows += slow + rows(
        replace(done, episodes=()), calm, expected, [] if also_crowded else runs[WITHOUT].crowded()
    )
    unrest = undisturbed(done, disturbed, expected, crowded)
    found.unrest.setdefault(done.shape, []).extend(unrest.values())
    found.left_out += len(rows(done, disturbed, expected)) - len(slow)
    frames = slow_frames(done, disturbed, crowded)
    storms = [(one.start_ns, one.end_ns) for one in incidents(frames)]
    episodes = episodes_told(done, disturbed, slow)
    found.episodes += len(episodes)
    found.incidents += len(storms)
    found.matched += matched(episodes, storms, [one.start_ns for one in frames])
    if withholding and done.what == "single":
        for name, one in PROBES.items():
            if one.causes & {row.causes[0] for row in slow if row.causes}:
                without = rows(done, recording.judged(runs[WITH], one.change, one.deaf_to), expected, crowded)
                found.withheld.setdefault(name, []).extend(
                    row for row in without if row.causes and row.causes[0] in one.causes
                )


def tell(found: Found) -> dict[str, Any]:
    """Print the tables; answers them as JSON."""
    full = [row for row in found.rows if row.what in OF_ALL]
    results: dict[str, Any] = {"shapes": {}}
    for shape in sorted({row.shape for row in found.rows}):
        of_shape = [row for row in found.rows if row.shape == shape]
        results["shapes"][shape] = report([row for row in of_shape if row.what in OF_ALL])
        print(f"== {shape}\n{tables.figures(results['shapes'][shape])}\n{tables.kinds(of_shape)}")
    results["all"] = report(full)
    results["told_as"] = {
        what: report([row for row in found.rows if row.what == what])
        for what in sorted({row.what for row in found.rows} - OF_ALL)
    }
    results["withheld"] = {
        name: {
            "frames": len(some),
            "wrong": wrong_instead(some),
            "wrong_for_want_of_it": wrong_for_want(some, full),
            "wrong_with_it": wrong_instead(
                row for row in full if row.what == "single" and set(row.causes) & PROBES[name].causes
            ),
        }
        for name, some in found.withheld.items()
    }
    results["incidents"] = {
        "episodes": found.episodes,
        "incidents": found.incidents,
        "precision": found.matched / found.incidents if found.incidents else None,
        "recall": found.matched / found.episodes if found.episodes else None,
    }
    pairs_alone = [row for row in found.rows if row.what not in OF_ALL and len(row.causes) == 1]
    all_withheld = [row for some in found.withheld.values() for row in some]
    overall = results["all"]
    values = (
        overall["macro_f1"],
        min(overall["f1"].values(), default=None),
        report(pairs_alone)["right_family"],
        overall["both_of_two"],
        overall["share_error_median"],
        overall["share_error_p90"],
        max(overall["unknown_part"].values(), default=None),
        wrong_instead(all_withheld),
        overall["control_impossible"],
        overall["calibration_error"],
        overall["auroc"],
        results["incidents"]["precision"],
        results["incidents"]["recall"],
    )
    results["left_out"] = found.left_out
    own = own_errors(full, found.unrest)
    results["truth_itself"] = {"median": quantile(own, 0.5), "p90": quantile(own, 0.9)}
    results["bars"] = [
        {**asdict(bar), "value": value, "reached": bar.reached(value)}
        for bar, value in zip(BARS, values, strict=True)
    ]
    print(f"== all\n{tables.figures(overall)}\n{tables.rest(results)}\n== bars\n{tables.bars(results)}")
    return results


def adopt_orphans() -> None:
    """Processes that left their parent become this one's (``PR_SET_CHILD_SUBREAPER``): so does the other
    client of the accelerator, and what it uses of the machine is the suite's own."""
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)


# -- the command line ---------------------------------------------------------------------------------------


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shapes", nargs="*", default=list(shapes.FPS), choices=list(shapes.FPS))
    parser.add_argument("--faults", nargs="*", default=[])
    parser.add_argument("--seeds", nargs="*", type=int, default=[2])
    parser.add_argument("--frames", type=int, default=120, help="frames an episode lasts")
    parser.add_argument("--what", nargs="*", default=["single"], choices=get_args(What))
    parser.add_argument("--part", type=int, help="of all that, the K-th part of nine minutes at most")
    parser.add_argument("--plan", action="store_true", help="say what would be run, and how long it takes")
    parser.add_argument("--rescore", nargs="*", type=Path, metavar="FILE", help="run nothing")
    parser.add_argument("--withheld", action="store_true", help="judge again without each kind of evidence")
    parser.add_argument("--crowded", action="store_true", help="count frames while others used the machine")
    parser.add_argument("--details", action="store_true", help="write every slow frame beside its recording")
    asked = parser.parse_args()
    if asked.rescore is not None:
        paths = asked.rescore or sorted(RECORDINGS.glob("*.jsonl.gz"))
    else:
        planned = [
            programme(shape, seed, what, asked.frames, asked.faults)
            for what in asked.what
            for shape in asked.shapes
            for seed in asked.seeds
            if what in ("single", "double") or shape == "accelerator"
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
        adopt_orphans()
        paths = []
        for one in planned:
            try:
                paths.append(run(one))
            except ChildProcessError as error:
                print(f"left out: {one.name}: {error}", flush=True)
    found = Found()
    for path in paths:
        try:
            judge(path, found, asked.withheld, asked.details, asked.crowded)
        except ValueError as error:
            print(f"left out: {path.name}: {error}: where the hand-over has changed since, run it again")
    results = {"recordings": [path.name for path in paths], **tell(found)}
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(results, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
