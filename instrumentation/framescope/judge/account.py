"""The accounting: a slow frame's lost time, in seconds per cause, to the nanosecond.

Lost is latency minus what an undisturbed frame takes. Each stage's excess over its own baseline is a
piece of it; each piece is split by the evidence of where it happened; what none covers is ``unknown``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, Literal

from framescope.judge import gpu, host, own_causes
from framescope.judge.confidence import confidence
from framescope.judge.explain import considered, evidence_rows
from framescope.judge.host import Piece
from framescope.judge.model import Frame, Share, Stage, Verdict
from framescope.judge.path import own
from framescope.judge.sentence import sentence

UNKNOWN: Final = "unknown"
STRUCTURAL: Final = "structural"

_REMAINDER: Final = {"queue": "queue_wait", "gap": "late_input"}
"""What a wait is when neither the frames ahead nor the waiting thread's own evidence explain it. In a queue
whose consumer stood waiting it is unknown."""


def judge(frame: Frame) -> Verdict:
    """The verdict on a frame. Deterministic; a frame with nothing lost gets no shares."""
    return in_words(frame, accounted(frame))


def accounted(frame: Frame) -> Verdict:
    """The verdict without its words, for whoever only passes it on: they cost as much again."""
    latency, axis = frame.latency_ns, _axis(frame)
    frame.unowned_ns = own(frame.stages, frame.due_ns, frame.end_ns)
    expected = frame.expected_ns if axis == "latency" else frame.expected_interval_ns
    taken = latency if axis == "latency" else (frame.interval_ns or 0)
    limit = frame.budget_ns if axis == "latency" else frame.period_ns
    lost = 0 if expected is None else max(0, taken - expected)
    overrun = 0 if limit is None else max(0, taken - limit)
    if expected is None:
        lost = overrun  # with nothing to compare, what is over the limit is lost, nobody knows to what
        found: dict[tuple[str, str | None], int] = {(UNKNOWN, None): lost} if lost else {}
    else:
        found = _latency_parts(frame, lost) if axis == "latency" else _interval_parts(frame, lost)
    parts: dict[tuple[str, str | None], int] = {}
    for (cause, stage), amount in found.items():
        place = host.as_far_as_told(cause, frame.off), stage
        parts[place] = parts.get(place, 0) + amount
    return summed(frame, axis, expected, lost, overrun, parts)


def summed(
    frame: Frame,
    axis: Literal["latency", "interval"],
    expected: int | None,
    lost: int,
    overrun: int,
    parts: Mapping[tuple[str, str | None], int],
) -> Verdict:
    """Turn parts (ns by cause and stage) into a verdict, without its words."""
    structural = 0
    limit = frame.budget_ns if axis == "latency" else frame.period_ns
    if expected is not None and limit is not None and overrun:
        structural = min(overrun, max(0, expected - limit))
    order = sorted(parts.items(), key=lambda item: (-item[1], item[0][0] == UNKNOWN, item[0][0]))
    scaled = apportion([amount for _, amount in order], overrun - structural)
    shares = [
        Share(cause, amount, over, stage)
        for ((cause, stage), amount), over in zip(order, scaled, strict=True)
    ]
    if structural:
        shares.append(Share(STRUCTURAL, 0, structural, None))
    totals: dict[str, int] = {}
    for share in shares:
        weight = share.overrun_ns if structural else share.lost_ns
        totals[share.cause] = totals.get(share.cause, 0) + weight
    cause = max(totals, key=lambda c: (totals[c], c != UNKNOWN), default=UNKNOWN)
    whole = sum(totals.values()) or 1
    sure = 0.0 if cause == UNKNOWN else confidence(frame, cause, totals[cause] / whole, lost or overrun)
    unexplained = sum(share.lost_ns for share in shares if share.cause == UNKNOWN)
    other = frame.device.other_process if frame.device is not None else None
    return Verdict(
        cause=cause,
        confidence=sure,
        axis=axis,
        expected_ns=expected,
        lost_ns=lost,
        overrun_ns=overrun,
        unexplained_ns=unexplained,
        shares=tuple(shares),
        culprit=other if cause == "gpu_contention" else None,
    )


def in_words(frame: Frame, verdict: Verdict) -> Verdict:
    """A verdict with its evidence, what else was considered, and its sentence."""
    shares = tuple(
        replace(share, evidence=evidence_rows(frame, share.cause, share.stage, share.lost_ns))
        for share in verdict.shares
    )
    named = {share.cause for share in shares}
    verdict = replace(verdict, shares=shares, considered=considered(frame, named))
    return replace(verdict, sentence=sentence(frame, verdict))


def apportion(amounts: list[int], total: int) -> list[int]:
    """``total`` in proportion to ``amounts``, in whole ns that add up exactly (largest remainder)."""
    whole = sum(amounts)
    if whole <= 0 or total <= 0:
        return [0] * len(amounts)
    floors = [amount * total // whole for amount in amounts]
    rest = total - sum(floors)
    by_remainder = sorted(range(len(amounts)), key=lambda i: -(amounts[i] * total % whole))
    for index in by_remainder[:rest]:
        floors[index] += 1
    return floors


def _axis(frame: Frame) -> Literal["latency", "interval"]:
    over = frame.budget_ns is not None and frame.latency_ns > frame.budget_ns
    return "interval" if frame.late and not over else "latency"


def _latency_parts(frame: Frame, lost: int) -> dict[tuple[str, str | None], int]:
    pieces = _pieces(frame, lost)
    for piece in pieces:
        stage = piece.stage
        if stage is None:
            continue
        if stage.kind == "gpu":
            if gpu.is_pair_alone(stage):
                _surely_host(frame, piece, pieces)
            for cause, amount in gpu.split(stage, piece.left_ns, frame.device).items():
                piece.met_ns += piece.give(cause, amount)
        if stage.kind in ("queue", "gap"):
            _behind(piece, stage.ahead_ns)
        else:
            gpu.waited_for(piece, frame.stages, frame.device)
    _own_parts(frame, pieces)
    _host_parts(frame, pieces)
    for piece in pieces:
        if piece.stage is not None and piece.stage.kind == "gpu":
            gpu.waited_to_begin(piece, frame.device)
        if piece.stage is not None and piece.stage.kind in _REMAINDER and not piece.stage.awaited:
            piece.give(_REMAINDER[piece.stage.kind], piece.left_ns)
        piece.give(UNKNOWN, piece.left_ns)
    parts: dict[tuple[str, str | None], int] = {}
    for piece in pieces:
        name = piece.stage.name if piece.stage is not None else None
        for cause, amount in piece.parts.items():
            place = host.as_far_as_timed(cause, piece.stage), name
            parts[place] = parts.get(place, 0) + amount
    return parts


def _pieces(frame: Frame, lost: int) -> list[Piece]:
    """The loss cut into pieces: each stage's excess, scaled so that together they are what was lost."""
    owners: list[tuple[Stage | None, int]] = []
    by_name: dict[str, list[Stage]] = {}
    for stage in frame.stages:
        by_name.setdefault(stage.name, []).append(stage)
    for turns in by_name.values():  # a repeated stage is expected, and exceeds it, as a whole
        over = sum(stage.owned_ns for stage in turns) - (turns[0].expected_ns or 0)
        parts = apportion([stage.owned_ns for stage in turns], max(0, over))
        owners.extend(zip(turns, parts, strict=True))
    owners.append((None, max(0, frame.unowned_ns - frame.expected_unowned_ns)))
    excess = [amount for _, amount in owners]
    found = sum(excess)
    if found > lost:  # other stages were quicker than usual and gave some of it back
        excess = apportion(excess, lost)
    pieces = []
    for (owner, _), amount in zip(owners, excess, strict=True):
        if owner is None:
            pieces.append(Piece(None, frame.due_ns, frame.end_ns, None, amount + max(0, lost - found)))
        elif amount:
            pieces.append(Piece(owner, owner.start_ns, owner.end_ns, owner.thread, amount))
    return pieces


