"""What a pipeline shares with its process, without thread or agent: frames stay in its recorder."""

from __future__ import annotations

from framescope.recorder.faults import Faults
from framescope.recorder.pipeline import Recorder


class Apart:
    """Takes the place of a process; one frame in ``baseline_every`` is chosen beforehand."""

    def __init__(self, baseline_every: int = 0) -> None:
        self.baseline_every = baseline_every
        self.scheduler = lambda: (-1, -1, -1)
        self.faults = Faults(raising=True)
        self.shipper = self

    def add(self, recorder: Recorder) -> None: ...
