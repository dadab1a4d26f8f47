"""Servers and Collector away for a minute each, under 100 FPS: nothing is lost that need not be, and what is
lost is counted.

One course of events on both stacks at once, then the questions about it. Two programs are traced: a calm one
from beginning to end, and a crowded one, with 50 kept frames a second of 13 spans, that runs while the
Collector is away, so that its agent's buffer must overflow.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from app import App
from programs import ROOT, need, until
from stacks import STACKS, PrometheusTempo, Stack, VictoriaJaeger

from framescope import signals

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(600)]

OUTAGE_S = 60.0
QUIET_S = 12.0
NOTICED_WITHIN_S = 20.0
LANE_RECOVERS_S = 30.0
CALM, CROWDED = "calm", "crowded"


@dataclass
class Emitter:
    """A traced program: it knows what it did."""

    service: str
    process: subprocess.Popen[bytes]
    report_file: Path
    began: float = field(default_factory=time.time)

    def report(self) -> dict[str, Any]:
        assert self.process.wait(60) == 0, f"{self.service} ended with an error"
        told: dict[str, Any] = json.loads(self.report_file.read_text())
        return told


@dataclass
class Course:
    """What happened on one stack: when what was away, and what the app said meanwhile."""

    stack: Stack
    tap: Path
    began: float = field(default_factory=time.time)
    ended: float = 0.0
    away: dict[str, tuple[float, float]] = field(default_factory=dict)
    said: list[tuple[float, set[str] | None]] = field(default_factory=list)
    reports: dict[str, dict[str, Any]] = field(default_factory=dict)

    def spans(self, service: str, name: str, *keys: str) -> list[dict[str, str]]:
        """Attributes of the service's spans of that name, as the trace server has them now."""
        found = []
        with httpx.Client(timeout=30, trust_env=False) as http:
            at = self.began - 5
            while at < min(self.ended + 5, time.time() - 1):  # Tempo refuses a range in the future
                found += self.stack.attributes(http, service, name, keys, at, at + 10)
                at += 10
        return found

    def series(self, service: str, names: str = ".*") -> list[dict[str, Any]]:
        """Raw series of the service without histogram buckets, as the metric server has them now."""
        selector = f'{{service_name="{service}", __name__=~"{names}", __name__!~".*_bucket"}}'
        with httpx.Client(timeout=60, trust_env=False) as http:
            return self.stack.points(http, selector, self.ended + 5, int(self.ended - self.began) + 15)

    def total(self, service: str, metric: str, **labels: str) -> float:
        """Where a counter's series ended, added up."""
        prefix = metric.replace(".", "_")
        return sum(
            float(series["values"][-1][1])
            for series in self.series(service, f"{prefix}.*")
            if all(series["metric"].get(key) == value for key, value in labels.items())
        )


def _emit(course: Course, name: str, *flags: str) -> Emitter:
    report = course.stack.folder / f"{name}.json"
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("emitter.py")), "--report", str(report), *flags],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "OTEL_EXPORTER_OTLP_ENDPOINT": course.stack.collector.otlp_http,
            "OTEL_SERVICE_NAME": name,
        },
    )
    return Emitter(name, process, report)


