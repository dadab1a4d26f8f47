"""A recording is judged again as it was: the same frames, evidence and readings, or without some of it."""

import pytest
from company import process_ns
from programmes import doubles_of, parts, programme
from recording import Recording, judged, read, write
from scripted_nvml import told
from withheld import PROBES

from framescope.agent.waits import Sample
from framescope.handover import HEADER, UNKNOWN, Batch, PipelineDefinition, pack
from framescope.probes.device import DeviceIdentity, DeviceReading, ProcessUse
from framescope.probes.pressure import PressureReading
from framescope.probes.software_accelerator import ClientUse, Status

MS = 1_000_000
PERIOD = 20 * MS
DEFINITION = PipelineDefinition("p", 10 * MS, PERIOD, [("work", "cpu")])


def frame(number, took_ms, cpu_ms, collected=False):
    begin = (number + 1) * PERIOD
    end = begin + took_ms * MS
    segments = [(1, begin, (0, 0, 0), end, (cpu_ms * MS, 0, 0), UNKNOWN)]
    marks = [0, begin, ~0, end]
    gap = (begin - PERIOD, begin - PERIOD, (0, 0, 0))
    return (0, number, number, begin, begin, end, "done", "", UNKNOWN, gap, marks, segments, None)


@pytest.fixture
def recording():
    """Forty frames of 5 ms, and one of 15 that computed."""
    made = Recording()
    frames = [frame(number, 5, 4) for number in range(40)] + [frame(40, 15, 14)]
    batch = Batch(1, "i", 0, 0, pipelines={0: DEFINITION}, frames=frames)
    packed = pack(batch)
    made.message(packed[HEADER.size :], len(frames))
    made.reading("pressure", 0, PressureReading(100 * MS, 100 * MS, {"io": 0.0}, {"io": 0}))
    made.sample(Sample(frames[-1][4] + MS, 1, "running", ""))
    made.company(0, 500 * MS, 400 * MS)
    made.company(500 * MS, 1000 * MS, 10 * MS)
    made.tick(2_000 * MS)
    return made


def slow(frames):
    (found,) = [one for one in frames if one.frame.outcome == "slow"]
    return found


def test_a_recorded_run_is_judged_as_a_live_one(recording):
    verdict = slow(judged(recording)).verdict
    assert verdict.cause == "cpu_work"
    assert verdict.lost_ns == 10 * MS
    assert verdict == slow(judged(recording)).verdict  # and again the same


def test_what_was_written_is_what_is_read(recording, tmp_path):
    device = DeviceReading(DeviceIdentity("0", "a GPU"), 5, 1, processes=(ProcessUse(7, "x", 0.5, True),))
    recording.reading("nvml", 0, (device,))
    write(tmp_path / "run.jsonl.gz", {"shape": "chain"}, [("a", recording), ("b", Recording())])
    about, runs = read(tmp_path / "run.jsonl.gz")
    assert about == {"shape": "chain"}
    assert runs["a"].events == recording.events
    assert runs["b"].events == []


def test_a_file_that_is_no_recording_is_refused(tmp_path):
    (tmp_path / "x.gz").write_text("nothing")
    with pytest.raises(ValueError, match="no recording"):
        read(tmp_path / "x.gz")


def test_frames_that_the_agent_of_today_does_not_understand_are_told_of(recording):
    recording.events.insert(0, ("message", 3, b"an older hand-over"))
    with pytest.raises(ValueError):
        judged(recording)


def test_a_probe_that_is_withheld_told_nothing(recording):
    scheduler = PROBES["scheduler"]
    found = slow(judged(recording, scheduler.change, scheduler.deaf_to))
    assert found.frame.evidence.cpu_ns is None
    assert found.verdict.cause == "unknown"


def test_it_is_known_when_others_used_the_machine(recording):
    assert recording.crowded() == [(0, 500 * MS)]


def test_a_process_that_is_gone_used_nothing_any_more():
    assert process_ns(2**22 + 1) is None


# -- programmes ---------------------------------------------------------------------------------------------


def test_the_same_seed_is_the_same_programme():
    assert programme("chain", 1, "single", 60) == programme("chain", 1, "single", 60)
    assert programme("chain", 1, "single", 60) != programme("chain", 3, "single", 60)


def test_of_two_faults_at_once_one_is_sure_and_each_has_a_point_of_its_own():
    for shape in ("one_thread", "chain", "service", "accelerator"):
        pairs = doubles_of(shape)
        assert pairs
        assert ("heavier work", "collection") not in pairs
        episodes = programme(shape, 2, "double", 60).episodes
        assert len(episodes) % 2 == 0 and len({one.first for one in episodes}) == len(episodes) // 2


def test_parts_are_no_longer_than_asked():
    planned = [
        programme(shape, seed, "single", 60) for shape in ("one_thread", "service") for seed in (1, 3, 5)
    ]
    divided = parts(planned, 200.0)
    assert sorted(one.name for some in divided for one in some) == sorted(one.name for one in planned)
    assert all(sum(one.seconds for one in some) <= 200 or len(some) == 1 for some in divided)


def test_the_scripted_nvml_tells_what_the_accelerator_did():
    def status(sampled, busy, gated, clients):
        return Status(1, "nvml", 0, sampled, sampled, busy, gated, None, None, 0, None, None, clients)

    last = status(0, 0, 0, (ClientUse(7, "host", 0), ClientUse(7, "clock", 0), ClientUse(8, "other", 0)))
    now = status(100, 80, 40, (ClientUse(7, "host", 20), ClientUse(7, "clock", 0), ClientUse(8, "other", 60)))
    lines = told(last, now, 40)
    assert (lines["sample"], lines["clock_mhz"], lines["value.269"]) == (80, 990, 40)
    assert [(lines["pid.0"], lines["use.0"]), (lines["pid.1"], lines["use.1"])] == [(8, 60), (7, 20)]