def _behind(piece: Piece, ahead: Mapping[str, int]) -> None:
    """A wait behind other frames belongs to what those lost: the queue only passed it on.

    Lindley's recursion: a frame's wait is the wait and service of the one ahead less the time between
    their arrivals, so what the one ahead lost is in this wait until idle time has eaten it up.
    """
    total = sum(ahead.values())
    if total <= 0:
        return
    causes = sorted(ahead)
    for cause, amount in zip(
        causes, apportion([ahead[c] for c in causes], min(piece.left_ns, total)), strict=True
    ):
        piece.give(cause, amount)


def _surely_host(frame: Frame, piece: Piece, pieces: list[Piece]) -> None:
    """What the host lost while it launched: an event pair holds that too, when the stream had nothing to do.

    Only what must have been there: evidence of the stage itself, and of its thread what the thread's other
    stages cannot hold.
    """
    if piece.stage is not None:
        pool = host.pools(piece.stage.evidence, piece.stage.expected)
        for cause, name in host.OF_THE_HOST_ALONE:
            piece.give(cause, pool.get(name, 0))
    for pool, inside in _pools_by_thread(frame, pieces):
        if piece in inside:
            elsewhere = sum(other.left_ns for other in inside if other is not piece)
            for cause, name in host.OF_THE_HOST_ALONE:
                available = pool.get(name, 0) - piece.parts.get(cause, 0)
                piece.give(cause, available - elsewhere)
                elsewhere = max(0, elsewhere - max(0, available))


