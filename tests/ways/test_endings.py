"""However a host ends, the frames it finished before arrive: the agent outlives it for the last seconds."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from store_process import StoreProcess

from framescope import signals as sig
from framescope_ui.backends.embedded import EmbeddedStore
from framescope_ui.backends.protocols import FrameQuery

ROOT = Path(__file__).resolve().parents[2]
FRAMES = 50
BEFORE = f"""
    import os, signal, sys, threading, time
    import framescope
    pipeline = framescope.Pipeline("p", target_fps=500)
    work = pipeline.stage("work")
    for _ in range({FRAMES}):
        with pipeline.frame(), work:
            time.sleep(0.002)
    time.sleep(0.2)  # longer than it takes to hand a frame over
"""
ENDINGS = {
    "returns": ("", 0),
    "exits": ("sys.exit(3)", 3),
    "raises": ("raise SystemError('the host')", 1),
    "killed": ("os.kill(os.getpid(), signal.SIGKILL)", -9),
    "crashed": ("os.kill(os.getpid(), signal.SIGSEGV)", -11),
    "left at once": ("os._exit(4)", 4),
    "closed": ("pipeline.close()", 0),
    "with a frame under way": ("frame = pipeline.begin()", 0),
    "told to end": ("os.kill(os.getpid(), signal.SIGTERM)", -15),
    "from a thread": ("threading.Thread(target=lambda: time.sleep(0.1)).start()", 0),
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreProcess]:
    running = StoreProcess(tmp_path_factory.mktemp("endings")).start()
    yield running
    running.kill()


@pytest.fixture(scope="module")
def codes(store: StoreProcess) -> dict[str, int]:
    """How each host ended; all run at once."""
    running = {name: host(store, name, BEFORE + f"\n    {end}") for name, (end, _) in ENDINGS.items()}
    return {name: one.wait(timeout=100) for name, one in running.items()}


def host(store: StoreProcess, service: str, code: str) -> subprocess.Popen[bytes]:
    told = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": store.url,
        "OTEL_SERVICE_NAME": service,
        "PYTHONPATH": str(ROOT / "instrumentation"),
    }
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], env=os.environ | told, stderr=subprocess.DEVNULL
    )


async def arrived(store: StoreProcess, service: str, at_least: int) -> Counter[str]:
    """Frames by outcome, once so many are there."""
    backend = EmbeddedStore(store.data_dir)
    give_up = time.monotonic() + 20
    while True:
        now = time.time_ns()
        batches = await backend.every_frame(service, "p", now - 600 * 10**9, now + 10**9)
        found = Counter(letter for batch in batches for letter in batch.outcomes)
        if found.total() >= at_least or time.monotonic() > give_up:
            await backend.aclose()
            return found
        await asyncio.sleep(0.2)


@pytest.mark.parametrize("name", ENDINGS)
async def test_the_last_frames_of_a_host_arrive_however_it_ends(
    store: StoreProcess, codes: dict[str, int], name: str
) -> None:
    assert codes[name] == ENDINGS[name][1]
    found = await arrived(store, name, FRAMES)
    assert found.total() - found["f"] == FRAMES


@pytest.mark.parametrize(("name", "whole"), [("killed", True), ("crashed", True), ("returns", False)])
async def test_the_last_seconds_of_a_host_that_crashed_are_kept_whole(
    store: StoreProcess, name: str, whole: bool
) -> None:
    service = f"{name}, on time"
    on_time = BEFORE.replace("target_fps=500", "budget_ms=1000")
    code, _ = ENDINGS[name]
    host(store, service, on_time + f"\n    {code}").wait(timeout=60)
    assert (await arrived(store, service, FRAMES)).total() == FRAMES
    backend = EmbeddedStore(store.data_dir)
    give_up = time.monotonic() + (20 if whole else 2)
    kept: Counter[str] = Counter()
    while kept.total() < FRAMES and time.monotonic() < give_up:
        await asyncio.sleep(0.2)
        page = await backend.frames(FrameQuery(service=service, limit=200))
        kept = Counter(row.attributes[sig.FRAME_KEPT] for row in page.frames)
    marks = await backend.marks(service, 0, time.time_ns())
    await backend.aclose()
    assert kept == ({"baseline": 1, "manual": FRAMES - 1} if whole else {"baseline": 1})
    told = ["kept the last 5 s: the process ended without closing"] if whole else []
    assert [mark.text for mark in marks] == told


async def test_a_frame_recorded_while_the_interpreter_shuts_down_arrives(store: StoreProcess) -> None:
    code = """
        import atexit
        def last():
            with pipeline.frame(): pass
        atexit.register(last)  # before framescope's own: it is called after
        import framescope
        pipeline = framescope.Pipeline("p")
        with pipeline.frame(): pass
        atexit.register(last)  # and this one before it
    """
    assert host(store, "at exit", code).wait(timeout=60) == 0
    found = await arrived(store, "at exit", 2)
    assert found.total() == 2, "what comes after the last pipeline is closed is counted as lost"


async def test_a_forked_worker_that_ends_by_itself_has_all_its_frames_sent(store: StoreProcess) -> None:
    code = """
        import multiprocessing, framescope
        pipeline = framescope.Pipeline("p")
        def work():
            for _ in range(5):
                with pipeline.frame(): pass
        workers = [multiprocessing.get_context("fork").Process(target=work) for _ in range(2)]
        for worker in workers: worker.start()
        for worker in workers: worker.join()
    """
    assert host(store, "workers", code).wait(timeout=60) == 0
    found = await arrived(store, "workers", 10)
    assert found.total() == 10


async def test_a_forked_child_tells_its_own_frames_and_not_its_parents(store: StoreProcess) -> None:
    code = """
        import os, time, framescope
        pipeline = framescope.Pipeline("p")
        for _ in range(3):
            with pipeline.frame(): pass
        child = os.fork()
        for _ in range(2):
            with pipeline.frame(): pass
        pipeline.close()
        if child:
            os.waitpid(child, 0)
    """
    assert host(store, "forked", code).wait(timeout=60) == 0
    found = await arrived(store, "forked", 7)
    assert found.total() == 7
