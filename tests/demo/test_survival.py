"""Each process of the running demo is killed in turn: the others go on, and all comes back."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from framescope_ui.backends.embedded import EmbeddedStore

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(condition: Callable[[], object], what: str, seconds: float = 60.0) -> object:
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.2)


class Demo:
    """A running demo, seen from outside: its processes by what they run, its page by HTTP."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.data = folder / "data"
        self.process = subprocess.Popen(
            [
                sys.executable, "-m", "framescope.cli", "demo", "--disturb", "none", "--fps", "30",
                "--port", str(self.port), "--grpc-port", str(free_port()), "--http-port", str(free_port()),
                "--data-dir", str(self.data),
            ],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )  # fmt: skip

    def find(self, *words: str) -> psutil.Process | None:
        for child in psutil.Process(self.process.pid).children(recursive=True):
            try:
                line = " ".join(child.cmdline())
            except psutil.Error:
                continue
            if all(word in line for word in words):
                return child
        return None

    def kill(self, *words: str) -> int:
        victim = until(lambda: self.find(*words), f"a process of {words}")
        assert isinstance(victim, psutil.Process)
        os.kill(victim.pid, signal.SIGKILL)
        return victim.pid

    def get(self, path: str) -> dict[str, object] | None:
        try:
            answer = httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=5)
        except httpx.HTTPError:
            return None
        return json.loads(answer.content) if answer.status_code == 200 else None

    def health(self) -> dict[str, object]:
        return self.get("/api/health") or {}

    def flowing(self) -> bool:
        """Frames of the last seconds are on the page."""
        latest = self.get("/api/metrics/latest") or {}
        rows = latest.get("data")
        row = rows[-1] if isinstance(rows, list) and rows else rows if isinstance(rows, dict) else latest
        return bool(isinstance(row, dict) and row.get("fps_out"))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    started = Demo(tmp_path_factory.mktemp("demo"))
    try:
        until(started.flowing, "frames on the page")
        yield started
    finally:
        started.process.send_signal(signal.SIGINT)
        output, _ = started.process.communicate(timeout=60)
        print(output.decode(errors="replace"))


async def frames_of(demo: Demo, since: float) -> list[tuple[int, int]]:
    """(due time, latency) of every frame since a moment, unix ns and ns, in order."""
    store = EmbeddedStore(demo.data)
    try:
        now = time.time_ns()
        found = []
        for ref in await store.pipelines(round(since * 1e9), now):
            for batch in await store.every_frame(ref.service, ref.pipeline, round(since * 1e9), now):
                found += [
                    (batch.start_ns + offset * 1000, latency * 1000)
                    for offset, latency in zip(batch.offsets_us, batch.latencies_us, strict=True)
                ]
        return sorted(found)
    finally:
        await store.aclose()


def store_is_away(demo: Demo) -> bool:
    sources = demo.health().get("sources")
    return isinstance(sources, list) and any(s.get("status") == "away" for s in sources)


def test_the_documented_call_from_pandas_works_on_the_running_demo(demo: Demo):
    text = (ROOT / "docs" / "api.md").read_text()
    examples = [code for code in re.findall(r"```python\n(.*?)```", text, re.S) if "127.0.0.1:8050" in code]
    assert examples
    for code in examples:
        here = code.replace("127.0.0.1:8050", f"127.0.0.1:{demo.port}")
        done = subprocess.run([sys.executable, "-c", here], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert "fps_out" in done.stdout


async def test_the_store_is_killed_and_no_frame_is_missing_afterwards(demo: Demo):
    began = time.time()
    host = demo.find("ultrasound", "--fps")
    demo.kill("framescope_ui.commands import store", "--data-dir")
    until(lambda: store_is_away(demo), "the page says the store is away")
    until(demo.flowing, "frames are back on the page")
    assert host is not None and host.is_running()
    time.sleep(12)  # what the agent held meanwhile arrives: its longest pause is ten seconds
    frames = await frames_of(demo, began)
    gaps = [(b - a) / 1e9 for (a, _), (b, _) in itertools.pairwise(frames)]
    assert frames
    assert max(gaps) < 1.0, "the host's frames went on without a hole"


async def test_the_app_is_killed_and_answers_again(demo: Demo):
    demo.kill("framescope_ui.commands import ui", str(demo.port))
    until(lambda: demo.get("/api/health") is None, "the page is away", 10)
    until(demo.flowing, "the page is back with frames")


async def test_the_agent_is_killed_and_the_host_starts_another(demo: Demo):
    host = demo.find("ultrasound", "--fps")
    dead = demo.kill("framescope.agent")
    until(lambda: (a := demo.find("framescope.agent")) and a.pid != dead, "another agent")
    assert host is not None and host.is_running()
    until(demo.flowing, "frames on the page")


async def test_the_example_is_killed_and_its_last_frames_are_there(demo: Demo):
    host = demo.find("ultrasound", "--fps")
    assert host is not None
    at = time.time()
    os.kill(host.pid, signal.SIGKILL)
    until(lambda: (h := demo.find("ultrasound", "--fps")) and h.pid != host.pid, "another example")
    until(demo.flowing, "frames on the page")
    frames = await frames_of(demo, at - 2)
    assert any(at - 1 < due / 1e9 < at for due, _ in frames), "the last second before the kill was sent"
