"""The front door: what a user writes, switched on and off."""

import os
import subprocess
import sys
import textwrap

import pytest

import framescope
from framescope.pipeline import OffPipeline, enabled_by


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
    pipeline.close()


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
            with p.frame(): pass
            os._exit(0 if front._process.instance != mine else 1)
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
