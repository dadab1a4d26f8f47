"""The canary: how long a scripted device keeps a small kernel waiting."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest
from scripted_cuda import ScriptedCuda

from framescope.handover import Batch
from framescope.probes.cuda import CudaTimer, EventPairs
from framescope.probes.cuda_canary import CanaryReading

MS = 1_000_000
FLOOR = 20_000
"""ns: what the kernel takes on an idle device."""


class Scene:
    def __init__(self, folder: Path) -> None:
        self.cuda = ScriptedCuda(folder)
        self.cuda.library.stub_kernel_takes(ctypes.c_int64(FLOOR))
        self.pairs = EventPairs(self.cuda.driver, self.cuda.host_ns)
        self.pairs.with_canary = True
        self.lost: list[str] = []
        self.stream = self.cuda.stream()
        self.timer = CudaTimer(self.pairs, self.stream, self.lost.append)

    def turns(self, count: int, others_ns: int = 0) -> list[CanaryReading]:
        """``count`` times 100 ms with a GPU stage in it; another process holds the device for ``others_ns``
        whenever the canary comes."""
        self.cuda.library.stub_kernel_takes(ctypes.c_int64(FLOOR + others_ns))
        for _ in range(count):
            token = self.timer.begin()
            self.cuda.work(self.stream, MS)
            self.timer.end(token)
            self.cuda.advance(100 * MS)
            self.pairs.collect()
        return self.pairs.take_canaries()


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_on_a_device_of_its_own_it_waits_for_nothing(scene: Scene) -> None:
    readings = scene.turns(20)
    assert len(readings) >= 15
    assert {reading.delay_ns for reading in readings} == {0}
    assert {reading.device[:4] for reading in readings} == {"GPU-"}


def test_it_tells_how_long_another_process_held_the_device(scene: Scene) -> None:
    scene.turns(5)
    held = scene.turns(5, others_ns=3 * MS)
    assert [reading.delay_ns for reading in held[1:]] == [3 * MS] * len(held[1:])
    assert all(reading.error_ns < MS / 10 for reading in held)
    after = scene.turns(5)
    assert after[-1].delay_ns == 0


def test_it_never_waits_and_launches_no_second_before_the_first_has_ended(scene: Scene) -> None:
    scene.turns(3)
    launched = scene.cuda.library.stub_launches()
    scene.turns(1, others_ns=2_000 * MS)
    scene.turns(10)  # a second: still under way
    assert scene.cuda.library.stub_launches() <= launched + 2
    (late,) = [reading for reading in scene.turns(12) if reading.delay_ns]
    assert late.delay_ns == 2_000 * MS
    assert scene.cuda.calls("cuStreamSynchronize") + scene.cuda.calls("cuEventSynchronize") == 0


def test_an_idle_device_is_left_alone(scene: Scene) -> None:
    scene.turns(3)
    for _ in range(15):
        scene.cuda.advance(100 * MS)
        scene.pairs.collect()
    launched = scene.cuda.library.stub_launches()
    for _ in range(50):
        scene.cuda.advance(100 * MS)
        scene.pairs.collect()
    assert scene.cuda.library.stub_launches() == launched


def test_without_being_asked_for_it_does_nothing(scene: Scene) -> None:
    scene.pairs.with_canary = False
    assert scene.turns(5) == []
    assert scene.cuda.library.stub_launches() == 0


def test_a_device_that_will_not_have_it_still_times_frames(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.cuda.fail("cuModuleLoadData", 218)
    assert scene.turns(3) == []
    assert "the GPU canary is given up: cuModuleLoadData answered 218" in caplog.text
    token = scene.timer.begin()
    scene.timer.end(token)
    assert [work.token for work in scene.pairs.collect()] == [token]
    assert not scene.lost


def test_its_readings_become_a_metric_of_the_device() -> None:
    from framescope import signals as sig
    from framescope.agent.evidence import EvidenceProbes
    from framescope.agent.settings import AgentSettings

    off = AgentSettings(probe_gpu=False, probe_host=False, probe_pressure=False, probe_cgroup=False)
    probes = EvidenceProbes(1, off)
    batch = Batch(1, "i", 0, 0, canaries=[("GPU-1", 5, 3 * MS, 10)])
    probes.hear(batch)
    assert probes.take_points()[sig.FS_GPU_CANARY_DELAY] == [(((sig.HW_ID, "GPU-1"),), 5, 0.003)]
