"""The judge: (frame, what is expected, evidence) → seconds per cause. Pure: no I/O, no clock, no state."""

from framescope.judge.account import judge
from framescope.judge.model import Verdict
from framescope.judge.reading import read_verdict

__all__ = ["Verdict", "judge", "read_verdict"]
