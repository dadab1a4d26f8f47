"""How right verdicts are: pure functions over frames whose cause and loss are known."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from framescope import signals

CLEARLY_MS = 2.0
"""A frame that lost less than this against its replay is no frame of the fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One slow frame: what was done to it, and what was said of it. All durations in ms.

    ``injected`` is its latency less that of the same frame in the replay; ``causes`` are those of the faults
    that were on, none in a control. ``sure``: of two faults, what one of them is known to have taken.
    """

    shape: str
    what: str = "single"
    seed: int = 0
    frame: int = 0
    kinds: tuple[str, ...]
    causes: tuple[str, ...]
    injected: float
    sure: float | None = None
    named: str
    confidence: float
    lost: float
    shares: Mapping[str, float] = field(default_factory=dict)
    start_ns: int = 0
    end_ns: int = 0


def parent(cause: str) -> str:
    """The family of a cause; itself where it has none."""
    known = signals.CAUSES.get(cause)
    return cause if known is None or known.parent is None else known.parent


Pair = tuple[float, bool]
"""A verdict's confidence, and whether it was right."""


def claims(rows: Iterable[Row]) -> list[Pair]:
    """Of single faults, the verdicts that say something. Who names the family of the true cause is right:
    more is not said. Who says ``unknown`` claims nothing, and is no part of it."""
    return [
        (row.confidence, row.named in (row.causes[0], parent(row.causes[0])))
        for row in rows
        if len(row.causes) == 1 and row.named != "unknown"
    ]


def confusion(rows: Iterable[Row]) -> dict[str, dict[str, int]]:
    """Of frames of single faults: what was named, by true cause."""
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        if len(row.causes) == 1:
            found[row.causes[0]][row.named] += 1
    return {cause: dict(named.most_common()) for cause, named in sorted(found.items())}


def f1(table: Mapping[str, Mapping[str, int]]) -> dict[str, float]:
    """F1 of each cause: 2 TP / (2 TP + FP + FN)."""
    result = {}
    for cause, named in table.items():
        true = named.get(cause, 0)
        missed = sum(named.values()) - true
        false = sum(others.get(cause, 0) for other, others in table.items() if other != cause)
        result[cause] = 2 * true / (2 * true + missed + false) if true else 0.0
    return result


def share_errors(rows: Iterable[Row]) -> list[float]:
    """|ms given to the fault's cause − ms it took| / ms it took, for single faults of 2 ms and more."""
    found = []
    for row in rows:
        if len(row.causes) == 1 and row.injected >= CLEARLY_MS:
            given = row.shares.get(row.causes[0], 0.0)
            found.append(abs(given - row.injected) / row.injected)
    return found


