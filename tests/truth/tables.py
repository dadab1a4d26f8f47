"""The figures of the suite, for people to read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from score import ENOUGH, Row


def number(value: float | None, form: str = ".2f") -> str:
    """A figure; a dash where there is nothing to tell."""
    return "–" if value is None else format(value, form)


def figures(found: Mapping[str, Any]) -> str:
    """One pipeline's, or all of them together."""
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
        few = "" if found["frames_per_cause"][cause] >= ENOUGH else f"  (fewer than {ENOUGH})"
        lines.append(f"  {cause:16} F1 {found['f1'][cause]:.2f}  unknown {number(unknown)}  {told}{few}")
    lines.append(
        f"  controls: {found['control_frames']} frames, impossible {number(found['control_impossible'])}, "
        f"named with confidence > 0.5: {found['control_named'] or 'none'}"
    )
    return "\n".join(lines)


def kinds(rows: Sequence[Row]) -> str:
    """What the frames of each fault were called."""
    found: dict[str, Counter[str]] = {}
    for row in rows:
        told_as = "" if row.what in ("single", "double") else f" ({row.what})"
        found.setdefault((" + ".join(row.kinds) or "nothing") + told_as, Counter())[row.named] += 1
    return "\n".join(
        f"     {kind:40} {named.total():4} slow: "
        + ", ".join(f"{name} {count}" for name, count in named.most_common())
        for kind, named in sorted(found.items())
    )


def rest(results: Mapping[str, Any]) -> str:
    """Confidence beside how often it was right; what is withheld; what less is told of a GPU."""
    lines = ["  confidence  frames  mean  right"]
    lines += [
        f"  from {one['from']:.1f}   {one['frames']:7}  {one['confidence']:.2f}  {one['right']:.2f}"
        for one in results["all"]["reliability"]
    ]
    lines += [
        f"  without {name:24} a wrong cause in {number(one['wrong'], '.1%')} of {one['frames']}, "
        f"with it in {number(one['wrong_with_it'], '.1%')}; "
        f"in {number(one['wrong_for_want_of_it'], '.1%')} for want of it"
        for name, one in results["withheld"].items()
    ]
    lines += [
        f"  accelerator told as {what}: {found['frames']} slow, "
        f"right family {number(found['right_family'])}, {found['confusion']}"
        for what, found in results["told_as"].items()
    ]
    lines.append(f"  left out, because others used the machine: {results['left_out']} slow frames")
    own = results["truth_itself"]
    lines.append(
        f"  error of the truth itself, by frames that nothing was done to: median {number(own['median'])}, "
        f"p90 {number(own['p90'])}"
    )
    found = results["incidents"]
    lines.append(f"  {found['incidents']} incidents of {found['episodes']} episodes")
    return "\n".join(lines)


def bars(results: Mapping[str, Any]) -> str:
    """Every figure beside what it must reach."""
    mark = {True: "yes", False: "NO", None: "–"}
    return "\n".join(
        f"  {one['name']:46} {'≥' if one['at_least'] else '≤'} {one['limit']:<5} "
        f"{number(one['value'], '.3f'):>6}  {mark[one['reached']]}"
        for one in results["bars"]
    )
