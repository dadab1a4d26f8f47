"""``framescope demo``: store, app and the ultrasound example, each a process of its own, on one machine.

The example knows nothing of this: it is started as any traced program would be, with ``OTEL_*`` variables
that say where to. What dies is started again; what was disturbed when, and what the verdicts said, is
counted at the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil

import framescope
from framescope import signals
from framescope_ui.backends.embedded import EmbeddedStore
from framescope_ui.backends.protocols import BackendError, FrameBatch
from framescope_ui.settings import default_data_dir

SERVICE: Final = "ultrasound"
AFTERMATH_NS: Final = 500_000_000
"""A slow frame this soon after a disturbance still counts as its doing (queues drain)."""
LOSES_A_FRAME: Final = frozenset(
    reason for reason, loss in signals.LOSSES.items() if loss.of in ("frame", "delivery")
)
"""Losses that take a frame out of the store. Others lose something of it; its record is there."""
_READY_SECONDS: Final = 60.0
_SETTLE_SECONDS: Final = 15.0
_FIRST_BACKOFF: Final = 0.5
_LAST_BACKOFF: Final = 8.0
_CHUNK_NS: Final = 1_800_000_000_000
_PR_SET_PDEATHSIG: Final = 1
_OK, _USAGE, _AWAY = 0, 2, 3
_log = logging.getLogger("framescope demo")


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the demo is to do.

    ``duration`` in s, None until interrupted. ``headless``: no app. ``json``: the last line on standard
    output is one JSON object. ``report``: a file for the result, JSON or (any other suffix) Markdown.
    ``disturb``: ``default``, ``all``, ``none`` or names with commas. Ports may be 0 for any free one.
    ``data_dir`` None: a directory of the demo's own, a temporary one when headless. ``host`` is the
    app's, ``store_host`` is where the store takes OTLP.
    """

    duration: float | None = None
    headless: bool = False
    json: bool = False
    report: Path | None = None
    disturb: str = "default"
    host: str = "127.0.0.1"
    port: int = 8050
    grpc_port: int = 4317
    http_port: int = 4318
    fps: float = 60.0
    accelerator_mode: str = "full"
    data_dir: Path | None = None
    store_host: str = "127.0.0.1"


class CannotStart(Exception):
    """The demo cannot start; the message says why and what to do."""


# -- the processes ------------------------------------------------------------------------------------


