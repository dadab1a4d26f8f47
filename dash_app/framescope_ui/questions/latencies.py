"""Every frame of a range, unpacked from the ``frames`` records into parallel arrays.

The records hold every frame, kept or not, so what is counted or ranked here has no sampling bias; and a
quantile of them is exact, where one of a histogram is only as fine as its buckets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from framescope.signals import CAUSE_BY_CODE, OUTCOMES
from framescope_ui.backends.protocols import FrameBatch
from framescope_ui.questions.quantiles import exact_quantile
from framescope_ui.questions.stores import NS

OUTCOME_BY_LETTER = {letter: name for name, letter in OUTCOMES.items()}
_FINISHED = (OUTCOMES["on_time"], OUTCOMES["slow"])


@dataclass(frozen=True, slots=True)
class Latencies:
    """Frames by due time. ``outcome`` is a letter each (``signals.OUTCOMES``), ``cause`` of slow ones."""

    due_ns: npt.NDArray[np.int64]
    latency_ns: npt.NDArray[np.int64]
    frame_id: npt.NDArray[np.int64]
    outcome: npt.NDArray[np.str_]
    cause: Sequence[str | None]
    depths: Mapping[str, npt.NDArray[np.int64]]
    budget_ns: int | None

    def __len__(self) -> int:
        return int(self.due_ns.size)

    @property
    def end_ns(self) -> npt.NDArray[np.int64]:
        """When each frame ended."""
        return self.due_ns + self.latency_ns

    @property
    def finished(self) -> npt.NDArray[np.bool_]:
        """Which frames came out at the other end: on time or slow, not dropped and not failed."""
        return np.isin(self.outcome, _FINISHED)

    @property
    def slow(self) -> npt.NDArray[np.bool_]:
        """Which frames took longer than their budget."""
        return np.asarray(self.outcome == OUTCOMES["slow"], dtype=np.bool_)

    def between(self, start_ns: int, end_ns: int) -> Latencies:
        """The frames that were due in ``[start_ns, end_ns)``."""
        return self.only((self.due_ns >= start_ns) & (self.due_ns < end_ns))

    def only(self, which: npt.NDArray[np.bool_]) -> Latencies:
        """The frames marked in ``which``."""
        return Latencies(
            due_ns=self.due_ns[which],
            latency_ns=self.latency_ns[which],
            frame_id=self.frame_id[which],
            outcome=self.outcome[which],
            cause=[cause for cause, wanted in zip(self.cause, which, strict=True) if wanted],
            depths={name: depth[which] for name, depth in self.depths.items()},
            budget_ns=self.budget_ns,
        )

    def quantile_seconds(self, q: float, ended_after_ns: int | None = None) -> float | None:
        """The exact quantile, in s, of the frames that finished (after a time); None without any."""
        which = self.finished
        if ended_after_ns is not None:
            which = which & (self.end_ns > ended_after_ns)
        return exact_quantile(self.latency_ns[which] / NS, q)


def unpacked(batches: Sequence[FrameBatch]) -> Latencies:
    """All frames of the records, by due time.

    A record delivered twice counts once. A record whose arrays differ in length is used as far as its
    shortest one goes.
    """
    unique = {(b.start_ns, b.first_id, len(b.offsets_us)): b for b in batches}
    ordered = sorted(unique.values(), key=lambda b: b.start_ns)
    sizes = [min(len(b.offsets_us), len(b.latencies_us), len(b.outcomes)) for b in ordered]
    total = sum(sizes)
    due = np.zeros(total, np.int64)
    latency = np.zeros(total, np.int64)
    ids = np.zeros(total, np.int64)
    outcome = np.zeros(total, "U1")
    cause: list[str | None] = []
    depths = {name: np.full(total, -1, np.int64) for b in ordered for name in b.depths}
    at = 0
    for batch, size in zip(ordered, sizes, strict=True):
        here = slice(at, at + size)
        due[here] = batch.start_ns + np.asarray(batch.offsets_us[:size], np.int64) * 1000
        latency[here] = np.asarray(batch.latencies_us[:size], np.int64) * 1000
        ids[here] = batch.first_id + np.arange(size)
        outcome[here] = list(batch.outcomes[:size])
        cause.extend(_causes(batch.outcomes[:size], batch.causes))
        for name, found in batch.depths.items():
            known = min(size, len(found))
            depths[name][at : at + known] = np.asarray(found[:known], np.int64)
        at += size
    order = np.argsort(due, kind="stable")
    budgets = [b.budget_ns for b in ordered if b.budget_ns is not None]
    return Latencies(
        due_ns=due[order],
        latency_ns=latency[order],
        frame_id=ids[order],
        outcome=outcome[order],
        cause=[cause[i] for i in order],
        depths={name: depth[order] for name, depth in depths.items()},
        budget_ns=budgets[-1] if budgets else None,
    )


def _causes(outcomes: str, codes: Sequence[str]) -> list[str | None]:
    """One cause name a frame: the slow ones take the codes in their order, the others have none."""
    left = iter(codes)
    names: list[str | None] = []
    for letter in outcomes:
        code = next(left, None) if letter == OUTCOMES["slow"] else None
        known = CAUSE_BY_CODE.get(code) if code is not None else None
        names.append(known.name if known is not None else None)
    return names
