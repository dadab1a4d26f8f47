"""What `framescope doctor` says of the backends the app reads from, and of a test frame on its way."""

from __future__ import annotations

import asyncio
import time
from email.utils import formatdate
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_stores import MemoryMetrics, MemoryTraces, away
from scene import NOW_NS, NS, PIPELINE, SERVICE, Scene, scene

from framescope import signals as sig
from framescope.config import Configuration, resolve
from framescope.doctor import Finding
from framescope.trial import Trial
from framescope_ui import backend_checks, settings
from framescope_ui.backends.access import Access
from framescope_ui.backends.protocols import (
    About,
    BackendRefused,
    FrameBatch,
    Series,
    Shortcoming,
    Span,
    Trace,
)
from framescope_ui.connections import Connection, connection
from framescope_ui.trial_checks import PATIENCE_SECONDS, follow

TEMPO = Connection("traces", "tempo", Access("http://tempo:3200"))
PROMETHEUS = Connection("metrics", "prometheus", Access("http://prometheus:9090"))


def configured(**environ: str) -> Configuration:
    def no_files(path: Path) -> str:
        raise FileNotFoundError(2, "No such file or directory", str(path))

    named = {f"FRAMESCOPE_{name}": value for name, value in environ.items()}
    return resolve(settings.every_setting({}, Path("/home/me")), environ=named, read_file=no_files)


# --- access -----------------------------------------------------------------------------------------


def test_it_says_where_signals_are_read_from_and_where_the_credentials_are_and_not_what_they_are() -> None:
    found = configured(TRACES_URL="https://tempo/x", TRACES_BEARER="s3cret")
    (finding,) = backend_checks.setup(found, connection(found, "traces"))
    assert finding.status == "ok"
    assert "tempo at https://tempo/x, bearer from environment FRAMESCOPE_TRACES_BEARER" in finding.found
    assert "s3cret" not in finding.found + finding.change


@pytest.mark.parametrize(
    ("url", "status"), [("http://tempo", "warn"), ("http://localhost:3200", "ok"), ("https://tempo", "ok")]
)
def test_credentials_that_others_could_read_are_warned_of(url: str, status: str) -> None:
    found = configured(TRACES_URL=url, TRACES_BEARER="s3cret")
    (finding,) = backend_checks.setup(found, connection(found, "traces"))
    assert finding.status == status


# --- the backend itself -----------------------------------------------------------------------------


async def test_what_a_backend_cannot_answer_is_a_warning_with_what_to_change() -> None:
    store = MemoryMetrics()
    store.said = About(
        "Prometheus", "3.16.0", (Shortcoming("no exemplars", "the feature is off", "switch it on"),)
    )
    found = await backend_checks.reached(PROMETHEUS, store)
    assert [(one.status, one.change) for one in found] == [("ok", ""), ("warn", "switch it on")]
    assert "Prometheus 3.16.0 at prometheus:9090" in found[0].found
    assert found[1].found == "no exemplars: the feature is off"


async def test_what_no_setting_would_change_is_told_in_one_line_and_is_no_warning() -> None:
    store = MemoryMetrics()
    by_nature = [Shortcoming(what, "it is so", "do without", inherent=True) for what in ("counts", "lists")]
    store.said = About("Jaeger", None, tuple(by_nature))
    (finding,) = await backend_checks.reached(PROMETHEUS, store)
    assert finding.status == "ok"
    assert "Not from this product: counts; lists" in finding.found


async def test_a_backend_that_does_not_answer_is_unreachable() -> None:
    store = MemoryTraces("Tempo")
    store.error = away("Tempo")
    (finding,) = await backend_checks.reached(TEMPO, store)
    assert (finding.status, finding.unreachable) == ("fail", True)
    assert "traces.url" in finding.change


async def test_refused_credentials_are_a_failure_that_names_the_settings() -> None:
    store = MemoryTraces("Tempo")
    store.error = BackendRefused("Tempo", "tempo:3200 does not accept the credentials (401)")
    (finding,) = await backend_checks.reached(TEMPO, store)
    assert (finding.status, finding.unreachable) == ("fail", False)
    assert "traces.username" in finding.change