def _run(course: Course, app: App) -> None:
    """Everything that happens on one stack."""
    stack = course.stack

    def watch(seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            course.said.append((time.time(), app.away()))
            time.sleep(1.0)

    one_away = 15.0
    whole = 2 * QUIET_S + OUTAGE_S + one_away + 25 + OUTAGE_S + LANE_RECOVERS_S
    emitters = [_emit(course, CALM, "--seconds", str(whole), "--slow-every", "20")]
    try:
        watch(QUIET_S)
        stack.metrics.stop()
        metrics_went = time.time()
        watch(one_away)
        stack.traces.stop()
        traces_went = time.time()
        watch(metrics_went + OUTAGE_S - time.time())
        course.away["metrics"] = (metrics_went, time.time())
        stack.metrics.start()
        watch(traces_went + OUTAGE_S - time.time())
        course.away["traces"] = (traces_went, time.time())
        stack.traces.start()
        watch(QUIET_S)
        crowd = str(OUTAGE_S + LANE_RECOVERS_S + 5)
        emitters.append(_emit(course, CROWDED, "--seconds", crowd, "--slow-every", "2", "--stages", "12"))
        watch(5)
        stack.collector.stop()
        collector_went = time.time()
        watch(OUTAGE_S)
        course.away["collector"] = (collector_went, time.time())
        stack.collector.start()
        for emitter in emitters:
            course.reports[emitter.service] = emitter.report()
    finally:
        for emitter in emitters:
            emitter.process.kill()
    course.ended = time.time()
    _settle(course)


def _settle(course: Course) -> None:
    """Wait until what was sent last can be read."""
    frames = course.reports[CALM]["frames"]
    until(lambda: len(_recorded(course, CALM)) >= frames, "the last records", 60, 1.0)
    for service, report in course.reports.items():
        # An agent that was behind when its host ended goes on until it has sent everything.
        counted = partial(course.total, service, signals.FRAME_COUNT)
        until(lambda counted=counted, all_=report["frames"]: counted() >= all_, f"{service}: all", 90, 1.0)
    time.sleep(3)


@pytest.fixture(scope="module")
def courses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[type[Stack], Course]]:
    for kind in STACKS:
        need(*kind.programs)
    folder = tmp_path_factory.mktemp("outages")
    tap = str(Path(__file__).with_name("tap.yaml"))
    courses = {
        kind: Course(
            kind(folder / kind.__name__, [tap], {"TAP_FILE": str(folder / f"{kind.__name__}.jsonl")}),
            folder / f"{kind.__name__}.jsonl",
        )
        for kind in STACKS
    }
    apps = [App(course.stack.folder, course.stack.read_from) for course in courses.values()]
    try:
        for course, app in zip(courses.values(), apps, strict=True):
            course.stack.start_all()
            app.start()
        with ThreadPoolExecutor(len(apps)) as pool:
            list(pool.map(_run, courses.values(), apps))
        yield courses
    finally:
        for course, app in zip(courses.values(), apps, strict=True):
            app.kill()
            course.stack.kill_all()


@pytest.fixture(params=[PrometheusTempo, VictoriaJaeger], ids=lambda kind: kind.name)
def course(courses: dict[type[Stack], Course], request: pytest.FixtureRequest) -> Course:
    return courses[request.param]


def _recorded(course: Course, service: str) -> dict[int, str]:
    """Outcome letter of each frame, by its id, from the ``frames`` records."""
    letters = {}
    for record in course.spans(service, signals.SPAN_FRAMES, signals.BATCH_FIRST_ID, signals.BATCH_OUTCOMES):
        first = int(record[signals.BATCH_FIRST_ID])
        for place, letter in enumerate(record[signals.BATCH_OUTCOMES]):
            letters[first + place] = letter
    return letters


def _kept(course: Course, service: str) -> set[int]:
    """Ids of the frames that are there whole."""
    return {int(one[signals.FRAME_ID]) for one in course.spans(service, signals.SPAN_FRAME, signals.FRAME_ID)}


def _lost(course: Course, service: str) -> dict[str, float]:
    """What framescope says it lost, by reason."""
    lost: dict[str, float] = defaultdict(float)
    for series in course.series(service, f"{signals.FS_FRAMES_LOST.replace('.', '_')}.*"):
        lost[series["metric"][signals.REASON]] += float(series["values"][-1][1])
    return {reason: count for reason, count in lost.items() if count}


def _tapped(course: Course, service: str) -> dict[str, set[tuple[str, int]]]:
    """Every point the Collector received: by metric, its attributes and unix ms."""
    points: dict[str, set[tuple[str, int]]] = defaultdict(set)
    for line in course.tap.read_text().splitlines():
        for group in json.loads(line)["resourceMetrics"]:
            told = {one["key"]: one["value"].get("stringValue") for one in group["resource"]["attributes"]}
            if told[signals.SERVICE_NAME] != service:
                continue
            for scope in group["scopeMetrics"]:
                for metric in scope["metrics"]:
                    kind = next(key for key in ("gauge", "sum", "histogram") if key in metric)
                    for point in metric[kind]["dataPoints"]:
                        at = int(point["timeUnixNano"]) // 1_000_000
                        said = json.dumps(point.get("attributes", []), sort_keys=True)
                        points[metric["name"]].add((said, at))
    return points


