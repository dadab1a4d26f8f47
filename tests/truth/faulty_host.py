"""A pipeline of known shape with faults of known kind and time: its hand-over goes to its output.

Usage: python faulty_host.py PROGRAMME-FILE. The file is one JSON object: shape, frames, seed, what (as
``programmes.What``), directory (for its socket and its status page), and episodes as [kind, strength in ms,
first frame, frame after the last]; without any it is the paired replay.
"""

from __future__ import annotations

import contextlib
import gc
import json
import sys
from pathlib import Path
from typing import Any

import shapes
from faults import KINDS, Fault, Points, benign
from waiting_host import Output

import framescope
from framescope.pipeline import _Process


class Episodes:
    """Starts and stops each fault at its frame."""

    def __init__(self, faults: list[tuple[Fault, int, int]]) -> None:
        self._faults = faults

    def __call__(self, number: int) -> None:
        for fault, _, after in self._faults:
            if number == after:
                fault.stop()
        for fault, first, _ in self._faults:
            if number == first:
                fault.start()


def main() -> None:
    told: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())
    shape, seed, frames = told["shape"], told["seed"], told["frames"]
    points = Points()
    with contextlib.ExitStack() as stack:
        pipeline = framescope.Pipeline(
            shape, target_fps=shapes.FPS[shape], budget_ms=shapes.BUDGET_MS[shape], process=_Process(Output())
        )
        run = getattr(shapes, shape)
        arguments: tuple[Any, ...] = ()
        graphics = None
        if shape == "accelerator":
            from graphics import Graphics

            graphics = stack.enter_context(Graphics(Path(told["directory"]), told["what"]))
            if told["what"] != "stub":  # NVML's devices are found by the agent itself
                pipeline.watch_device(graphics.status_page)
            arguments = (graphics.client,)
        gc.collect()
        gc.freeze()  # as a real-time program does; what a fault makes is not frozen
        episodes: list[tuple[Fault, int, int]] = []
        # What is started once there is a quota is held by it too.
        for kind, strength_ms, first, after in sorted(told["episodes"], key=lambda one: one[0] == "quota"):
            fault = graphics.fault(kind) if graphics is not None else None
            if fault is None:
                fault = KINDS[kind].make(points, strength_ms, seed)
            stack.callback(fault.close)
            episodes.append((fault, first, after))
        benign()
        run(pipeline, points, frames, seed, Episodes(episodes), *arguments)
        pipeline.close()


if __name__ == "__main__":
    main()
