"""Fit the table that turns a verdict's raw confidence into how often it is right.

Usage: python tests/truth/calibrate.py [FILE…]; without one, all recordings of even seeds. It prints the table
for ``judge/confidence.py``, and how far off it is on recordings that it was not fitted to, shape by shape.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from pathlib import Path

import recording
from paired import rows, usual
from programmes import programme_of
from run import RECORDINGS, WITH, WITHOUT
from score import Pair, auroc, calibration_error, claims

from framescope.judge import confidence

LEAST = 100
"""Verdicts behind one knot of the table."""
Knots = list[tuple[float, float]]


def isotonic(pairs: Sequence[Pair], least: int = LEAST) -> Knots:
    """Blocks of at least so many pairs, in order of confidence, pooled until how often they were right rises
    with it (pool adjacent violators: Barlow et al., 1972). One right and one wrong verdict are added to each:
    no block is ever always right."""
    ordered = sorted(pairs)
    count = max(1, len(ordered) // least)
    edges = [len(ordered) * place // count for place in range(count + 1)]
    blocks: list[list[Pair]] = []
    for first, last in itertools.pairwise(edges):
        blocks.append(list(ordered[first:last]))
        while len(blocks) > 1 and _right(blocks[-2]) >= _right(blocks[-1]):
            last_block = blocks.pop()
            blocks[-1] += last_block
    knots = [(edge, round(_right(some), 3)) for some in blocks for edge in (some[0][0], some[-1][0])]
    return [knot for place, knot in enumerate(knots) if place == 0 or knot != knots[place - 1]]


def _right(pairs: Sequence[Pair]) -> float:
    return (sum(right for _, right in pairs) + 1) / (len(pairs) + 2)


def gathered(paths: Sequence[Path]) -> dict[str, list[Pair]]:
    """By shape: raw confidence, and whether the verdict was right."""
    found: dict[str, list[Pair]] = {}
    for path in paths:
        told, runs = recording.read(path)
        done = programme_of(told)
        disturbed, crowded = recording.judged(runs[WITH]), runs[WITH].crowded()
        expected = usual(done, disturbed, recording.judged(runs[WITHOUT]), crowded)
        slow = rows(done, disturbed, expected, crowded)
        found.setdefault(done.shape, []).extend(claims(slow))
    return found


def main() -> int:
    paths = [Path(name) for name in sys.argv[1:]] or [
        path for path in sorted(RECORDINGS.glob("*-single.jsonl.gz")) if int(path.name.split("-")[1]) % 2 == 0
    ]
    confidence.KNOTS = ((0.0, 0.0), (1.0, 1.0))  # type: ignore[misc]  # what is judged now is raw
    by_shape = gathered(paths)
    everything = [pair for some in by_shape.values() for pair in some]
    for shape, some in by_shape.items():
        others = [pair for other, pairs in by_shape.items() if other != shape for pair in pairs]
        if others:
            knots = isotonic(others)
            seen = [(confidence.calibrated(raw, knots), right) for raw, right in some]
            print(f"{shape}: fitted to the others, off by {calibration_error(seen):.3f}, AUROC {auroc(some)}")
    knots = isotonic(everything)
    seen = [(confidence.calibrated(raw, knots), right) for raw, right in everything]
    print(f"{len(everything)} verdicts: off by {calibration_error(seen):.3f}, AUROC {auroc(everything)}")
    print("KNOTS: Final[Sequence[tuple[float, float]]] =", tuple(knots))
    return 0


if __name__ == "__main__":
    sys.exit(main())
