"""The critical path of a frame: every nanosecond of it has exactly one owner.

Walking back from the frame's end, the stage that finished last owns the time back to its start; then the
one that finished last before that; what no stage covers belongs to nobody. A stage whose work was hidden
behind another's owns nothing. Nested stages own what their inner stages do not.
"""

from __future__ import annotations

from collections.abc import Sequence

from framescope.judge.model import Stage


def own(stages: Sequence[Stage], start_ns: int, end_ns: int) -> int:
    """Set every stage's ``owned_ns`` within [start, end); answers the time that nobody owns."""
    for stage in stages:
        stage.owned_ns = 0
    if end_ns <= start_ns:
        return 0
    outer, inner = _split_nested(stages)
    path, unowned = _walked_back(outer, start_ns, end_ns)
    for begin, finish, stage in path:
        stage.owned_ns += finish - begin
    for stage, parent in inner:
        if parent.owned_ns:
            part = min(max(0, stage.end_ns - stage.start_ns), parent.owned_ns)
            stage.owned_ns = part
            parent.owned_ns -= part
    return unowned


def critical_path(stages: Sequence[Stage], start_ns: int, end_ns: int) -> list[tuple[int, int, Stage]]:
    """The stretches (begin, end, outermost stage) that made the frame as long as it was, first one first.

    They do not overlap; between two of them lies time that no stage covers.
    """
    outer, _ = _split_nested(stages)
    path, _ = _walked_back(outer, start_ns, end_ns)
    return path[::-1]


def _walked_back(
    outer: Sequence[Stage], start_ns: int, end_ns: int
) -> tuple[list[tuple[int, int, Stage]], int]:
    """The critical path, last stretch first, and the time that no stage covers."""
    path: list[tuple[int, int, Stage]] = []
    unowned = 0
    now = end_ns
    # Latest end first; of two that end together the one that started earlier gates more.
    for stage in sorted(outer, key=lambda s: (-s.end_ns, s.start_ns)):
        finish = min(stage.end_ns, now)
        begin = max(stage.start_ns, start_ns)
        if begin >= finish:
            continue  # all of it ran beside a later one of the path: hidden
        unowned += now - finish
        path.append((begin, finish, stage))
        now = begin
    unowned += max(0, now - start_ns)
    return path, unowned


def _split_nested(stages: Sequence[Stage]) -> tuple[list[Stage], list[tuple[Stage, Stage]]]:
    """Top-level stages, and (inner, its innermost enclosing stage), outermost first."""
    outer: list[Stage] = []
    inner: list[tuple[Stage, Stage]] = []
    open_by_thread: dict[int | None, list[Stage]] = {}
    for stage in sorted(stages, key=lambda s: (s.start_ns, -s.end_ns)):
        stack = open_by_thread.setdefault(stage.thread, [])
        while stack and stack[-1].end_ns <= stage.start_ns:
            stack.pop()
        if stack and stage.end_ns <= stack[-1].end_ns and stage.kind != "queue":
            inner.append((stage, stack[-1]))
        else:
            outer.append(stage)
        stack.append(stage)
    return outer, inner
