"""Every way frames are processed: the examples, run as a user runs them, and what arrived of their frames."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from store_process import StoreProcess

from framescope import signals as sig
from framescope_ui.backends.embedded import EmbeddedStore
from framescope_ui.backends.protocols import FrameQuery, Trace

ROOT = Path(__file__).resolve().parents[2]
WAYS = ROOT / "examples" / "ways"
EXPECTED = {
    "one_thread": {"one thread": {"o": 99, "d": 1}},
    "queue_chain": {"queue chain": {"": 100}},
    "thread_pool": {"thread pool": {"": 99, "f": 1}},
    "asyncio_tasks": {"asyncio tasks": {"": 100}},
    "process_pool": {"process pool": {"": 50}},
    "two_processes": {"two processes": {"": 60}},
    "forked": {"forked": {"": 70}},
    "batches": {"batches": {"": 100}},
    "gpu_stage": {"gpu stage": {"": 100}},
    "decorators": {"decorators": {"": 100}},
    "generators": {"generators": {"": 100}},
    "own_queue": {"own queue": {"": 100}},
    "outcomes": {"outcomes": {"": 70, "d": 15, "f": 15}},
    "beside_opentelemetry": {"beside OpenTelemetry": {"": 50}},
    "log_records": {"log records": {"": 100}},
    "several_pipelines": {"video": {"": 50}, "overlay": {"": 150}},
}
"""Frames by outcome; "" is any outcome but those named: how fast this machine is decides about the rest."""


class Ran:
    """All examples, run at once against one store, each as a service of its own."""

    def __init__(self, folder: Path) -> None:
        self.store = StoreProcess(folder).start()
        self.began = time.time_ns() - 10**9
        running = {name: self._start(name) for name in EXPECTED}
        told = {name: one.communicate(timeout=100) for name, one in running.items()}
        self.printed = {name: out for name, (out, _) in told.items()}
        self.errors = {name: err for name, (_, err) in told.items()}
        self.codes = {name: one.returncode for name, one in running.items()}

    def _start(self, name: str) -> subprocess.Popen[str]:
        told = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.store.url,
            "OTEL_SERVICE_NAME": name,
            "FRAMESCOPE_RAISE": "1",
            "PYTHONPATH": str(ROOT / "instrumentation"),
        }
        command = [sys.executable, str(WAYS / f"{name}.py")]
        return subprocess.Popen(
            command, env=os.environ | told, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    async def kept(self, service: str, wanted: set[int]) -> dict[int, Trace]:
        """The frames of a service that were kept, whole, by number, once those wanted are among them."""
        backend = EmbeddedStore(self.store.data_dir)
        give_up = time.monotonic() + 20
        while True:
            page = await backend.frames(FrameQuery(service=service, limit=200))
            kept = {}
            for row in page.frames:
                trace = await backend.trace(row.trace_id)
                if trace is not None:
                    kept[row.attributes[sig.FRAME_ID]] = trace
            if wanted <= kept.keys() or time.monotonic() > give_up:
                await backend.aclose()
                return kept
            await asyncio.sleep(0.2)

    async def outcomes(self, service: str, pipeline: str) -> Counter[str]:
        backend = EmbeddedStore(self.store.data_dir)
        batches = await backend.every_frame(service, pipeline, self.began, time.time_ns() + 10**9)
        await backend.aclose()
        return Counter(letter for batch in batches for letter in batch.outcomes)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    done = Ran(tmp_path_factory.mktemp("ways"))
    yield done
    done.store.kill()


@pytest.mark.parametrize("name", EXPECTED)
async def test_every_frame_of_the_example_arrives_with_its_outcome(ran: Ran, name: str) -> None:
    assert (ran.codes[name], ran.errors[name]) == (0, "")
    for pipeline, wanted in EXPECTED[name].items():
        give_up = time.monotonic() + 20
        while (found := await ran.outcomes(name, pipeline)).total() < sum(wanted.values()):
            assert time.monotonic() < give_up, f"{pipeline}: {dict(found)} of {wanted}"
            await asyncio.sleep(0.2)
        named = {letter: count for letter, count in wanted.items() if letter and letter != "o"}
        assert {letter: found[letter] for letter in named} == named
        assert found.total() == sum(wanted.values())


async def test_a_frame_of_the_process_pool_is_one_frame_from_capture_to_the_worker(ran: Ran) -> None:
    backend = EmbeddedStore(ran.store.data_dir)
    page = await backend.frames(FrameQuery(service="process_pool"))
    trace = await backend.trace(page.frames[-1].trace_id)
    await backend.aclose()
    assert trace is not None
    assert [span.name for span in trace.spans] == ["frame", "capture", "carried", "reconstruct"]
    root, *stages = trace.spans
    assert all(root.start_ns <= span.start_ns <= span.end_ns <= root.end_ns for span in stages)
    assert [span.start_ns for span in stages] == sorted(span.start_ns for span in stages)


def beneath(trace: Trace) -> set[tuple[str, str]]:
    """(parent, child) of a trace's spans, by name."""
    names = {span.span_id: span.name for span in trace.spans}
    return {(names[span.parent_span_id], span.name) for span in trace.spans if span.parent_span_id}