def own_errors(rows: Iterable[Row], unrest: Mapping[str, Sequence[float]]) -> list[float]:
    """What ``share_errors`` would be of a judge that knows all: |unrest| / ms it took, of the same frames,
    each with every fiftieth of its shape's unrest (frames that nothing was done to, beside their replay, in
    ms). The truth itself is no more exact than that."""
    fiftieths = {
        shape: [ordered[len(ordered) * (2 * place + 1) // 100] for place in range(50)]
        for shape, some in unrest.items()
        if (ordered := sorted(map(abs, some)))
    }
    return [
        off / row.injected
        for row in rows
        if len(row.causes) == 1 and row.injected >= CLEARLY_MS
        for off in fiftieths.get(row.shape, ())
    ]


def unknown_parts(rows: Iterable[Row]) -> dict[str, float]:
    """The median unknown part of the loss, by true cause."""
    found: defaultdict[str, list[float]] = defaultdict(list)
    for row in rows:
        if len(row.causes) == 1 and row.lost > 0:
            found[row.causes[0]].append(row.shares.get("unknown", 0.0) / row.lost)
    return {cause: median(parts) for cause, parts in sorted(found.items())}


BOTH_TOOK = 0.25
"""A frame tells of two faults where each took at least this part of what was injected."""


def of_two(rows: Iterable[Row]) -> list[Row]:
    """The frames that two faults of different causes both took their part of."""
    return [
        row
        for row in rows
        if len(set(row.causes)) == 2
        and row.sure is not None
        and row.lost > 0
        and BOTH_TOOK <= row.sure / row.injected <= 1 - BOTH_TOOK
    ]


def both_found(rows: Iterable[Row], least: float = 0.15) -> float | None:
    """Of frames of double faults: in how many both causes have at least ``least`` of the loss."""
    double = of_two(rows)
    if not double:
        return None
    found = sum(all(row.shares.get(c, 0.0) >= least * row.lost for c in row.causes) for row in double)
    return found / len(double)


def wrong_instead(rows: Iterable[Row]) -> float | None:
    """Of frames of single faults: how many were given a cause that is neither theirs nor its parent, nor
    ``unknown``."""
    single = [row for row in rows if len(row.causes) == 1]
    return sum(map(_is_wrong, single)) / len(single) if single else None


def wrong_for_want(without: Sequence[Row], with_it: Iterable[Row]) -> float | None:
    """Of the frames judged ``without`` some evidence: how many are wrong now and were not with it."""
    were_wrong = {(row.shape, row.seed, row.what, row.frame) for row in with_it if _is_wrong(row)}
    now = [row for row in without if _is_wrong(row)]
    new = sum((row.shape, row.seed, row.what, row.frame) not in were_wrong for row in now)
    return new / len(without) if without else None


def _is_wrong(row: Row) -> bool:
    return len(row.causes) == 1 and row.named not in (row.causes[0], parent(row.causes[0]), "unknown")


def calibration_error(pairs: Sequence[Pair], bins: int = 10) -> float | None:
    """Expected calibration error of (confidence, right): the mean gap between the two over bins of equal
    width, weighted by their size (Guo et al., ICML 2017)."""
    if not pairs:
        return None
    binned: defaultdict[int, list[Pair]] = defaultdict(list)
    for confidence, was_right in pairs:
        binned[min(bins - 1, int(confidence * bins))].append((confidence, was_right))
    return sum(abs(sum(c for c, _ in some) - sum(r for _, r in some)) for some in binned.values()) / len(
        pairs
    )


def reliability(pairs: Sequence[Pair], bins: int = 10) -> list[dict[str, float]]:
    """By confidence: how many frames, their mean confidence, and how often these were right."""
    binned: defaultdict[int, list[Pair]] = defaultdict(list)
    for confidence, was_right in pairs:
        binned[min(bins - 1, int(confidence * bins))].append((confidence, was_right))
    return [
        {
            "from": place / bins,
            "frames": len(some),
            "confidence": sum(c for c, _ in some) / len(some),
            "right": sum(r for _, r in some) / len(some),
        }
        for place, some in sorted(binned.items())
    ]


def auroc(pairs: Sequence[Pair]) -> float | None:
    """The chance that a right verdict has a higher confidence than a wrong one, ties counted half."""
    good = [c for c, was_right in pairs if was_right]
    bad = sorted(c for c, was_right in pairs if not was_right)
    if not good or not bad:
        return None
    wins = sum((bisect_left(bad, g) + bisect_right(bad, g)) / 2 for g in good)
    return wins / (len(good) * len(bad))


def quantile(values: Sequence[float], q: float) -> float | None:
    """Nearest rank."""
    return sorted(values)[min(len(values) - 1, int(q * len(values)))] if values else None


NOISE = frozenset({"unknown", "blocked", "cpu", "cpu_contention", "cpu_work", "late_input", "python_gil"})
"""What a slow frame of an undisturbed pipeline can be: the machine's own doing, or the source's sleep. Every
shape has threads that take the interpreter lock and may lose their core with it: frames of the plainest shape
were seen from outside to wait for it."""
POSSIBLE: Mapping[str, frozenset[str]] = {
    "one_thread": NOISE,
    "chain": NOISE | {"queue_wait"},
    "service": NOISE | {"loop_wait"},
    "accelerator": NOISE | {"gpu", "gpu_work"},
}
"""By shape: a chain has queues, and a service has a loop, also when calm."""
SURELY = 0.5


def impossible(row: Row) -> bool:
    """Whether a frame that nothing was done to was surely given a cause that it cannot have."""
    return row.confidence > SURELY and row.named not in POSSIBLE[row.shape]


Span = tuple[int, int]


def matched(episodes: Sequence[Span], incidents: Sequence[Span], slow: Sequence[int]) -> int:
    """How many episodes are told by an incident: each incident tells of the one episode that most of its
    frames are in (``slow``: when each began), and of an episode that two tell of only one counts."""
    found = set()
    for start, end in incidents:
        own = [at for at in slow if start <= at < end]
        shared = [sum(first <= at < last for at in own) for first, last in episodes]
        most = max(shared, default=0)
        if 2 * most > len(own):
            found.add(shared.index(most))
    return len(found)


def report(rows: Sequence[Row]) -> dict[str, Any]:
    """The figures of these frames, of single faults but for ``both_of_two``."""
    table = confusion(rows)
    scores = f1(table)
    single = [row for row in rows if len(row.causes) == 1]
    pairs = claims(rows)
    errors = share_errors(rows)
    control = [row for row in rows if not row.causes]
    return {
        "frames": len(rows),
        "frames_per_cause": {cause: sum(named.values()) for cause, named in table.items()},
        "macro_f1": sum(scores.values()) / len(scores) if scores else None,
        "f1": scores,
        "right_family": sum(parent(r.named) == parent(r.causes[0]) for r in single) / len(single)
        if single
        else None,
        "frames_of_two": len(of_two(rows)),
        "both_of_two": both_found(rows),
        "share_error_median": quantile(errors, 0.5),
        "share_error_p90": quantile(errors, 0.9),
        "unknown_part": unknown_parts(rows),
        "calibration_error": calibration_error(pairs),
        "auroc": auroc(pairs),
        "reliability": reliability(pairs),
        "control_frames": len(control),
        "control_impossible": sum(map(impossible, control)) / len(control) if control else None,
        "control_named": dict(Counter(row.named for row in control if row.confidence > SURELY).most_common()),
        "confusion": table,
    }


@dataclass(frozen=True, slots=True)
class Bar:
    """What a figure must reach: at least, or at most."""

    name: str
    limit: float
    at_least: bool = True

    def reached(self, value: float | None) -> bool | None:
        """None where there is nothing to tell."""
        if value is None:
            return None
        return value >= self.limit if self.at_least else value <= self.limit


BARS = (
    Bar("macro-F1, single faults", 0.9),
    Bar("lowest F1 of a cause", 0.8),
    Bar("right family, by event pairs and NVML alone", 0.9),
    Bar("both of two faults among the shares of 15 %", 0.85),
    Bar("error of the right share, median", 0.15, at_least=False),
    Bar("error of the right share, p90", 0.35, at_least=False),
    Bar("unknown part, highest median of a cause", 0.2, at_least=False),
    Bar("evidence withheld: a wrong cause", 0.02, at_least=False),
    Bar("controls: an impossible cause, surely", 0.02, at_least=False),
    Bar("expected calibration error", 0.05, at_least=False),
    Bar("AUROC of the confidence", 0.8),
    Bar("incidents: precision", 0.9),
    Bar("incidents: recall", 0.9),
)
ENOUGH = 200
"""Slow frames of a cause that make its figures worth telling."""