def _own_parts(frame: Frame, pieces: list[Piece]) -> None:
    """What the user's own causes say, before the host's plain evidence."""
    for own_cause, told in own_causes.told_of(frame):
        for stage, amount in told.items():
            left = amount
            for piece in pieces:
                if (piece.stage.name if piece.stage is not None else None) == stage:
                    left -= piece.give(own_cause.name, left)


def _host_parts(frame: Frame, pieces: list[Piece]) -> None:
    """Split what is left of each piece by the evidence of the stage or of the segments it ran in."""
    for piece in pieces:
        if piece.stage is not None:
            pool = host.pools(piece.stage.evidence, piece.stage.expected)
            for cause, amount in piece.parts.items():
                name = host.READING_OF.get(cause, "")
                if name in pool:
                    pool[name] -= min(pool[name], amount)
            host.draw([piece], pool)
    for pool, inside in _pools_by_thread(frame, pieces):
        _take_what_is_given(pool, inside)
        host.draw(inside, pool)


def _pools_by_thread(frame: Frame, pieces: list[Piece]) -> list[tuple[dict[str, int], list[Piece]]]:
    """The excess of each stretch on one thread, and the pieces that may draw on it."""
    if not frame.segments:
        return [(host.pools(frame.evidence, frame.expected), [piece for piece in pieces if _on_host(piece)])]
    return [
        (
            host.pools(segment.evidence, segment.expected),
            [
                piece
                for piece in pieces
                if _on_host(piece)
                and (piece.thread is None or piece.thread == segment.thread)
                and piece.start_ns < segment.end_ns
                and piece.end_ns > segment.start_ns
            ],
        )
        for segment in frame.segments
    ]


def _take_what_is_given(pool: dict[str, int], inside: list[Piece]) -> None:
    """Take out of a pool what its pieces were given before: no evidence explains twice."""
    for cause, name in host.PRECEDENCE:  # what a stage's own reading already gave away
        if name in pool:
            pool[name] -= min(pool[name], sum(piece.parts.get(cause, 0) for piece in inside))
    for one in own_causes.registered.values():
        name = own_causes.POOL_OF.get(one.parent, "")
        if name in pool:
            pool[name] -= min(pool[name], sum(piece.parts.get(one.name, 0) for piece in inside))
    # Off the CPU while the GPU worked is the GPU's, and is already given. Who waits for CUDA may also spin.
    met = sum(piece.met_ns for piece in inside)
    slept = min(met, pool.get("blocked_ns", 0))
    if slept < met <= pool.get("cpu_ns", 0):
        slept = 0  # all of it can have been spinning, and not all of it sleep
    for name, taken in (("io_ns", slept), ("blocked_ns", slept), ("cpu_ns", met - slept)):
        if name in pool:
            pool[name] -= min(taken, pool[name])


def _on_host(piece: Piece) -> bool:
    return piece.stage is None or piece.stage.kind not in ("queue", "gap")


def _interval_parts(frame: Frame, lost: int) -> dict[tuple[str, str | None], int]:
    """The other axis: it came late. The idle gap's excess is the source's, the rest the frame before's."""
    gap = max(0, (frame.gap_ns or 0) - (frame.expected_gap_ns or 0))
    parts: dict[tuple[str, str | None], int] = {}
    piece = Piece(None, 0, 0, None, lost)
    late = piece.give("late_input", gap)
    if late:
        parts["late_input", "gap"] = late
    _behind(piece, frame.before_ns)
    for cause, amount in piece.parts.items():
        if cause != "late_input":
            parts[cause, None] = parts.get((cause, None), 0) + amount
    if piece.left_ns:
        parts[UNKNOWN, None] = parts.get((UNKNOWN, None), 0) + piece.left_ns
    return parts
