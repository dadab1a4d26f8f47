"""The front door: what a user writes, switched on and off."""

import os
import subprocess
import sys
import textwrap

import pytest
from apart import Apart

import framescope
from framescope.pipeline import OffPipeline, enabled_by
from framescope.testing import record


@pytest.mark.parametrize("name", ["FRAMESCOPE_ENABLED", "KPI_LOGGING"])
def test_one_variable_switches_recording_off(name):
    assert not enabled_by({name: "0"})
    assert enabled_by({name: "1"})
    assert enabled_by({})


def test_the_sdks_own_switch_is_honoured():
    assert not enabled_by({"OTEL_SDK_DISABLED": "true"})


def test_a_pipeline_switched_off_answers_every_call_and_does_nothing():
    pipeline = framescope.Pipeline("p", target_fps=10, enabled=False)
    assert isinstance(pipeline, OffPipeline)
    (stage,) = pipeline.stages("a")
    with pipeline.frame() as frame, stage:
        frame.set(mode="B")
    frame = pipeline.begin(sequence=3)
    with frame.stage(stage):
        pass
    queue = framescope.Queue(pipeline, "q", 1, "reject")
    assert queue.put(frame, 1)
    assert not queue.put(frame, 2)  # the queue itself goes on working
    assert queue.get()[1] == 1
    frame.end()
    pipeline.mark("x")
    pipeline.gauge("g", 1)
    pipeline.count("c")
    pipeline.close()


def test_off_is_off_whatever_else_is_wrong_with_the_configuration():
    assert not enabled_by({"FRAMESCOPE_ENABLED": "0", "FRAMESCOPE_KEEP_BUDGET": "abc"})


def test_a_subclass_of_a_users_is_switched_off_too():
    class Mine(framescope.Pipeline):
        def hello(self) -> str:
            return "hello"

    pipeline = Mine("p", enabled=False)
    assert isinstance(pipeline, OffPipeline)
    assert pipeline.hello() == "hello"


def test_a_capture_time_that_is_none_is_counted_and_not_raised():
    with record() as recorded:
        pipeline = framescope.Pipeline("p")
        for value in (float("nan"), "yesterday", float("inf")):
            pipeline.frame(captured_at=value).end()
        assert recorded.losses == {"captured_at_not_a_time": 3}
        pipeline.close()
        pipeline.frame().end()
        assert recorded.losses["after_close"] == 1


@pytest.mark.parametrize(
    "given", [{"name": ""}, {"name": "p", "target_fps": 0}, {"name": "p", "budget_ms": -1}]
)
def test_wrong_arguments_say_what_is_wrong(given):
    with pytest.raises(ValueError, match=r"name|more than 0"):
        framescope.Pipeline(**given, enabled=False)


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(sys.path)
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_host_without_any_receiver_runs_to_its_end_undisturbed():
    done = run(
        """
        import framescope
        pipeline = framescope.Pipeline("p", target_fps=1000, budget_ms=1)
        (work,) = pipeline.stages("work")
        for _ in range(200):
            with pipeline.frame(), work:
                pass
        print("through")
        """
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "through"


def test_a_forked_child_gets_an_identity_and_an_agent_of_its_own():
    done = run(
        """
        import os, framescope
        from framescope import pipeline as front
        p = framescope.Pipeline("p")
        with p.frame(): pass
        mine = front._process.instance
        child = os.fork()
        if child == 0:
            idle = front._process is None  # no agent before it records a frame, nothing of the parent's
            with p.frame(): pass
            os._exit(0 if idle and front._process.instance != mine else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """
    )
    assert done.stdout.strip() == "0", done.stderr


def test_a_broken_configuration_file_does_not_stop_the_host(tmp_path):
    bad = tmp_path / "framescope.yaml"
    bad.write_text("emitter: [")
    done = run(
        """
        import framescope
        p = framescope.Pipeline("p")
        with p.frame(): pass
        print("through")
        """,
        FRAMESCOPE_CONFIG=str(bad),
    )
    assert done.stdout.strip() == "through", done.stderr


def test_a_host_that_is_out_of_descriptors_is_not_disturbed():
    done = run(
        """
        import os, resource, threading
        import framescope
        p = framescope.Pipeline("p")
        with p.frame(): pass
        q = framescope.Queue(p, "q", 4)
        q.put(p.begin(), "item")
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        held = []
        try:
            while True: held.append(os.dup(0))
        except OSError: pass
        got = []
        def other():
            frame, item = q.get(timeout=1)
            with p.frame(): pass
            frame.end()
            got.append(item)
        t = threading.Thread(target=other); t.start(); t.join()
        for h in held: os.close(h)
        print(got)
        """
    )
    assert done.stdout.strip() == "['item']", done.stderr


def test_a_counter_of_the_users_only_grows_and_what_is_no_number_is_counted_and_not_raised():
    pipeline = framescope.Pipeline("p", enabled=True, process=Apart())
    pipeline.count("defects")
    pipeline.count("defects", 3)
    pipeline.count("seconds", 0.5)
    for amount in (-1, float("nan"), "many", None):
        pipeline.count("defects", amount)
    for number in range(100):
        pipeline.count(f"made up {number}")
    recorder = pipeline._recorder
    assert (recorder.counts["defects"], recorder.counts["seconds"]) == (4, 0.5)
    assert recorder.losses == {"count_not_a_number": 4, "count_limit": 38}
