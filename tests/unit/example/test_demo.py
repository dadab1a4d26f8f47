"""The demo's own part: what it counts, how it scores, and what it says when it cannot start."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest
from running_accelerator import until

from framescope_ui.backends.protocols import FrameBatch
from framescope_ui.demo import (
    CannotStart,
    Child,
    DemoOptions,
    _Demo,
    _listens,
    check_port,
    evaluate,
    examples_directory,
    markdown,
    run,
    score,
    slow_frames,
)
from framescope_ui.store.address import socket_path

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND


def batch(second: float, outcomes: str, causes: Sequence[str] = ()) -> FrameBatch:
    """Frames 10 ms apart from ``second`` on, each 20 ms long."""
    n = len(outcomes)
    return FrameBatch(
        service="ultrasound",
        pipeline="ultrasound",
        start_ns=START + int(second * SECOND),
        first_id=0,
        offsets_us=[i * 10_000 for i in range(n)],
        latencies_us=[20_000] * n,
        outcomes=outcomes,
        causes=causes,
    )


def truth(name: str, expected: str, start: float, end: float) -> dict[str, object]:
    return {
        "name": name,
        "expected": expected,
        "start_unix_ns": START + int(start * SECOND),
        "end_unix_ns": START + int(end * SECOND),
        "strength": {"of": 1},
        "took": {"seconds": 2.0},
    }


def test_the_cause_counts_whole_its_parent_half_anything_else_nothing() -> None:
    assert score("gpu_contention", "gpu_contention") == 1.0
    assert score("gpu", "gpu_contention") == 0.5
    assert score("gpu_work", "gpu_contention") == 0.0
    assert score("unknown", "queue_wait") == 0.0


def test_causes_go_with_the_slow_frames_in_their_order() -> None:
    found = slow_frames([batch(0, "osdsf", ["GS", "zz"])])
    assert [(f.cause, f.start_ns - START) for f in found] == [
        ("gpu_contention", 10_000_000),
        ("unknown", 30_000_000),
    ]
    assert [f.cause for f in slow_frames([batch(0, "ss", ["GS"])])] == ["gpu_contention", "unknown"]


def test_slow_frames_are_held_against_the_disturbance_they_overlap_or_follow_closely() -> None:
    batches = [
        batch(1, "oos", ["CS"]),  # calm
        batch(5, "sss", ["GS", "G?", "BP"]),  # inside
        batch(8.3, "s", ["GS"]),  # its aftermath
        batch(9, "s", ["?"]),  # after that
    ]
    result = evaluate(
        batches, [truth("gpu_client", "gpu_contention", 4, 8)], {"keep_budget": 7}, {"frames": 8}
    )
    (disturbance,) = result["disturbances"]
    assert disturbance["slow_frames"] == 4
    assert disturbance["verdicts"] == {"gpu_contention": 2, "gpu": 1, "gc_pause": 1}
    assert disturbance["score"] == pytest.approx(2.5 / 4)
    assert disturbance["start"] == START / SECOND + 4
    assert result["score_overall"] == pytest.approx(2.5 / 4)
    assert result["calm_verdicts"] == {"cpu_contention": 1, "unknown": 1}
    assert (result["frames"], result["slow_frames"], result["missing"], result["unexplained"]) == (8, 6, 0, 0)
    assert "| gpu_client | gpu_contention | 4 |" in markdown(result)


def test_frames_missing_from_the_store_are_unexplained_unless_a_loss_says_so() -> None:
    def unexplained(losses: dict[str, int], counted: int | None) -> int | None:
        told = None if counted is None else {"frames": counted}
        return evaluate([batch(0, "oooo")], [], losses, told)["unexplained"]  # type: ignore[no-any-return]

    assert unexplained({}, 4) == 0
    assert unexplained({}, 6) == 2
    assert unexplained({"agent_died": 2}, 6) == 0
    assert unexplained({"keep_budget": 2, "gpu_work_missing": 2}, 6) == 2  # those lost no frame
    assert unexplained({}, 3) == 1  # more than there were is as wrong as fewer
    assert unexplained({}, None) is None  # the example was killed before it said


def test_nothing_slow_has_no_score() -> None:
    result = evaluate([batch(0, "oo")], [truth("late_source", "late_input", 0, 1)], {}, None)
    assert result["disturbances"][0]["score"] is None
    assert result["score_overall"] is None
    assert "not known" in markdown(result)


def test_a_port_in_use_says_by_whom_and_what_to_do() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(
            CannotStart, match=rf"port {port} \(the app\) is in use.*another port with --port"
        ):
            check_port("127.0.0.1", port, "the app", "--port")
    assert check_port("127.0.0.1", 0, "the app", "--port") > 0


def test_a_demo_on_a_port_in_use_ends_with_a_usage_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        options = DemoOptions(grpc_port=taken.getsockname()[1], headless=True, data_dir=tmp_path / "data")
        assert run(options) == 2
    assert "--grpc-port" in capsys.readouterr().err


def test_the_store_has_its_own_settings_from_the_environment_and_listens_where_they_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRAMESCOPE_STORE_RETENTION_AGE", "90m")
    options = DemoOptions(host="0.0.0.0", grpc_port=0, http_port=0, headless=True)
    demo = _Demo(options, tmp_path / "data", tmp_path, threading.Event())
    transport = httpx.HTTPTransport(uds=str(socket_path(tmp_path / "data")))
    demo.store.start()
    try:
        until(lambda: _listens(options.store_host, demo.http_port), 60)
        with httpx.Client(transport=transport, base_url="http://store") as client:
            said = client.get("/status").json()
    finally:
        demo.store.stop(10)
    assert said["retention_seconds"] == 5400
    assert said["host"] == "127.0.0.1"
    assert (tmp_path / "data").stat().st_mode & 0o077 == 0


def test_the_example_is_found_in_a_checkout() -> None:
    assert (examples_directory() / "ultrasound" / "__main__.py").is_file()


def test_a_child_that_dies_is_started_again_and_stopped_for_good(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    child = Child("sleeper", lambda: [sys.executable, "-c", "import time; time.sleep(600)"])
    child.output = lambda: tmp_path / "out"
    child.start()
    first = child.process
    assert first is not None
    first.kill()
    first.wait()

    def back() -> bool:
        child.keep_alive()
        return child.status() is None and child.process is not first

    until(back)
    assert child.restarts == 1
    assert "sleeper ended (killed by SIGKILL); starting it again" in caplog.text
    child.stop(10)
    assert child.status() == -signal.SIGTERM


def test_children_die_with_the_demo(tmp_path: Path) -> None:
    """A demo killed outright cannot tidy up: its children get the signal from the kernel."""
    note = tmp_path / "pid"
    program = (
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from framescope_ui.demo import Child\n"
        "child = Child('sleeper', lambda: [sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "child.start()\n"
        f"Path({str(note)!r}).write_text(str(child.process.pid))\n"
        "time.sleep(600)\n"
    )
    path = os.pathsep.join(filter(None, sys.path))
    demo = subprocess.Popen([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": path})
    until(lambda: note.exists() and note.read_text() != "")
    pid = int(note.read_text())
    time.sleep(0.2)  # let the child get past its own start
    demo.kill()
    demo.wait()

    def gone() -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except FileNotFoundError:
            return True

    until(gone)