@dataclass(slots=True)
class Child:
    """One supervised process. ``command`` is asked again for every start."""

    name: str
    command: Callable[[], Sequence[str]]
    environment: Mapping[str, str] = field(default_factory=dict)
    output: Callable[[], Path] | None = None
    """Where its standard output goes; None: to our standard error."""
    process: subprocess.Popen[bytes] | None = None
    restarts: int = 0
    _backoff: float = _FIRST_BACKOFF
    _again_at: float | None = None
    _started: float = 0.0

    def start(self) -> None:
        command = list(self.command())
        with contextlib.ExitStack() as stack:
            output = stack.enter_context(self.output().open("wb")) if self.output else sys.stderr
            self.process = subprocess.Popen(
                command,
                env={**os.environ, "PYTHONPATH": _python_path(), **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                start_new_session=True,  # Ctrl-C is ours: children end in order
                preexec_fn=_die_with_parent,
            )
        self._started, self._again_at = time.monotonic(), None

    def status(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        return None if self.process is None else self.process.poll()

    def keep_alive(self) -> None:
        """Start it again if it ended, after a pause that grows while it keeps ending."""
        status, now = self.status(), time.monotonic()
        if status is None:
            if now - self._started > 30:
                self._backoff = _FIRST_BACKOFF
            return
        if self._again_at is None:
            how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
            _log.warning("%s ended (%s); starting it again in %.1f s", self.name, how, self._backoff)
            self._again_at = now + self._backoff
            self._backoff = min(2 * self._backoff, _LAST_BACKOFF)
        elif now >= self._again_at:
            self.restarts += 1
            self.start()

    def stop(self, grace: float) -> None:
        """SIGTERM, then SIGKILL after ``grace`` s."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(grace)
        except subprocess.TimeoutExpired:
            _log.warning("%s did not end within %.0f s; killing it", self.name, grace)
            self.process.kill()
            self.process.wait()


_libc = ctypes.CDLL(None)


def _die_with_parent() -> None:
    with contextlib.suppress(AttributeError):  # not Linux: Ctrl-C and SIGTERM still end everything
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def _python_path(*more: Path) -> str:
    """Where a child finds what we found, installed or not."""
    own = (Path(file).resolve().parents[1] for file in (__file__, framescope.__file__))
    return os.pathsep.join([*map(str, (*more, *own)), *filter(None, (os.environ.get("PYTHONPATH"),))])


def examples_directory() -> Path:
    """Where the package ``ultrasound`` lies: in the wheel beside us, in a checkout at the top."""
    here = Path(__file__).resolve()
    for directory in (here.parent / "examples", here.parents[2] / "examples"):
        if (directory / "ultrasound" / "__main__.py").is_file():
            return directory
    raise CannotStart("the ultrasound example is not installed: pip install 'framescope[all]'")


def check_port(host: str, port: int, what: str, flag: str) -> int:
    """``port`` if it is free, any free one for 0. Raises ``CannotStart`` that says who has it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            owner = _owner(port)
            by = f" by {owner}" if owner else ""
            raise CannotStart(
                f"port {port} ({what}) is in use{by}. Stop that, or choose another port with {flag} "
                f"({flag} 0 takes a free one)."
                if owner or error.errno == 98
                else f"cannot listen on {host}:{port} ({what}): {error.strerror}. Choose another with {flag}."
            ) from error
        return int(probe.getsockname()[1])


def _owner(port: int) -> str | None:
    """Who listens on ``port``, where we may know."""
    try:
        for connection in psutil.net_connections("tcp"):
            local: Any = connection.laddr  # (address, port), or empty
            if connection.status == psutil.CONN_LISTEN and local and local[1] == port and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except (psutil.Error, OSError):
        return None
    return None


# -- the demo -----------------------------------------------------------------------------------------


def run(options: DemoOptions) -> int:
    """Run the demo. Answers the exit code: 0, 2 where it cannot start, 3 where the store did not answer."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    stopping = threading.Event()
    before = {
        number: signal.signal(number, lambda *_: stopping.set()) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        with _directories(options) as (data_dir, run_dir):
            return _Demo(options, data_dir, run_dir, stopping).run()
    except CannotStart as error:
        print(f"framescope demo: {error}", file=sys.stderr)  # noqa: T201 (a command's own message)
        return _USAGE
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _directories(options: DemoOptions) -> Iterator[tuple[Path, Path]]:
    """The store's directory and one for this run's notes, which is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="framescope-demo-") as temporary:
        run_dir = Path(temporary)
        if options.data_dir is not None:
            yield options.data_dir, run_dir
        elif options.headless:
            yield run_dir / "store", run_dir
        else:
            # A second demo on other ports gets a directory of its own: a store admits no second owner.
            suffix = "demo" if options.grpc_port == 4317 else f"demo-{options.grpc_port}"
            yield default_data_dir(os.environ, Path.home()) / suffix, run_dir


class _Demo:
    def __init__(
        self, options: DemoOptions, data_dir: Path, run_dir: Path, stopping: threading.Event
    ) -> None:
        self.options = options
        self.data_dir = data_dir
        self.run_dir = run_dir
        self.stopping = stopping
        store_host = options.store_host
        examples = examples_directory()
        self.grpc_port = check_port(store_host, options.grpc_port, "OTLP over gRPC", "--grpc-port")
        self.http_port = check_port(store_host, options.http_port, "OTLP over HTTP", "--http-port")
        self.port = 0 if options.headless else check_port(options.host, options.port, "the app", "--port")
        self.started_ns = time.time_ns()
        self.began = time.monotonic()
        self.example_runs = 0
        self.store = Child("store", self._store_command, environment={"FRAMESCOPE_STORE_HOST": store_host})
        self.app = None if options.headless else Child("app", self._app_command)
        self.example = Child(
            "ultrasound example",
            self._example_command,
            environment={
                "PYTHONPATH": _python_path(examples),
                "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{_reachable(store_host)}:{self.grpc_port}",
                "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
                "OTEL_SERVICE_NAME": SERVICE,
            },
            output=lambda: self.run_dir / f"counts-{self.example_runs}.json",
        )

    def run(self) -> int:
        try:
            return self._run()
        finally:
            self.example.stop(10)
            if self.app is not None:
                self.app.stop(5)
            self.store.stop(10)

    def _run(self) -> int:
        self._say("starting the store (OTLP on %d gRPC, %d HTTP)", self.grpc_port, self.http_port)
        self.store.start()
        self._until_ready(self.store, lambda: _listens(self.options.store_host, self.http_port))
        if self.app is not None:
            self.app.start()
            self._until_ready(self.app, lambda: _healthy(self.options.host, self.port))
            self._say("framescope is at http://%s:%d", _reachable(self.options.host), self.port)
        if self.stopping.is_set():
            return _OK
        self.began = time.monotonic()
        self.example.start()
        self._say(
            "the ultrasound example runs at %g frames a second; Ctrl-C ends everything", self.options.fps
        )
        self._supervise()
        interrupted = self.stopping.is_set()
        if interrupted:
            self.example.stop(15)
        if interrupted and not (self.options.json or self.options.report or self.options.headless):
            return _OK
        return self._finish()

    def _supervise(self) -> None:
        while not self.stopping.is_set():
            self.store.keep_alive()
            if self.app is not None:
                self.app.keep_alive()
            status = self.example.status()
            if status == 0 and self.options.duration is not None:
                return
            if status == _USAGE and self.example.restarts == 0 and time.monotonic() - self.began < 30:
                raise CannotStart("the ultrasound example could not start; it said why above")
            if status is not None and self._remaining() == 0.0:
                return
            self.example.keep_alive()
            self.stopping.wait(0.2)

    def _until_ready(self, child: Child, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while not self.stopping.is_set():
            if child.status() is not None:
                raise CannotStart(f"the {child.name} could not start; it said why above")
            if ready():
                return
            if time.monotonic() > deadline:
                raise CannotStart(f"the {child.name} was not ready after {_READY_SECONDS:.0f} s")
            self.stopping.wait(0.1)

    def _finish(self) -> int:
        counted, truths = self._example_said()
        self._say("asking the store what became of %s frames", counted["frames"] if counted else "the")
        try:
            result = asyncio.run(
                self._result(counted, truths, settle=_SETTLE_SECONDS if counted else _SETTLE_SECONDS / 3)
            )
        except BackendError as error:
            print(f"framescope demo: no result: {error}", file=sys.stderr)  # noqa: T201
            return _AWAY
        if self.options.report is not None:
            text = json.dumps(result, indent=2) if self.options.report.suffix == ".json" else markdown(result)
            self.options.report.write_text(text + "\n")
        print(json.dumps(result) if self.options.json else markdown(result), flush=True)  # noqa: T201
        return _OK

    async def _result(
        self, counted: dict[str, Any] | None, truths: list[dict[str, Any]], settle: float
    ) -> dict[str, Any]:
        store = EmbeddedStore(self.data_dir)
        try:
            wanted = counted["frames"] if counted else None
            batches = await self._settled(store, wanted, settle)
            now = time.time_ns() + 60_000_000_000
            lost = await store.increase(
                signals.FS_FRAMES_LOST,
                {signals.SERVICE_NAME: SERVICE},
                self.started_ns,
                now,
                now - self.started_ns,
            )
        finally:
            await store.aclose()
        losses: Counter[str] = Counter()
        for series in lost:
            losses[str(series.attributes.get(signals.REASON, "?"))] += round(sum(series.values))
        result = evaluate(batches, truths, dict(+losses), counted)
        result["restarts"] = {
            child.name: child.restarts
            for child in (self.store, self.app, self.example)
            if child and child.restarts
        }
        return result

    async def _settled(self, store: EmbeddedStore, wanted: int | None, settle: float) -> list[FrameBatch]:
        """All records of this run, once the last ones have arrived (or no more come)."""
        deadline = time.monotonic() + settle
        while True:
            batches: list[FrameBatch] = []
            end_ns = time.time_ns() + 1_000_000_000
            for start_ns in range(self.started_ns, end_ns, _CHUNK_NS):
                batches += await store.every_frame(
                    SERVICE, SERVICE, start_ns, min(end_ns, start_ns + _CHUNK_NS), limit=4000
                )
            seen = {(b.start_ns, b.first_id): b for b in batches}
            frames = sum(len(b.outcomes) for b in seen.values())
            if (wanted is not None and frames >= wanted) or time.monotonic() > deadline:
                return [seen[key] for key in sorted(seen)]
            await asyncio.sleep(0.5)

    def _example_said(self) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
        """The example's own counts (None where one of its runs was cut short) and its truth log."""
        counts: list[dict[str, Any]] = []
        truths: list[dict[str, Any]] = []
        for number in range(1, self.example_runs + 1):
            lines = _lines(self.run_dir / f"counts-{number}.json")
            counts += lines[-1:]
            truths += _lines(self.run_dir / f"truth-{number}.jsonl")
        if len(counts) != self.example_runs:
            return None, truths
        together: dict[str, Any] = {
            key: sum(int(one[key]) for one in counts) for key in ("frames", "finished", "slow")
        }
        for key in ("dropped", "failed"):
            together[key] = dict(sum((Counter(one[key]) for one in counts), Counter[str]()))
        return together, truths

    # -- command lines ------------------------------------------------------------------------------------

    def _store_command(self) -> list[str]:
        return [
            *_command("store"),
            *("--data-dir", str(self.data_dir)),
            *("--grpc-port", str(self.grpc_port), "--http-port", str(self.http_port)),
        ]

    def _app_command(self) -> list[str]:
        return [
            *_command("ui"),
            *("--host", self.options.host, "--port", str(self.port), "--data-dir", str(self.data_dir)),
            *("--traces-backend", "embedded", "--metrics-backend", "embedded"),
        ]

    def _example_command(self) -> list[str]:
        self.example_runs += 1
        command = [
            *(sys.executable, "-m", "ultrasound", "--json", "--fps", str(self.options.fps)),
            *("--disturb", self.options.disturb, "--accelerator-mode", self.options.accelerator_mode),
            *("--truth", str(self.run_dir / f"truth-{self.example_runs}.jsonl")),
        ]
        remaining = self._remaining()
        if remaining is not None:
            command += ["--duration", f"{max(remaining, 0.1):.3f}"]
        return command

    def _remaining(self) -> float | None:
        if self.options.duration is None:
            return None
        return max(0.0, self.options.duration - (time.monotonic() - self.began))

    def _say(self, text: str, *values: object) -> None:
        _log.info(text, *values)


def _command(name: str) -> list[str]:
    """A command of ours as users start it: it reads the configuration file and the environment itself."""
    code = f"import sys; from framescope_ui.commands import {name}; sys.exit({name}(sys.argv[1:]))"
    return [sys.executable, "-c", code]


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)


def _listens(host: str, port: int) -> bool:
    with (
        contextlib.suppress(OSError),
        socket.create_connection((_reachable(host).strip("[]"), port), timeout=0.5),
    ):
        return True
    return False


def _healthy(host: str, port: int) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{_reachable(host)}:{port}/healthz", timeout=1.0) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _lines(path: Path) -> list[dict[str, Any]]:
    """The JSON lines of a file that whole; a last line cut short by a kill is left out."""
    found = []
    with contextlib.suppress(OSError):
        for line in path.read_text().splitlines():
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
    return found


# -- the result ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SlowFrame:
    """When a slow frame was under way (unix ns), and the cause named for it."""

    start_ns: int
    end_ns: int
    cause: str


def slow_frames(batches: Sequence[FrameBatch]) -> list[SlowFrame]:
    """Every slow frame with its cause. A frame without a stated cause is ``unknown``."""
    found = []
    for batch in batches:
        causes = iter(batch.causes)
        for offset, latency, outcome in zip(
            batch.offsets_us, batch.latencies_us, batch.outcomes, strict=False
        ):
            if outcome != signals.OUTCOMES["slow"]:
                continue
            cause = signals.CAUSE_BY_CODE.get(next(causes, "?"), signals.CAUSES["unknown"])
            start = batch.start_ns + int(offset) * 1000
            found.append(SlowFrame(start, start + int(latency) * 1000, cause.name))
    return found


def score(cause: str, expected: str) -> float:
    """1 where the cause was named, 0.5 where its parent was."""
    if cause == expected:
        return 1.0
    return 0.5 if cause == signals.CAUSES[expected].parent else 0.0


def evaluate(
    batches: Sequence[FrameBatch],
    truths: Sequence[Mapping[str, Any]],
    losses: Mapping[str, int],
    counted: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """The demo's result: frames, verdicts, and what they said of each disturbance.

    ``losses`` are framescope's own, by reason. ``unexplained`` is the frames the example counted and the
    store neither has nor says it lost; None where the example's own count is not known.
    """
    slow = slow_frames(batches)
    outcomes = Counter(letter for batch in batches for letter in batch.outcomes)
    disturbances, points, inside = [], 0.0, 0
    taken: set[int] = set()
    for truth in truths:
        start_ns, end_ns = int(truth["start_unix_ns"]), int(truth["end_unix_ns"])
        hit = [
            i
            for i, frame in enumerate(slow)
            if i not in taken and frame.end_ns > start_ns and frame.start_ns < end_ns + AFTERMATH_NS
        ]
        taken.update(hit)
        causes = Counter(slow[i].cause for i in hit)
        got = sum(score(cause, truth["expected"]) * n for cause, n in causes.items())
        points, inside = points + got, inside + len(hit)
        disturbances.append(
            {
                "name": truth["name"],
                "expected": truth["expected"],
                "start": start_ns / 1e9,
                "end": end_ns / 1e9,
                "slow_frames": len(hit),
                "verdicts": dict(causes.most_common()),
                "score": round(got / len(hit), 4) if hit else None,
                "strength": truth.get("strength", {}),
                "took": truth.get("took", {}),
            }
        )
    frames = sum(outcomes.values())
    missing = None if counted is None else int(counted["frames"]) - frames
    lost = sum(n for reason, n in losses.items() if reason in LOSES_A_FRAME)
    return {
        "frames": frames,
        "slow_frames": len(slow),
        "dropped_frames": outcomes[signals.OUTCOMES["dropped"]],
        "failed_frames": outcomes[signals.OUTCOMES["failed"]],
        "verdicts": dict(Counter(frame.cause for frame in slow).most_common()),
        "losses": dict(losses),
        "example": None if counted is None else dict(counted),
        "missing": missing,
        "unexplained": None if missing is None else max(0, abs(missing) - lost),
        "disturbances": disturbances,
        "calm_verdicts": dict(Counter(f.cause for i, f in enumerate(slow) if i not in taken).most_common()),
        "score_overall": round(points / inside, 4) if inside else None,
        "accelerator": signals.SOFTWARE_ACCELERATOR,
    }


def markdown(result: Mapping[str, Any]) -> str:
    """The result as a small table for people."""

    def counts(of: Mapping[str, int]) -> str:
        return ", ".join(f"{name} {n}" for name, n in of.items()) or "none"

    def share(value: float | None) -> str:
        return "–" if value is None else f"{value:.0%}"

    lines = [
        f"{result['frames']} frames, {result['slow_frames']} slow, {result['dropped_frames']} dropped, "
        f"{result['failed_frames']} failed",
        f"losses: {counts(result['losses'])}; unexplained: "
        + ("not known" if result["unexplained"] is None else str(result["unexplained"])),
        "",
        "| disturbance | expected | slow frames | verdicts | right |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {d['name']} | {d['expected']} | {d['slow_frames']} | {counts(d['verdicts'])} "
        f"| {share(d['score'])} |"
        for d in result["disturbances"]
    ]
    calm = counts(result["calm_verdicts"])
    return "\n".join(
        [*lines, "", f"outside disturbances: {calm}; right overall: {share(result['score_overall'])}"]
    )
