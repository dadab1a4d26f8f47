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

from framescope_ui.backends.embedded import EmbeddedStore
from framescope_ui.backends.protocols import FrameQuery

ROOT = Path(__file__).resolve().parents[2]
WAYS = ROOT / "examples" / "ways"
EXPECTED = {
    "one_thread": {"one thread": {"o": 99, "d": 1}},
    "queue_chain": {"queue chain": {"": 100}},
    "thread_pool": {"thread pool": {"": 99, "f": 1}},
    "asyncio_tasks": {"asyncio tasks": {"": 100}},
    "process_pool": {"process pool": {"": 50}},
    "batches": {"batches": {"": 100}},
    "several_pipelines": {"video": {"": 50}, "overlay": {"": 150}},
}
"""Frames by outcome; "" is any outcome but those named: how fast this machine is decides about the rest."""


class Ran:
    """All examples, run at once against one store, each as a service of its own."""

    def __init__(self, folder: Path) -> None:
        self.store = StoreProcess(folder).start()
        self.began = time.time_ns() - 10**9
        running = {name: self._start(name) for name in EXPECTED}
        self.errors = {name: one.communicate(timeout=100)[1] for name, one in running.items()}
        self.codes = {name: one.returncode for name, one in running.items()}

    def _start(self, name: str) -> subprocess.Popen[str]:
        told = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.store.url,
            "OTEL_SERVICE_NAME": name,
            "FRAMESCOPE_RAISE": "1",
            "PYTHONPATH": str(ROOT / "instrumentation"),
        }
        command = [sys.executable, str(WAYS / f"{name}.py")]
        return subprocess.Popen(command, env=os.environ | told, stderr=subprocess.PIPE, text=True)

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


@pytest.mark.parametrize("path", sorted(WAYS.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_is_short_and_in_the_table(path: Path) -> None:
    assert len(path.read_text().splitlines()) < 60
    assert f"`{path.name}`" in (WAYS / "README.md").read_text()
    assert path.stem in EXPECTED
