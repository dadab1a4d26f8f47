"""``python -m ultrasound``: the traced ultrasound loop, its accelerator and its disturbances."""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import logging
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

import framescope
from ultrasound import children, cine, disturb
from ultrasound.accelerator_client import AcceleratorAway, AcceleratorClient
from ultrasound.pipeline import Host

BUDGET_MS = 12.0
"""Undisturbed frames take some 5 ms of the 16.7 between two of them; 12 leaves room for a busy machine."""
_ACCELERATOR_UP_SECONDS = 20.0
_LONGEST_BACKOFF = 5.0

log = logging.getLogger("ultrasound")


class AcceleratorProcess:
    """The accelerator as our child: started, and started again when it dies."""

    def __init__(self, directory: Path, mode: str) -> None:
        self.socket = directory / "accelerator.sock"
        self.status_page = directory / "accelerator.status"
        self.restarts = 0
        self._mode = mode
        self._backoff = 0.2
        self._again_at = 0.0
        self._started = 0.0
        self._child = self._start()

    def check(self) -> None:
        """Start it again if it died, after a pause that grows while it keeps dying."""
        status = self._child.poll()
        if status is None:
            if time.monotonic() - self._started > 10:
                self._backoff = 0.2
            return
        now = time.monotonic()
        if self._again_at == 0.0:
            log.warning("the accelerator ended (status %s); starting it again", status)
            self._again_at = now + self._backoff
            self._backoff = min(2 * self._backoff, _LONGEST_BACKOFF)
        elif now >= self._again_at:
            self.restarts += 1
            self._child = self._start()

    def close(self) -> None:
        children.stop(self._child)

    def _start(self) -> subprocess.Popen[bytes]:
        self._again_at, self._started = 0.0, time.monotonic()
        return children.start(
            "ultrasound.accelerator",
            *("--socket", str(self.socket), "--status-page", str(self.status_page), "--mode", self._mode),
        )


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m ultrasound", description=__doc__)
    parser.add_argument("--fps", type=_positive, default=60.0, help="frames per second (default: 60)")
    parser.add_argument(
        "--budget-ms", type=_positive, default=BUDGET_MS, help="frame budget (default: %(default)s)"
    )
    parser.add_argument(
        "--duration", type=_positive, metavar="S", help="end after so many seconds (default: never)"
    )
    parser.add_argument(
        "--disturb",
        default="default",
        metavar="WHICH",
        help=f"all, default, none, or some of: {', '.join(disturb.KINDS)}",
    )
    parser.add_argument(
        "--programme", metavar="TURNS", help="when: name@start+length,… in seconds; replaces --disturb"
    )
    parser.add_argument(
        "--truth", type=Path, metavar="FILE", help="write what was disturbed when, as JSON lines"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the pictures, as motion JPEG")
    parser.add_argument("--accelerator-mode", choices=("full", "nvml"), default="full", help="what it tells")
    parser.add_argument("--json", action="store_true", help="print the counts as one JSON object at the end")
    options = parser.parse_args(given)
    try:
        options.turns = (
            disturb.parse(options.programme)
            if options.programme is not None
            else disturb.regular(disturb.chosen(options.disturb))
        )
    except disturb.BadProgramme as error:
        parser.error(str(error))
    return options


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def run(options: argparse.Namespace, stopping: threading.Event) -> dict[str, object]:
    """Run until the duration is over or ``stopping`` is set; answers the counts."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ultrasound-")))
        truth = stack.enter_context(options.truth.open("w")) if options.truth else None
        sink = stack.enter_context(_output(options.output))
        accelerator = AcceleratorProcess(directory, options.accelerator_mode)
        stack.callback(accelerator.close)
        loop = cine.load()
        client = AcceleratorClient(accelerator.socket, "ultrasound")
        stack.callback(client.close)
        _wait_for(client, accelerator, stopping)
        pipeline = framescope.Pipeline("ultrasound", target_fps=options.fps, budget_ms=options.budget_ms)
        stack.callback(pipeline.close)
        pipeline.watch_device(accelerator.status_page)
        budget_ns = round(options.budget_ms * 1e6)
        host = Host(loop, client, pipeline, fps=options.fps, sink=sink, budget_ns=budget_ns)
        around = disturb.Surroundings(
            host.load, loop, accelerator.socket, accelerator.status_page, Path(tempfile.gettempdir())
        )
        disturbances = {name: disturb.KINDS[name](around) for name in options.turns.names()}
        for one in disturbances.values():
            stack.callback(one.close)
        director = disturb.Director(options.turns, disturbances, pipeline, truth)
        directing = threading.Thread(target=director.run, name="director", daemon=True)
        gc.collect()
        gc.freeze()  # as a real-time program does: what is here to stay is not looked at again and again
        began = time.monotonic()
        if stopping.is_set():  # asked to end before the first frame
            return _counts(host, accelerator.restarts, 0.0)
        host.start()
        directing.start()
        until = None if options.duration is None else began + options.duration
        while not stopping.is_set() and (until is None or time.monotonic() < until):
            accelerator.check()
            stopping.wait(0.1 if until is None else max(0.0, min(0.1, until - time.monotonic())))
        director.stopping.set()
        directing.join(5)
        host.stop()
        if not host.join():
            log.error("a thread of the pipeline did not end in time")
        return _counts(host, accelerator.restarts, time.monotonic() - began)


def _wait_for(client: AcceleratorClient, accelerator: AcceleratorProcess, stopping: threading.Event) -> None:
    blank = np.zeros((8, 8), np.uint8)
    deadline = time.monotonic() + _ACCELERATOR_UP_SECONDS
    while not stopping.is_set():
        try:
            client.run("despeckle", blank)
            return
        except AcceleratorAway as error:
            if time.monotonic() > deadline:
                raise SystemExit(f"ultrasound: the software accelerator did not start: {error}") from error
            accelerator.check()
            stopping.wait(0.05)


@contextlib.contextmanager
def _output(path: Path | None) -> Iterator[Callable[[bytes], object]]:
    """Where pictures go: a motion-JPEG file, or memory (the newest one only)."""
    if path is None:
        newest: list[bytes] = [b""]
        yield lambda picture: newest.__setitem__(0, picture)
        return
    with path.open("wb") as file:
        yield file.write


def _counts(host: Host, restarts: int, seconds: float) -> dict[str, object]:
    counts = host.counts
    quantiles = host.latencies.quantiles((0.5, 0.95, 0.99))
    return {
        "frames": counts.offered,
        "finished": counts.finished,
        "slow": host.latencies.slow,
        "dropped": dict(counts.dropped),
        "failed": dict(counts.failed),
        "seconds": round(seconds, 3),
        "accelerator_restarts": restarts,
        "latency_seconds": None
        if quantiles is None
        else dict(zip(("p50", "p95", "p99"), (round(q, 6) for q in quantiles), strict=True)),
    }


def main(given: list[str] | None = None) -> int:
    options = arguments(given)
    logging.basicConfig(format="%(name)s: %(message)s", level=logging.INFO)
    children.precise_sleeps()
    children.name_this_process("ultrasound")
    cv2.setNumThreads(1)
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    try:
        counts = run(options, stopping)
    except cine.CineMissing as error:
        print(f"ultrasound: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"ultrasound: {error}", file=sys.stderr)
        return 2
    print(json.dumps(counts) if options.json else _sentence(counts))
    return 0


def _sentence(counts: dict[str, object]) -> str:
    return (
        f"{counts['frames']} frames in {counts['seconds']} s: "
        f"{counts['finished']} finished, {counts['slow']} of them slow; "
        f"dropped {counts['dropped'] or 'none'}, failed {counts['failed'] or 'none'}"
    )


if __name__ == "__main__":
    sys.exit(main())