async def test_what_a_tracer_of_the_applications_own_did_is_in_the_trace_of_the_frame(ran: Ran) -> None:
    slowest = (await ran.kept("beside_opentelemetry", {20}))[20]
    assert beneath(slowest) == {
        ("frame", "detect"), ("detect", "model"), ("model", "post-processing"), ("frame", "store"),
        ("store", "insert"),
    }  # fmt: skip
    printed = Counter(ran.printed["beside_opentelemetry"].split())
    assert printed == {"model": 50, "post-processing": 50, "insert": 40}, "its own exporter goes on"


async def test_a_log_line_leads_to_its_frame_and_the_frames_before_it_are_kept(ran: Ran) -> None:
    inside, outside = ran.printed["log_records"].splitlines()
    assert outside == "trace= outside of a frame there is none"
    before = set(range(80, 90))
    kept = await ran.kept("log_records", before)
    assert before <= kept.keys()
    if 90 in kept:  # whether it is kept is up to the machine: it was not over yet when it was asked for
        assert inside == f"trace={kept[90].trace_id} the image jumped"


async def test_what_the_application_counts_and_a_queue_of_its_own_arrive_as_numbers(ran: Ran) -> None:
    backend = EmbeddedStore(ran.store.data_dir)
    counted, waited, now = 0.0, 0, time.time_ns()
    give_up = time.monotonic() + 20
    where = {sig.SERVICE_NAME: "own_queue"}
    while (counted < 20 or waited < 100) and time.monotonic() < give_up:
        found = await backend.increase(sig.FRAME_COUNTED, where, ran.began, now, 10**9)
        counted = sum(value for series in found for value in series.values)
        waits = await backend.histogram(sig.FRAME_QUEUE_WAIT, where, ran.began, now, 10**9)
        waited = round(sum(sum(counts) for series in waits for counts in series.counts))
        now = time.time_ns()
        await asyncio.sleep(0.2)
    await backend.aclose()
    assert counted == 20
    assert waited == 101, "a hundred images and the end"


async def test_a_frame_that_came_through_a_pipe_is_one_frame_of_the_two_processes(ran: Ran) -> None:
    for trace in (await ran.kept("two_processes", {0})).values():
        assert [span.name for span in trace.spans] == ["frame", "capture", "carried", "show"]


async def test_a_tasks_frame_knows_its_own_cpu_time_and_its_lent_threads(ran: Ran) -> None:
    for trace in (await ran.kept("asyncio_tasks", {0})).values():
        root = trace.spans[0]
        latency = (root.end_ns - root.start_ns) / 1e9
        assert 0 < root.attributes[sig.CPU_TIME] < latency
        assert 0 <= root.attributes[sig.LOOP_WAIT_TIME] < latency


@pytest.mark.parametrize("path", sorted(WAYS.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_is_short_and_in_the_table(path: Path) -> None:
    assert len(path.read_text().splitlines()) < 60
    assert f"`{path.name}`" in (WAYS / "README.md").read_text()
    assert path.stem in EXPECTED
