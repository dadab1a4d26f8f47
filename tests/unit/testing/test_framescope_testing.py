"""framescope.testing, as a user's tests use it."""

import os
import subprocess
import sys
import threading

import pytest

import framescope
from framescope import pipeline as front
from framescope.testing import FakeClock, Recording, record


@pytest.fixture
def recorded():
    with record(FakeClock()) as recording:
        yield recording


def run(recorded: Recording, *denoise_ms: float, waiting_ms: float = 0) -> None:
    """Frames of 2 ms capture and so much denoising each, at 100 FPS, in 10 ms."""
    pipeline = framescope.Pipeline("ultrasound", target_fps=100, budget_ms=10)
    capture, denoise = pipeline.stages("capture", "denoise")
    for ms in denoise_ms:
        with pipeline.frame(mode="B"):
            with capture:
                recorded.clock.advance(2)
            with denoise:
                recorded.clock.advance(ms, waiting_ms=min(waiting_ms, ms))
        recorded.clock.advance(max(0, 8 - ms))


def failure(assertion, *given, **named) -> str:
    with pytest.raises(AssertionError) as caught:
        assertion(*given, **named)
    return str(caught.value)


# -- what was recorded -------------------------------------------------------------------------------------


def test_a_frame_tells_its_stages_times_outcome_and_attributes(recorded):
    run(recorded, 3, 12)
    first, second = recorded.frames
    assert (first.pipeline, first.id, first.outcome, first.latency_ms) == ("ultrasound", 0, "on_time", 5)
    assert first.stage_names == ("capture", "denoise")
    assert (first.stage("denoise").start_ms, first.stage("denoise").duration_ms) == (2, 3)
    assert first.attributes == {"mode": "B"}
    assert (second.outcome, second.latency_ms, second.budget_ms) == ("slow", 14, 10)


def test_a_slow_frame_is_judged_as_the_agent_would(recorded):
    run(recorded, *[3] * 40, 20, waiting_ms=0)
    run_longer = recorded.frame(40)
    assert (run_longer.cause, run_longer.lost_ms) == ("cpu_work", {"cpu_work": 17})


def test_what_the_scheduler_did_is_scripted(recorded):
    pipeline = framescope.Pipeline("p", budget_ms=10)
    (work,) = pipeline.stages("work")
    for waiting in [0] * 40 + [15]:
        with pipeline.frame(), work:
            recorded.clock.advance(3 + waiting, waiting_ms=waiting)
    assert recorded.frame(-1).lost_ms == {"cpu_contention": 15}
    assert "other work held the cores" in recorded.frame(-1).sentence


def test_frames_dropped_and_failed_say_why(recorded):
    pipeline = framescope.Pipeline("p", budget_ms=10)
    pipeline.begin().drop("superseded")
    with pytest.raises(KeyError), pipeline.frame():
        raise KeyError
    assert [(f.outcome, f.reason) for f in recorded.frames] == [
        ("dropped", "superseded"),
        ("failed", "KeyError"),
    ]


def test_a_frame_that_crosses_threads_shows_its_wait_in_the_queue(recorded):
    pipeline = framescope.Pipeline("p", budget_ms=10)
    queue = framescope.Queue(pipeline, "raw", 4)
    work = pipeline.stage("work")
    queue.put(pipeline.begin(), "image")
    recorded.clock.advance(4)

    def consume() -> None:
        frame, _ = queue.get()
        with frame.stage(work):
            recorded.clock.advance(1)
        frame.end()

    thread = threading.Thread(target=consume)
    thread.start()
    thread.join()
    (frame,) = recorded.frames
    assert frame.stage_names == ("raw", "work")
    assert (frame.stage("raw").duration_ms, frame.stage("raw").depth) == (4, 0)


def test_a_frames_latency_begins_at_its_capture(recorded):
    pipeline = framescope.Pipeline("p", budget_ms=10)
    captured = recorded.clock.time_ns() / 1e9
    recorded.clock.sleep(0.004)
    pipeline.begin(captured_at=captured).end()
    assert recorded.frame(0).latency_ms == pytest.approx(4, abs=1e-3)  # a float of unix seconds is that good


def test_gauges_marks_and_losses_are_there_to_be_read(recorded):
    pipeline = framescope.Pipeline("p")
    pipeline.gauge("score", 0.5)
    pipeline.mark("deployed 1.4")
    with pipeline.stage("work"):
        pass
    assert recorded.gauges == {"score": 0.5}
    assert recorded.marks == ("deployed 1.4",)
    assert recorded.losses == {"stage_without_frame": 1}


def test_looking_twice_shows_a_frame_once(recorded):
    run(recorded, 3)
    assert len(recorded.frames) == len(recorded.frames) == 1
    run(recorded, 3)
    assert len(recorded.frames) == 2


# -- assertions that hold, and what they say where they do not ---------------------------------------------


