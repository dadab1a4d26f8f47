"""A pipeline with GPU stages from end to end: a scripted driver, the recorder, the shipper, the agent, spans.

The host's clock and the device's are one script's. The GPU stage takes 2 ms on the host, at whose end its
work is launched and goes on by itself; the stage ``fetch`` waits for it, as ``.cpu()`` does.
The stream is idle when the stage begins, so that a pair's time holds those 2 ms too.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from agency import MS, S, Sent, agent
from scripted_cuda import ScriptedCuda

from framescope import signals as sig
from framescope.agent.at_hand import LinkAtHand
from framescope.handover import Batch
from framescope.probes.cuda import CudaTimer, EventPairs
from framescope.probes.device import DeviceIdentity, DeviceReading, ProcessUse
from framescope.probes.gc import CollectionProbe
from framescope.recorder.faults import Faults
from framescope.recorder.pipeline import Recorder
from framescope.recorder.shipper import Shipper

DEVICE = "GPU-00010203-0405-0607-0809-0a0b0c0d0e0f"


class Host:
    """A pipeline of 10 ms frames whose GPU stage is timed through the scripted driver."""

    def __init__(self, folder: Path) -> None:
        self.cuda = ScriptedCuda(folder)
        self.cpu_ns = 0
        self.recorder = Recorder(
            0, "p", 10 * MS, clock=self.cuda.host_ns, scheduler=lambda: (self.cpu_ns, 0, 0),
            faults=Faults(raising=True),
        )  # fmt: skip
        self.pairs = EventPairs(self.cuda.driver, self.cuda.host_ns)
        self.stream = self.cuda.stream()
        timer = CudaTimer(self.pairs, self.stream, self.recorder.lose)
        self.denoise = self.recorder.stage("denoise", "gpu", timer)
        self.fetch = self.recorder.stage("fetch")
        self.batches: list[Batch] = []
        link = LinkAtHand(self.batches.append)
        self.collections = CollectionProbe(self.cuda.host_ns)
        self.collections.install()
        self.shipper = Shipper(link, "i", self.collections, Faults(raising=True), self.cuda.host_ns)
        self.shipper._recorders.append(self.recorder)  # no thread: the test ships
        self.agent, self.sent, self.probes = agent(baseline_every=10)

    def run(self, ms: float, cpu: bool = True) -> None:
        self.cuda.advance(round(ms * MS))
        if cpu:
            self.cpu_ns += round(ms * MS)

    def frame(self, gpu_ms: float, *, spins: bool = True, fetches: bool = True) -> None:
        with self.recorder.begin():
            with self.denoise:
                self.run(2)
                self.cuda.work(self.stream, round(gpu_ms * MS))
            with self.fetch:
                if fetches:
                    self.run(gpu_ms, cpu=spins)
        self.run(10 - min(9, gpu_ms))

    def judged(self) -> Sent:
        self.ship()
        self.run(1000)
        self.agent.tick(self.cuda.host_ns())
        return self.sent

    def ship(self) -> None:
        self.shipper.ship()
        while self.batches:
            self.agent.feed(self.batches.pop(0))


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    yield made
    made.collections.remove()


def slow(sent: Sent) -> list:
    """The spans of the only slow frame."""
    (found,) = [group for group in sent.frames() if group[0].attributes[sig.FRAME_SLOW]]
    return found


def span(spans: list, name: str):
    (found,) = [one for one in spans if one.name == name]
    return found


@pytest.mark.parametrize(
    "spins", [True, False], ids=["the host spins meanwhile", "the host sleeps meanwhile"]
)
def test_work_that_took_longer_is_the_gpu_s_though_another_stage_met_it(host: Host, spins: bool) -> None:
    """CUDA waits by spinning unless told otherwise: that looks like CPU work, and is not."""
    for _ in range(40):
        host.frame(4, spins=spins)
    host.judged()
    host.frame(14, spins=spins)
    spans = slow(host.judged())
    root = spans[0].attributes
    assert root[sig.GPU_TIME] == pytest.approx(0.016)
    assert sig.GPU_BUSY_TIME not in root and sig.GPU_WAIT_TIME not in root
    assert root[sig.FRAME_CAUSE_NAME] == "gpu"  # and not which: an event pair cannot tell
    assert root["frame.lost.gpu"] == pytest.approx(0.010, rel=0.02)
    work = span(spans, "denoise on GPU")
    assert work.attributes[sig.GPU_ID] == DEVICE
    assert work.end_time - work.start_time == 16 * MS
    assert work.parent.span_id == span(spans, "denoise").context.span_id
    assert span(spans, "fetch").attributes["frame.lost.gpu"] == pytest.approx(0.010, rel=0.02)


def test_with_another_process_on_the_device_it_is_contention(host: Host) -> None:
    identity = DeviceIdentity(DEVICE, "Scripted GPU")

    def reading(other: float) -> DeviceReading:
        users = (ProcessUse(4242, "neighbour", other, False),)
        return DeviceReading(
            identity, host.cuda.host_ns(), 100 * MS, utilization=0.9, other_utilization=other, processes=users
        )

    for index in range(40):
        host.frame(4)
        if index % 8 == 7:
            host.probes.devices.add([reading(0.0)])
    host.judged()
    host.frame(14)
    host.run(80)
    host.probes.devices.add([reading(0.8)])
    root = slow(host.judged())[0].attributes
    assert root[sig.FRAME_CAUSE_NAME] == "gpu_contention"
    assert root[sig.FRAME_CULPRIT_NAME] == "neighbour"
    assert root[sig.FRAME_CAUSE_CONFIDENCE] <= 0.65  # readings of 100 ms and an event pair: no proof


def test_host_code_that_took_longer_is_not_the_gpu_s(host: Host) -> None:
    for _ in range(40):
        host.frame(4)
    host.judged()
    with host.recorder.begin():
        with host.denoise:
            host.run(2)
            host.cuda.work(host.stream, 4 * MS)
        with host.fetch:
            host.run(16)
    root = slow(host.judged())[0].attributes
    assert root[sig.FRAME_CAUSE_NAME] == "cpu_work"
    assert "frame.lost.gpu" not in root


def test_spinning_for_the_gpu_is_not_cpu_work_of_another_stage(host: Host) -> None:
    draw = host.recorder.stage("draw")

    def frame(gpu_ms: float, slept_ms: float) -> None:
        with host.recorder.begin():
            with host.denoise:
                host.run(2)
                host.cuda.work(host.stream, round(gpu_ms * MS))
            with host.fetch:
                host.run(gpu_ms)
            with draw:
                host.run(1 + slept_ms, cpu=False)
        host.run(5)

    for _ in range(40):
        frame(4, 0)
    host.judged()
    frame(14, 3)
    root = slow(host.judged())[0].attributes
    assert root["frame.lost.gpu"] == pytest.approx(0.010, rel=0.02)
    assert root["frame.lost.blocked"] == pytest.approx(0.003, rel=0.02)
    assert root.get("frame.lost.cpu_work", 0) < 1e-4


def test_launching_that_took_longer_is_not_the_gpu_s_though_the_pair_holds_it(host: Host) -> None:
    for _ in range(40):
        host.frame(4)
    host.judged()
    with host.recorder.begin():
        with host.denoise:
            host.run(14)
            host.cuda.work(host.stream, 4 * MS)
        with host.fetch:
            host.run(4)
    spans = slow(host.judged())
    root = spans[0].attributes
    assert root[sig.GPU_TIME] == pytest.approx(0.018)  # 6 ms usually
    assert root[sig.FRAME_CAUSE_NAME] == "cpu_work"
    assert root["frame.lost.cpu_work"] == pytest.approx(0.012, rel=0.02)
    assert "frame.lost.gpu" not in root


def test_a_stage_that_waits_for_its_own_work_lost_it_to_the_gpu(host: Host) -> None:
    def frame(ms: float) -> None:
        with host.recorder.begin(), host.denoise:
            host.run(2)
            host.cuda.work(host.stream, round(ms * MS))
            host.run(ms, cpu=False)
        host.run(10 - min(9, ms))

    for _ in range(40):
        frame(4)
    host.judged()
    frame(14)
    root = slow(host.judged())[0].attributes
    assert root[sig.FRAME_CAUSE_NAME] == "gpu"
    assert root["frame.lost.gpu"] == pytest.approx(0.010, rel=0.02)


def test_a_collection_while_it_launched_is_not_the_gpu_s(host: Host) -> None:
    def frame(pause_ms: float = 0) -> None:
        with host.recorder.begin(), host.denoise:
            host.run(2)
            if pause_ms:
                host.agent._collections.append((2, 0, host.cuda.host_ns(), host.cuda.host_ns() + 10 * MS))
                host.run(pause_ms)
            host.cuda.work(host.stream, 4 * MS)
            host.run(4, cpu=False)
        host.run(6)

    for _ in range(40):
        frame()
    host.judged()
    frame(pause_ms=10)
    root = slow(host.judged())[0].attributes
    assert root[sig.FRAME_CAUSE_NAME] == "gc_pause"
    assert root["frame.lost.gc_pause"] == pytest.approx(0.010, rel=0.02)
    assert "frame.lost.gpu" not in root


def test_a_time_that_cannot_be_placed_is_told_without_a_place(host: Host) -> None:
    """Work shorter than the error of the clocks: for how long it ran is known, when is not."""
    host.pairs._clock = iter(range(host.cuda.host_ns(), 10**18, 20_000)).__next__  # 20 µs a look
    with host.recorder.begin():
        with host.denoise:
            host.cuda.work(host.stream, 3_000)
        host.run(12)
    host.cuda.advance(MS)
    spans = slow(host.judged())
    assert [one.name for one in spans] == [sig.SPAN_FRAME, "denoise"]
    stage = span(spans, "denoise").attributes
    assert (stage[sig.GPU_TIME], stage[sig.GPU_ID]) == (pytest.approx(3e-6), DEVICE)
    assert spans[0].attributes[sig.GPU_TIME] == pytest.approx(3e-6)


def test_the_error_of_the_gpu_s_clock_is_told_apart_from_the_machine_s(host: Host) -> None:
    host.frame(4)
    host.judged()
    told = host.sent.counter(sig.FS_CLOCK_ERROR)
    assert set(told) == {(), ((sig.FS_PROBE_NAME, "cuda"),)}
    assert 0 < told[(sig.FS_PROBE_NAME, "cuda"),] < 1e-3


def test_judging_waits_for_late_events_and_not_for_ever(host: Host) -> None:
    host.frame(1_700, fetches=False)  # it was not waited for: the frame is long over
    host.ship()
    host.run(1_000)
    host.ship()
    host.agent.tick(host.cuda.host_ns())
    assert host.sent.frames() == []
    host.run(700)
    host.ship()
    host.agent.tick(host.cuda.host_ns())
    (spans,) = host.sent.frames()
    assert spans[0].attributes[sig.GPU_TIME] == pytest.approx(1.702)

    host.frame(60_000, fetches=False)  # a device that hangs
    host.ship()
    host.run(1_900)
    host.agent.tick(host.cuda.host_ns())
    assert frames_told(host) == 1
    host.run(300)
    host.agent.tick(host.cuda.host_ns())
    assert frames_told(host) == 2
    host.run(1000)
    host.agent.tick(host.cuda.host_ns())
    lost = host.sent.counter(sig.FS_FRAMES_LOST)
    assert lost == {((sig.FRAME_PIPELINE, "p"), (sig.REASON, "gpu_work_missing")): 1}


def frames_told(host: Host) -> int:
    """All frames that were judged, kept or not."""
    return sum(len(record.attributes[sig.BATCH_OUTCOMES]) for record in host.sent.records())


def test_a_stage_that_cannot_be_timed_is_judged_at_once_and_counted_once(host: Host) -> None:
    host.cuda.capture(host.stream, True)
    host.frame(1)
    host.cuda.capture(host.stream, False)
    with host.recorder.begin(), host.denoise:
        host.run(12)
        host.cuda.capture(host.stream, True)
    host.cuda.capture(host.stream, False)
    host.ship()
    host.run(500)
    host.agent.tick(host.cuda.host_ns() + S)
    lost = host.sent.counter(sig.FS_FRAMES_LOST)
    assert lost == {((sig.FRAME_PIPELINE, "p"), (sig.REASON, "gpu_capturing")): 2}
    assert frames_told(host) == 2
    assert [one.name for one in slow(host.sent)] == [sig.SPAN_FRAME, "denoise"]
    assert host.cuda.violations == 0


def test_work_belongs_to_the_turn_of_the_stage_that_launched_it(host: Host) -> None:
    """A stage entered three times in a frame, the first time under a capture: no work of its own."""
    with host.recorder.begin():
        for index, ms in enumerate((1, 3, 5)):
            host.cuda.capture(host.stream, index == 0)
            with host.denoise:
                host.run(1)
                if index:
                    host.cuda.work(host.stream, ms * MS)
            host.run(ms)
            if index == 0:
                host.cuda.capture(host.stream, False)
    spans = slow(host.judged())
    parents = {one.context.span_id: one for one in spans if one.name == "denoise"}
    works = [(one.end_time - one.start_time, parents[one.parent.span_id].start_time) for one in spans
             if one.name == "denoise on GPU"]  # fmt: skip
    starts = sorted(one.start_time for one in parents.values())
    assert works == [((1 + 3) * MS, starts[1]), ((1 + 5) * MS, starts[2])]


def test_a_stage_entered_in_itself_times_both(host: Host) -> None:
    with host.recorder.begin():
        with host.denoise:
            host.cuda.work(host.stream, 2 * MS)
            with host.denoise:
                host.cuda.work(host.stream, 3 * MS)
            host.cuda.work(host.stream, 4 * MS)
        host.run(11)
    spans = slow(host.judged())
    assert sorted(one.end_time - one.start_time for one in spans if one.name == "denoise on GPU") == [
        3 * MS,
        9 * MS,
    ]
    assert not host.pairs._open