def test_no_metric_point_is_lost_while_servers_and_collector_are_away(course: Course) -> None:
    stored: dict[str, list[int]] = defaultdict(list)
    for series in course.series(CALM):
        stored[series["metric"]["__name__"]] += [round(float(at) * 1000) for at, _ in series["values"]]
    tapped = _tapped(course, CALM)
    seconds = course.reports[CALM]["seconds"]
    # About one a second; an agent on a crowded machine sends fewer.
    assert len(tapped[signals.FRAME_COUNT]) >= seconds / 3
    for metric, points in tapped.items():
        beginning = metric.replace(".", "_")
        for at in {at for _, at in points}:
            sent = sum(when == at for _, when in points)
            there = max(
                (times.count(at) for name, times in stored.items() if name.startswith(beginning)), default=0
            )
            assert there >= sent, f"{metric}: {there} of {sent} points at {at}"


def test_the_last_count_is_the_hosts_own(course: Course) -> None:
    for service in (CALM, CROWDED):
        assert course.total(service, signals.FRAME_COUNT) == course.reports[service]["frames"]


def test_no_kept_frame_is_lost_while_servers_and_collector_are_away(course: Course) -> None:
    report = course.reports[CALM]
    letters = _recorded(course, CALM)
    assert sorted(letters) == list(range(report["frames"])), "every frame is in a record"
    slow = {number for number, letter in letters.items() if letter == signals.OUTCOMES["slow"]}
    assert slow >= set(report["planned"])
    kept = _kept(course, CALM)
    assert kept >= slow, "every slow frame is there whole"
    assert len(kept) == course.total(CALM, signals.FS_FRAMES_KEPT)
    assert _lost(course, CALM) == {}


def test_a_full_buffer_drops_the_oldest_and_counts_them(course: Course) -> None:
    kept, there = course.total(CROWDED, signals.FS_FRAMES_KEPT), len(_kept(course, CROWDED))
    lost = _lost(course, CROWDED)
    assert lost.get("export_queue_full", 0) > 0, "the buffer was meant to overflow"
    assert kept > there
    # Records of every frame travel in the same buffer, one a second, and are counted with the frames.
    records = lost["export_queue_full"] - (kept - there)
    assert 0 <= records <= course.reports[CROWDED]["seconds"]


def test_the_app_says_who_is_away_and_recovers(course: Course) -> None:
    (metrics_went, metrics_came), (traces_went, traces_came) = course.away["metrics"], course.away["traces"]

    def said(start: float, end: float) -> list[set[str]]:
        answers = [away for at, away in course.said if start <= at < end]
        assert answers, "the app was asked"
        assert all(away is not None for away in answers), "the app answered"
        return [away for away in answers if away is not None]

    assert said(0, metrics_went - 1)[-1] == set()
    only_metrics = said(metrics_went + 2, traces_went - 11)[-1]
    assert len(only_metrics) == 1
    both = said(traces_went + 2, metrics_came - 1)[-1]
    assert len(both) == 2 and only_metrics < both
    assert said(metrics_came, traces_came - 1)[-1] == both - only_metrics
    assert said(traces_came, course.away["collector"][0])[-1] == set()


def test_the_hosts_frames_do_not_notice(course: Course) -> None:
    costs = course.reports[CALM]["costs"]
    measured = {"before": (course.began, course.away["metrics"][0] - 1), **course.away}
    told = {}
    for what, (start, end) in measured.items():
        inside = sorted(cost for at, cost in costs if start <= at < end)
        told[what] = {
            "frames": len(inside),
            "median_us": round(statistics.median(inside) * 1e6, 1),
            "p99_us": round(inside[int(len(inside) * 0.99)] * 1e6, 1),
            "max_us": round(inside[-1] * 1e6, 1),
        }
    print(json.dumps(told))
    folder = ROOT / "bench-results"
    folder.mkdir(exist_ok=True)
    (folder / f"outages-{course.stack.traces_backend}.json").write_text(json.dumps(told, indent=2) + "\n")
    for what in course.away:
        assert told[what]["median_us"] < 3 * told["before"]["median_us"], told
        assert told[what]["max_us"] < 5e6, told