def test_a_run_as_it_should_be_passes_every_assertion(recorded):
    run(recorded, *[3] * 20)
    recorded.assert_frames(20)
    recorded.assert_within_budget()
    recorded.assert_stage_order("capture", "denoise")
    recorded.assert_no_losses()
    assert recorded.percentile(99) == 5
    assert recorded.percentile(50, stage="denoise") == 3


def test_frames_over_budget_are_told_worst_first_with_their_stages_and_the_verdict(recorded):
    run(recorded, *[3] * 20, 9, 20)
    said = failure(recorded.assert_within_budget)
    assert said.startswith(
        "2 of 22 frames took longer than their budget\n  frame 21 of 'ultrasound': slow, 22 ms"
    )
    assert "capture 2, denoise 20" in said
    assert "12.0 ms over budget" in said
    recorded.assert_within_budget(share=0.9)
    recorded.assert_within_budget(25)
    assert "than 4 ms" in failure(recorded.assert_within_budget, 4)


def test_frames_of_the_warm_up_are_not_looked_at(recorded):
    run(recorded, 20, 3, 3)
    recorded.assert_within_budget(after=1)
    assert "after the first 3" in failure(recorded.assert_within_budget, after=3)


def test_without_a_budget_it_says_where_to_give_one(recorded):
    with framescope.Pipeline("p").frame():
        pass
    assert "budget_ms=" in failure(recorded.assert_within_budget)


def test_another_order_of_stages_is_shown(recorded):
    run(recorded, 3)
    said = failure(recorded.assert_stage_order, "denoise", "capture")
    assert said == (
        "1 of 1 frames did not go through denoise, capture\n  frame 0 of 'ultrasound': capture, denoise"
    )


def test_losses_are_named_and_those_expected_are_not(recorded):
    pipeline = framescope.Pipeline("p")
    frame = pipeline.begin()
    frame.end()
    frame.end()
    assert failure(recorded.assert_no_losses) == "the record is not whole: 1 × ended_twice"
    recorded.assert_no_losses("ended_twice")


def test_a_missing_frame_or_stage_says_what_there_is(recorded, monkeypatch):
    assert failure(recorded.frame) == "there is no frame 0: no frame ended in a pipeline of this process"
    run(recorded, 3)
    assert "1 ended\n  frame 0 of 'ultrasound': on_time, 5 ms" in failure(recorded.frame, 1)
    assert "went through capture, denoise" in failure(recorded.frame(0).stage, "render")
    assert "none ended of 'video', but of 'ultrasound'" in failure(recorded.frame, pipeline="video")


def test_recording_switched_off_is_said(recorded, monkeypatch):
    monkeypatch.setenv("FRAMESCOPE_ENABLED", "0")
    run(recorded, 3)
    assert "switched off in the environment" in failure(recorded.frame)
    with recorded.pipeline("always").frame():
        pass
    recorded.assert_frames(1)


def test_an_impossible_advance_or_percentile_is_an_error(recorded):
    with pytest.raises(ValueError, match="cannot hold"):
        recorded.clock.advance(2, waiting_ms=1, blocked_ms=1.5)
    with pytest.raises(ValueError, match="between 0 and 100"):
        recorded.percentile(0)


# -- what it does to the process ---------------------------------------------------------------------------


def test_a_pipeline_made_before_is_recorded_and_goes_on_as_before_afterwards(monkeypatch):
    monkeypatch.setenv("FRAMESCOPE_AGENT", "thread")
    pipeline = framescope.Pipeline("module", budget_ms=10)
    work = pipeline.stage("work")
    with record(FakeClock()) as recorded:
        with pipeline.frame(), work:
            recorded.clock.advance(3)
        assert recorded.frame(0).stage("work").duration_ms == 3
    assert front._process is None  # nothing is started before the next frame
    with pipeline.frame(), work:
        pass
    assert front._process is not None
    assert len(recorded.frames) == 1
    pipeline.close()


def test_a_pipeline_made_inside_stays_with_its_recording():
    with record() as recorded:
        pipeline = framescope.Pipeline("p", budget_ms=10)
    with pipeline.frame():
        pass
    pipeline.close()
    assert front._process is None
    recorded.assert_frames(1)


def test_without_a_clock_of_its_own_it_takes_this_machines():
    with record() as recorded:
        pipeline = framescope.Pipeline("p", budget_ms=60_000)
        with pipeline.frame():
            pass
    assert 0 < recorded.frame(0).latency_ms < 60_000
    recorded.assert_within_budget()


def test_no_thread_and_no_process_is_started():
    before = threading.active_count()
    with record() as recorded:
        with framescope.Pipeline("p").frame():
            pass
        assert len(recorded.frames) == 1
        assert threading.active_count() == before


def test_two_recordings_at_once_are_refused(recorded):
    with pytest.raises(RuntimeError, match="under way"), record():
        pass


def test_it_needs_no_pytest():
    code = "import sys, framescope.testing; sys.exit('pytest' in sys.modules)"
    path = {"PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", code], timeout=60, env=os.environ | path).returncode == 0
