"""The judge: (frame, what is expected, evidence) → seconds per cause. Pure: no I/O, no clock, no state."""

from framescope.judge.account import accounted, judge
from framescope.judge.baseline import Baseline
from framescope.judge.model import Verdict
from framescope.judge.reading import outcome_of, read_frame, read_verdict

__all__ = ["Baseline", "Verdict", "accounted", "judge", "outcome_of", "read_frame", "read_verdict"]