# --- what has arrived -------------------------------------------------------------------------------


async def arrived(made: Scene, now_ns: int = NOW_NS) -> dict[str, Finding]:
    found = await backend_checks.arrivals(made.traces, made.metrics, (TEMPO, PROMETHEUS), now_ns)
    return {finding.check: finding for finding in found}


def whole_scene() -> Scene:
    made = scene(seconds=60)
    own = {"service__name": SERVICE, "frame__pipeline": PIPELINE}
    made.metrics.put(sig.FRAME_BUDGET_LIMIT, [NOW_NS - NS], [0.02], **own)
    made.metrics.put(sig.FRAME_COUNT, [NOW_NS - NS], [50.0], **own)
    made.metrics.histograms.setdefault(sig.FRAME_LATENCY, [])
    return made


async def test_frames_whose_metrics_are_found_under_their_names_are_fine() -> None:
    made = whole_scene()
    found = await arrived(made)
    assert found["frames"].status == "ok"
    assert f"{SERVICE}/{PIPELINE}" in found["frames"].found


async def test_one_instrument_that_is_not_found_is_named() -> None:
    made = whole_scene()
    made.metrics.series.pop(sig.FRAME_COUNT)
    finding = (await arrived(made))["metric names"]
    assert finding.status == "warn"
    assert "not found: frame.count (counter)" in finding.found


async def test_frames_without_any_of_their_metrics_are_a_failure() -> None:
    made = scene(seconds=60)
    made.metrics.series.clear()
    made.metrics.histograms.clear()
    finding = (await arrived(made))["metric names"]
    assert finding.status == "fail" and "tenant" in finding.change


async def test_metrics_without_frames_are_a_failure_of_the_way_of_the_traces() -> None:
    made = Scene()
    made.metrics.put(sig.FS_CLOCK_ERROR, [NOW_NS - NS], [0.001], service__name=SERVICE)
    finding = (await arrived(made))["frames"]
    assert finding.status == "fail" and SERVICE in finding.found


async def test_nothing_at_all_is_no_failure_and_says_how_to_try() -> None:
    finding = (await arrived(Scene()))["frames"]
    assert finding.status == "skip" and "--send-test" in finding.change


async def test_a_frame_from_the_future_tells_of_a_clock() -> None:
    finding = (await arrived(whole_scene(), NOW_NS - 30 * NS))["frames"]
    assert finding.status == "warn" and "in the future" in finding.found


@pytest.mark.parametrize(("error", "status"), [(0.002, "ok"), (4.0, "warn")])
async def test_what_emitters_say_of_their_clocks_is_told(error: float, status: str) -> None:
    made = whole_scene()
    made.metrics.series[sig.FS_CLOCK_ERROR] = [
        Series({sig.SERVICE_NAME: SERVICE, sig.HOST_NAME: "or-7"}, [NOW_NS - NS], [error])
    ]
    finding = (await arrived(made))["emitters' clocks"]
    assert finding.status == status and "or-7" in finding.found


# --- clocks -----------------------------------------------------------------------------------------


@given(st.floats(-1e6, 1e6), st.floats(0, 5), st.floats(0, 1))
def test_the_true_offset_lies_between_what_is_said(true: float, waited: float, when: float) -> None:
    asked = 1_000_000_000.25
    date = float(int(asked + when * waited + true))
    least, most = backend_checks.offset(date, asked, asked + waited)
    assert least - 1e-6 <= true <= most + 1e-6


@pytest.mark.parametrize(("ahead", "status"), [(0, "ok"), (30, "warn"), (-30, "warn")])
async def test_a_clock_that_is_off_is_told_from_the_date_of_an_answer(ahead: int, status: str) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(404, headers={"date": formatdate(time.time() + ahead, usegmt=True)})

    (finding,) = await backend_checks.clock(TEMPO, httpx.MockTransport(answer))
    assert finding.status == status
    assert "whole seconds" in finding.found


