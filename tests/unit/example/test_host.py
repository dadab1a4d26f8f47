"""The ultrasound loop itself: the cine, the three threads, the disturbances and their truth log."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import re
import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from running_accelerator import Running, until

import framescope
from framescope.probes.device import GpuWork
from ultrasound import __main__ as command
from ultrasound import cine, disturb, jpeg, kernels
from ultrasound.accelerator_client import AcceleratorAway, AcceleratorClient
from ultrasound.jpeg import Image
from ultrasound.pipeline import Host, Load, draw


class InProcess:
    """The same kernels without a process, for what is not about the accelerator."""

    def __init__(self) -> None:
        self._tokens = itertools.count(1)

    def run(self, kernel: str, image: Image) -> Image:
        return kernels.run(kernel, image)

    def begin(self) -> int:
        return next(self._tokens)

    def end(self, token: int) -> None: ...

    def collect(self) -> list[GpuWork]:
        return []


def off() -> framescope.Pipeline:
    return framescope.Pipeline("ultrasound", target_fps=60, budget_ms=12, enabled=False)


def test_the_recording_is_thirty_jpeg_frames_as_the_scanner_stored_them() -> None:
    loop = cine.load()
    assert (len(loop.frames), loop.width, loop.height) == (30, 320, 240)
    assert loop.frame_time == pytest.approx(0.033333)
    assert all(fragment.startswith(b"\xff\xd8") for fragment in loop.frames)
    assert jpeg.decode(loop.fragment(31)).shape == (240, 320, 3)
    with pytest.raises(ValueError, match="not a JPEG"):
        jpeg.decode(b"nothing")


def test_every_frame_of_the_recording_has_a_dark_region() -> None:
    for fragment in cine.load().frames:
        grey = np.asarray(cv2.cvtColor(jpeg.decode(fragment), cv2.COLOR_BGR2GRAY), np.uint8)
        mask = kernels.run("segment", kernels.run("despeckle", grey))
        assert set(np.unique(mask)) == {0, 255}
        assert 0.005 < cv2.countNonZero(mask) / mask.size < 0.1


def test_sixty_frames_go_through_and_each_picture_is_the_one_its_pixels_give() -> None:
    def picture(fragment: bytes) -> str:
        image = jpeg.decode(fragment)
        grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)
        draw(image, kernels.run("segment", kernels.run("despeckle", grey)))
        return hashlib.sha256(jpeg.encode(image)).hexdigest()

    loop = cine.load()
    expected = [picture(fragment) for fragment in loop.frames]
    pictures: list[bytes] = []
    host = Host(loop, InProcess(), off(), fps=100, sink=pictures.append, limit=60)
    host.start()
    assert host.join(30)
    assert host.counts.offered == 60
    assert host.counts.finished + sum(host.counts.dropped.values()) == 60
    assert not host.counts.failed
    got = [hashlib.sha256(one).hexdigest() for one in pictures]
    assert len(got) == host.counts.finished > 0
    assert set(got) <= set(expected)


def test_frames_fail_and_nothing_hangs_while_the_accelerator_is_away(fragile: Running) -> None:
    client = AcceleratorClient(fragile.socket, "ultrasound")
    host = Host(cine.load(), client, off(), fps=100, sink=len)
    host.start()
    try:
        until(lambda: host.counts.finished >= 10)
        fragile.process.kill()
        until(lambda: host.counts.failed[AcceleratorAway.__name__] >= 10)
        fragile.start()
        before = host.counts.finished
        until(lambda: host.counts.finished >= before + 10)
    finally:
        host.stop()
    assert host.join(10)
    counts = host.counts
    assert counts.offered == counts.finished + sum(counts.failed.values()) + sum(counts.dropped.values())


def test_the_truth_log_says_what_was_on_when_and_what_it_took(tmp_path: Path) -> None:
    load = Load()
    around = disturb.Surroundings(load, cine.load(), tmp_path / "none", tmp_path / "none", tmp_path)
    names = ["gc_storm", "slow_write", "late_source", "heavy_host", "slow_consumer", "heavy_image"]
    disturbances = {name: disturb.KINDS[name](around) for name in names}
    turns = [disturb.Turn(name, 0.02 + i * 0.8, 0.6) for i, name in enumerate(names)]
    truth = io.StringIO()
    director = disturb.Director(disturb.Programme(turns), disturbances, off(), truth)
    host = Host(cine.load(), InProcess(), off(), fps=100, sink=len)
    host.load = load
    host.start()
    director.run()
    host.stop()
    assert host.join(10)
    lines = [json.loads(line) for line in truth.getvalue().splitlines()]
    assert [line["name"] for line in lines] == names
    for line, following in zip(lines, [*lines[1:], None], strict=True):
        assert line["expected"] == disturb.KINDS[line["name"]].expected  # type: ignore[attr-defined]
        assert line["end_monotonic_ns"] - line["start_monotonic_ns"] >= 600_000_000
        assert line["start_unix_ns"] < line["end_unix_ns"]
        assert line["strength"]
        assert following is None or line["end_monotonic_ns"] <= following["start_monotonic_ns"]
    for line in lines:
        if line["name"] in ("gc_storm", "slow_write", "heavy_host", "slow_consumer"):
            assert line["took"]["seconds"] > 0, line
    assert load == Load()  # nothing stays behind


def test_work_that_hangs_beyond_the_end_of_its_turn_took_that_long() -> None:
    reached, go_on = threading.Event(), threading.Event()
    timed = disturb._Timed(lambda _: (reached.set(), go_on.wait(30)))
    hung = threading.Thread(target=timed, args=(None,))
    hung.start()
    assert reached.wait(30)
    first, second = timed.measures(), timed.measures()
    go_on.set()
    hung.join(30)
    assert first["frames"] == second["frames"] == timed.measures()["frames"] == 1
    assert 0 < float(first["seconds"]) <= float(second["seconds"]) <= float(timed.measures()["seconds"])


def test_a_disturbance_by_neighbours_is_measured(accelerator: Running, tmp_path: Path) -> None:
    around = disturb.Surroundings(Load(), cine.load(), accelerator.socket, accelerator.status_page, tmp_path)
    neighbours = disturb.GpuClient(around)
    clock = disturb.GpuClock(around)
    try:
        neighbours.start()
        until(lambda: neighbours._busy_ns() > 0)
        took = neighbours.stop()
        assert float(took["accelerator_busy_seconds"]) > 0
        clock.start()
        neighbours.start()
        until(lambda: (status := clock._page.read()) is not None and status.gated_ns > 0)
        neighbours.stop()
        assert float(clock.stop()["gated_seconds"]) > 0
    finally:
        neighbours.close()
        clock.close()
    assert neighbours._child.poll() is not None


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["--disturb", "noise"], "'noise' is no disturbance: choose from gpu_client"),
        (["--disturb", ""], "no disturbance named"),
        (["--programme", "gpu_client@12"], "is not name@start\\+length"),
        (["--programme", "noise@1+2"], "'noise' is no disturbance"),
        (["--programme", "gc_storm@1+2,gpu_client@2+2"], "gc_storm and gpu_client overlap"),
        (["--fps", "0"], "not a number above 0"),
        (["--duration", "soon"], "'soon' is not a number above 0"),
        (["--accelerator-mode", "some"], "invalid choice"),
    ],
)
def test_bad_arguments_say_what_would_be_right(
    given: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        command.arguments(given)
    assert ended.value.code == 2
    assert re.search(says, " ".join(capsys.readouterr().err.split()))


def test_programmes() -> None:
    assert disturb.chosen("none") == []
    assert disturb.chosen("all") == list(disturb.KINDS)
    assert "heavy_host" not in disturb.chosen("default")
    regular = disturb.regular(disturb.chosen("gc_storm, late_source"))
    assert regular.names() == ["gc_storm", "late_source"]
    assert regular.turns[0].start == disturb.CALM_SECONDS
    assert disturb.parse("late_source@5+1.5,gc_storm@1+2").names() == ["gc_storm", "late_source"]


def test_the_whole_example_runs_for_its_time_and_says_what_it_did(tmp_path: Path) -> None:
    options = command.arguments(
        ["--disturb", "none", "--duration", "1", "--output", str(tmp_path / "loop.mjpeg")]
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FRAMESCOPE_ENABLED", "0")
        counts: dict[str, Any] = command.run(options, threading.Event())
    assert counts["frames"] > 0
    assert counts["finished"] == counts["frames"] - sum(counts["dropped"].values()) - sum(
        counts["failed"].values()
    )
    assert (tmp_path / "loop.mjpeg").read_bytes().startswith(b"\xff\xd8")
