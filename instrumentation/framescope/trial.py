"""One marked frame through the whole chain, sent as any host sends its frames: recorder, agent, OTLP.

Run as a program by `framescope doctor --send-test`, in a process of its own, so that it is a service of its
own and nothing of the doctor's process takes part in it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from framescope import signals as sig
from framescope.pipeline import Pipeline

SERVICE: Final = sig.TRIAL_SERVICE
PIPELINE: Final = "doctor"
STAGE: Final = "test"
BUDGET_MS: Final = 1.0
WORK_S: Final = 0.005
"""Over budget, so that the frame is kept."""
CLOSE_S: Final = 10.0
LIMIT_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Trial:
    """The frame that was sent: its ``sequence`` tells it from others; ``sent_ns`` is unix ns, before it."""

    sequence: int
    sent_ns: int
    service: str = SERVICE
    pipeline: str = PIPELINE


def send(environ: Mapping[str, str]) -> Trial:
    """Send one frame to where ``environ`` says and wait until the agent is done with it.

    Raises ``RuntimeError`` with what went wrong where the process that sends it could not do so.
    """
    trial = Trial(int.from_bytes(os.urandom(4)) >> 1, time.time_ns())
    path = os.pathsep.join(entry for entry in sys.path if entry)
    # A resource of the user's stays (it may carry a tenant), but the service is the doctor's own.
    env = {**environ, "OTEL_SERVICE_NAME": SERVICE, "PYTHONPATH": path, "FRAMESCOPE_ENABLED": "1"}
    env.pop("KPI_LOGGING", None)
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "framescope.trial", str(trial.sequence)],
            env=env,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RuntimeError(f"the process that sends it: {type(error).__name__}") from None
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise RuntimeError(said[-1] if said else f"exit status {done.returncode}")
    return trial


def main() -> int:
    """Record one frame whose number of the source is the first argument."""
    pipeline = Pipeline(PIPELINE, budget_ms=BUDGET_MS)
    work = pipeline.stage(STAGE)
    with pipeline.frame(sequence=int(sys.argv[1])), work:
        time.sleep(WORK_S)
    pipeline.close(CLOSE_S)
    return 0


if __name__ == "__main__":
    sys.exit(main())