async def test_answers_without_a_date_tell_nothing_of_the_clock() -> None:
    (finding,) = await backend_checks.clock(TEMPO, httpx.MockTransport(lambda request: httpx.Response(200)))
    assert finding.status == "skip"


# --- the test frame ---------------------------------------------------------------------------------

TRIAL = Trial(sequence=4711, sent_ns=NOW_NS)


class Clock:
    """Time that passes only by waiting."""

    def __init__(self) -> None:
        self.now_ns = NOW_NS

    def __call__(self) -> int:
        return self.now_ns

    async def sleep(self, seconds: float) -> None:
        self.now_ns += int(seconds * NS)
        await asyncio.sleep(0)


def frame_of(trial: Trial, sequence: int) -> Trace:
    attributes = {sig.FRAME_SEQUENCE: sequence, sig.FRAME_PIPELINE: trial.pipeline}
    end_ns = trial.sent_ns + 5_000_000
    root = Span("ab" * 16, "cd" * 8, None, sig.SPAN_FRAME, trial.sent_ns, end_ns, attributes)
    return Trace("ab" * 16, {sig.SERVICE_NAME: trial.service}, (root,))


async def test_a_test_frame_that_arrives_everywhere_says_how_long_it_took() -> None:
    traces, metrics, clock = MemoryTraces("Tempo"), MemoryMetrics("Prometheus"), Clock()
    counted_ns = NOW_NS + NS
    metrics.put(
        sig.FRAME_COUNT, [counted_ns], [1.0], service__name=TRIAL.service, frame__pipeline=TRIAL.pipeline
    )

    async def sleep(seconds: float) -> None:
        await clock.sleep(seconds)
        if clock.now_ns >= NOW_NS + 3 * NS and not traces.kept:
            traces.kept.append(frame_of(TRIAL, TRIAL.sequence))
            traces.batches.append(
                FrameBatch(TRIAL.service, TRIAL.pipeline, NOW_NS, 0, [0], [5000], "s", ["CW"])
            )

    found = await follow(TRIAL, traces, metrics, clock, sleep)
    assert [finding.status for finding in found] == ["ok", "ok", "ok"]
    kept, record, counted = (float(finding.found.split(" after ")[1].split()[0]) for finding in found)
    assert kept >= 3.0 and record >= 3.0 and counted < 2.0


async def test_another_doctors_frame_is_not_taken_for_it() -> None:
    traces, clock = MemoryTraces("Tempo"), Clock()
    traces.kept.append(frame_of(TRIAL, TRIAL.sequence + 1))
    kept = (await follow(TRIAL, traces, MemoryMetrics(), clock, clock.sleep))[0]
    assert kept.status == "fail" and f"after {PATIENCE_SECONDS:.0f} s" in kept.found
    assert "Collector" in kept.change


async def test_a_test_frame_that_was_counted_a_minute_ago_is_not_taken_for_it() -> None:
    metrics, clock = MemoryMetrics("Prometheus"), Clock()
    earlier_ns = NOW_NS - 30 * NS
    metrics.put(
        sig.FRAME_COUNT, [earlier_ns], [1.0], service__name=TRIAL.service, frame__pipeline=TRIAL.pipeline
    )
    counted = (await follow(TRIAL, MemoryTraces("Tempo"), metrics, clock, clock.sleep))[2]
    assert counted.status == "fail"


async def test_a_backend_that_comes_back_meanwhile_is_asked_again() -> None:
    traces, metrics, clock = MemoryTraces("Tempo"), MemoryMetrics("Prometheus"), Clock()
    traces.kept.append(frame_of(TRIAL, TRIAL.sequence))
    traces.error, metrics.error = away("Tempo"), away("Prometheus")

    async def sleep(seconds: float) -> None:
        await clock.sleep(seconds)
        if clock.now_ns > NOW_NS + 5 * NS:
            traces.error = None

    kept, _, counted = await follow(TRIAL, traces, metrics, clock, sleep)
    assert kept.status == "ok"
    assert (counted.status, counted.unreachable) == ("fail", True)
    assert "connection refused" in counted.found
