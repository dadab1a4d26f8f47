"""Every frame of a range, unpacked from the ``frames`` records into parallel arrays.

The records hold every frame, kept or not, so what is counted or ranked here has no sampling bias; and a
quantile of them is exact, where one of a histogram is only as fine as its buckets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
import numpy.typing as npt

from framescope.signals import CAUSE_BY_CODE, OUTCOMES
from framescope_ui.backends.protocols import FrameBatch
from framescope_ui.questions.quantiles import exact_quantile
from framescope_ui.questions.stores import NS

OUTCOME_BY_LETTER = {letter: name for name, letter in OUTCOMES.items()}
_FINISHED = (OUTCOMES["on_time"], OUTCOMES["slow"])


@dataclass(frozen=True, slots=True)
class Texts:
    """A text for each frame, as a place in ``names``; −1 where it has none."""

    names: Sequence[str]
    place: npt.NDArray[np.int32]

    def only(self, which: npt.NDArray[np.bool_]) -> Texts:
        """Those of the frames marked in ``which``."""
        return Texts(self.names, self.place[which])


@dataclass(frozen=True, slots=True)
class Latencies:
    """Frames by due time. ``outcome`` is a letter each (``signals.OUTCOMES``), ``cause`` of slow ones."""

    due_ns: npt.NDArray[np.int64]
    latency_ns: npt.NDArray[np.int64]
    frame_id: npt.NDArray[np.int64]
    outcome: npt.NDArray[np.str_]
    cause: npt.NDArray[np.object_]
    """The cause's name of a slow frame, where it has one; else None."""
    depths: Mapping[str, npt.NDArray[np.int64]]
    budget_ns: int | None
    attributes: Mapping[str, Texts] = field(default_factory=dict)
    """Content attributes, where they were asked for."""

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
            cause=self.cause[which],
            depths={name: depth[which] for name, depth in self.depths.items()},
            budget_ns=self.budget_ns,
            attributes={name: texts.only(which) for name, texts in self.attributes.items()},
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
    pairs = list(zip(ordered, sizes, strict=True))
    # One conversion for all records: one for each would cost ten times as much on an hour of them.
    offsets = _numbers((b.offsets_us[:size] for b, size in pairs), total)
    due = np.repeat(np.array([b.start_ns for b in ordered], np.int64), sizes) + offsets * 1000
    before = np.cumsum([0, *sizes[:-1]]) if sizes else np.zeros(0, np.int64)
    ids = np.repeat(np.array([b.first_id for b in ordered], np.int64) - before, sizes) + np.arange(total)
    latency = _numbers((b.latencies_us[:size] for b, size in pairs), total) * 1000
    outcome = np.array(list("".join(b.outcomes[:size] for b, size in pairs)), "U1")
    cause = np.full(total, None, np.object_)
    cause[outcome == OUTCOMES["slow"]] = [name for b, size in pairs for name in _causes(b, size)]
    names = dict.fromkeys(name for b in ordered for name in b.depths)
    contents = sorted({name for b in ordered for name in b.attributes})
    order = np.argsort(due, kind="stable")
    budgets = [b.budget_ns for b in ordered if b.budget_ns is not None]
    return Latencies(
        due_ns=due[order],
        latency_ns=latency[order],
        frame_id=ids[order],
        outcome=outcome[order],
        cause=cause[order],
        depths={
            name: _numbers((_depths(b, size, name) for b, size in pairs), total)[order] for name in names
        },
        budget_ns=budgets[-1] if budgets else None,
        attributes={name: _texts(name, pairs, total, order) for name in contents},
    )


def _numbers(parts: Iterable[Sequence[int]], total: int) -> npt.NDArray[np.int64]:
    held = list(parts)
    if held and all(isinstance(part, np.ndarray) for part in held):
        return np.concatenate(held, dtype=np.int64, casting="unsafe")
    return np.fromiter(chain.from_iterable(held), np.int64, total)


def _causes(batch: FrameBatch, size: int) -> list[str | None]:
    """One cause name a slow frame, in their order; None where the record has fewer, or an unknown code."""
    slow = batch.outcomes[:size].count(OUTCOMES["slow"])
    known = [CAUSE_BY_CODE.get(code) for code in batch.causes[:slow]]
    return [cause.name if cause else None for cause in known] + [None] * (slow - len(known))


def _texts(
    name: str, pairs: Sequence[tuple[FrameBatch, int]], total: int, order: npt.NDArray[np.int64]
) -> Texts:
    """One content attribute of all frames; a record's one text is that of all its frames."""
    places: dict[str, int] = {}
    found = np.full(total, -1, np.int32)
    begin = 0
    for batch, size in pairs:
        told = batch.attributes.get(name, ())
        if len(told) == 1:
            found[begin : begin + size] = places.setdefault(told[0], len(places))
        elif len(told) >= size:
            found[begin : begin + size] = [places.setdefault(text, len(places)) for text in told[:size]]
        begin += size
    if (none := places.get("")) is not None:
        found[found == none] = -1
    return Texts(list(places), found[order])


def _depths(batch: FrameBatch, size: int, queue: str) -> Sequence[int]:
    """One depth a frame, −1 where unknown."""
    found = batch.depths.get(queue, ())[:size]
    return found if len(found) == size else [*found, *[-1] * (size - len(found))]
