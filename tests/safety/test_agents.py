"""An agent that cannot start, dies, hangs or is starved: the host's frames go on, what is held is bounded,
and every frame has arrived or is counted."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from bench._receivers import Receiver, on_thread

from framescope.agent import lifecycle
from framescope.agent.lifecycle import AgentLink, command
from framescope.probes.gc import CollectionProbe
from framescope.recorder import pipeline as recording
from framescope.recorder.faults import Faults
from framescope.recorder.pipeline import Recorder
from framescope.recorder.shipper import Shipper

ROOT = Path(__file__).resolve().parents[2]
Start = Callable[[int], Sequence[str]]


class Host:
    """A recorder, its shipper on its own thread, and whatever agent ``start`` starts."""

    def __init__(self, start: Start) -> None:
        self.faults = Faults(raising=False)
        self.recorder = Recorder(0, "p", faults=self.faults)
        self.link = AgentLink(start)
        self.shipper = Shipper(self.link, "instance", CollectionProbe(), self.faults)
        self.shipper.add(self.recorder)
        self.begun = 0

    def make(self, frames: int, pause_s: float = 0.0) -> None:
        stage = self.recorder.stage("a")
        for _ in range(frames):
            frame = self.recorder.begin()
            with frame.stage(stage):
                pass
            frame.end()
            if pause_s:
                time.sleep(pause_s)
        self.begun += frames

    @property
    def held(self) -> int:
        """Frames in the outbox, and in the message that waits for an agent."""
        return len(self.recorder._outbox) + (self.shipper._unsent or (b"", 0))[1]

    def counted(self) -> int:
        return sum(self.recorder.losses.values()) + sum(self.link.losses().values())


@pytest.fixture
def host() -> Iterator[Callable[[Start], Host]]:
    made: list[Host] = []

    def make(start: Start) -> Host:
        made.append(Host(start))
        return made[-1]

    yield make
    for one in made:
        one.shipper.close(1.0)


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with on_thread("healthy", "p") as running:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", running.url)
        yield running


def fake(code: str) -> Start:
    """An agent that is this program; ``stream`` is its end of the socket."""
    begin = "import sys, socket, time\nstream = socket.socket(fileno=int(sys.argv[1]))\n"
    return lambda descriptor: (sys.executable, "-c", begin + textwrap.dedent(code), str(descriptor))


def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, "it never happened"
        time.sleep(0.01)


@pytest.mark.parametrize("what", ["no such program", "not a program", "a folder"])
def test_without_an_agent_frames_are_held_up_to_a_bound_and_then_counted(
    host: Callable[[Start], Host], tmp_path: Path, what: str
) -> None:
    (tmp_path / "file").write_text("no program")
    programs = {"no such program": "/nonexistent", "not a program": tmp_path / "file", "a folder": tmp_path}
    made = host(lambda descriptor: (str(programs[what]),))
    made.make(recording.OUTBOX + 5000)
    assert made.held + made.counted() == made.begun
    assert made.counted() > 0
    assert set(made.recorder.losses) == {"outbox_full"}
    assert made.faults.counts == {}


def test_agents_that_exit_at_once_are_counted_and_tried_ever_more_seldom(
    host: Callable[[Start], Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "FIRST_RETRY_NS", 300_000_000)
    started: list[float] = []

    def start(descriptor: int) -> Sequence[str]:
        started.append(time.monotonic())
        return (sys.executable, "-c", "pass")

    made = host(start)
    until(lambda: made.make(20, 0.001) or len(started) >= 4)
    between = [later - first for first, later in itertools.pairwise(started)]
    assert between[-1] > 1.5 * between[0]
    until(lambda: made.held + made.counted() == made.begun)
    assert set(made.link.losses()) <= {"agent_died"}
    assert made.faults.counts == {}


def test_frames_an_agent_is_killed_with_again_and_again_arrive_or_are_counted(
    host: Callable[[Start], Host], receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "FIRST_RETRY_NS", 50_000_000)
    made = host(command)
    for _ in range(3):
        until(lambda: made.make(50, 0.002) or made.link._process is not None)
        made.make(300, 0.002)
        process = made.link._process
        if process is not None:
            os.kill(process.pid, signal.SIGKILL)
    until(lambda: made.make(10, 0.002) or made.link.losses().get("agent_died", 0) > 0)
    until(lambda: made.held == 0)
    made.shipper.close(10.0)
    # What an agent had sent, but not confirmed yet, is in both: at least every frame is in one.
    assert receiver.count() + made.counted() >= made.begun
    assert receiver.count() > 0
    assert made.faults.counts == {}


def test_an_agent_that_is_stopped_is_replaced_and_its_frames_are_counted(
    host: Callable[[Start], Host], receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "SEND_TIMEOUT_S", 4.0)  # longer than one takes to start
    monkeypatch.setattr(lifecycle, "BUFFER_BYTES", 1 << 16)
    made = host(command)
    until(lambda: made.make(10, 0.001) or made.link._process is not None)
    stopped = made.link._process
    assert stopped is not None
    os.kill(stopped.pid, signal.SIGSTOP)
    until(lambda: made.make(200, 0.0001) or made.link._process not in (stopped, None))
    assert stopped.poll() == -signal.SIGKILL
    until(lambda: made.make(10, 0.001) or receiver.count() > 0)
    made.shipper.close(10.0)
    assert receiver.count() + made.counted() >= made.begun
    assert made.link.losses()["agent_died"] > 0
    assert made.faults.counts == {}


def test_a_starved_agent_holds_up_no_frame_and_takes_no_more_memory_than_the_outbox(
    host: Callable[[Start], Host],
) -> None:
    made = host(fake("while stream.recv(256): time.sleep(0.05)"))
    until(lambda: made.make(10, 0.001) or made.link._process is not None)
    slowest = 0.0
    for _ in range(60):
        began = time.perf_counter()
        made.make(1000)
        slowest = max(slowest, time.perf_counter() - began)
    assert len(made.recorder._outbox) <= recording.OUTBOX
    assert made.recorder.losses["outbox_full"] > 0
    # The shipper moves frames from one to the other while they are added up.
    until(lambda: made.held + made.counted() + made.link._handed == made.begun)
    assert slowest < 5.0  # 1 000 frames; held up for the socket it would be 15 s
    assert made.link._process is not None
    made.link._process.kill()


def test_an_agent_that_talks_nonsense_is_listened_to_with_a_bound(host: Callable[[Start], Host]) -> None:
    made = host(fake("stream.settimeout(60)\nwhile True: stream.sendall(b'x' * 1000)"))
    until(lambda: made.make(10, 0.001) or made.link._process is not None)
    for _ in range(30):
        made.make(10)
        time.sleep(0.02)
    assert len(made.link._acknowledged) <= 2 * 4096
    assert made.link._process is not None
    made.link._process.kill()


def run(code: str, **told: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", "-c", f"exec {sys.executable} - 2>/dev/full"],
        input=textwrap.dedent(code),
        env={**os.environ, "PYTHONPATH": str(ROOT / "instrumentation"), "FRAMESCOPE_RAISE": "0", **told},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_under_standard_error_stops_neither_host_nor_agent(receiver: Receiver) -> None:
    done = run(
        """
        import framescope, time
        p = framescope.Pipeline("p", target_fps=500)
        p._recorder.faults.note  # what is said of a fault goes to standard error too
        for number in range(300):
            with p.frame():
                try:
                    raise RuntimeError("a fault")
                except RuntimeError:
                    p._recorder.faults.note("here")
                time.sleep(0.001)
        p.close()
        print("through")
        """,
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
    )
    assert done.stdout.strip() == "through"
    until(lambda: receiver.count() == 300)


def test_a_host_that_can_start_no_thread_goes_on() -> None:
    done = run(
        """
        import threading
        start = threading.Thread.start
        def refuse(self): raise RuntimeError("can't start new thread")
        threading.Thread.start = refuse
        import framescope
        p = framescope.Pipeline("p")
        with p.frame(), p.stage("a"):
            pass
        p.close()
        print("through")
        """
    )
    assert done.stdout.strip() == "through"
