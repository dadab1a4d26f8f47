"""Beside an application's own OpenTelemetry: its spans are told with the frame they began in."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from framescope import signals as sig
from framescope.agent.intake import fill, outline
from framescope.agent.keeper import Judged
from framescope.agent.spans import SpanMaker
from framescope.agent.waits import Waits
from framescope.handover import SPANS, Batch, FrameRecord, noted, pack, unpack
from framescope.otel import MOST_OPEN, FrameSpans
from framescope.pipeline import OffPipeline, Pipeline
from framescope.probes.scheduler import nothing
from framescope.recorder.faults import Faults
from framescope.recorder.spans_inside import MOST_SPANS


class Apart:
    """What a pipeline shares with its process, without thread or agent."""

    def __init__(self) -> None:
        self.baseline_every = 1
        self.scheduler = nothing
        self.faults = Faults(raising=True)
        self.shipper = self

    def add(self, recorder: object) -> None: ...


class App:
    """An application with a tracer and an exporter of its own, and a pipeline."""

    def __init__(self) -> None:
        self.pipeline = Pipeline("p", enabled=True, process=Apart())  # type: ignore[arg-type]
        self.exported = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self.exported))
        provider.add_span_processor(FrameSpans(self.pipeline))
        self.tracer = provider.get_tracer("the application")

    @property
    def losses(self) -> dict[str, int]:
        return self.pipeline._recorder.losses

    def record(self) -> FrameRecord:
        """The one frame there is, as it is handed over."""
        (record,) = self.pipeline._recorder.take(9)
        batch = Batch(1, "i", 0, 0, {0: self.pipeline._recorder.definition}, [record])
        return unpack(pack(batch)[8:]).records()[0]

    def sent(self) -> list[ReadableSpan]:
        """Its spans, were it kept."""
        record = self.record()
        frame = outline(record, self.pipeline._recorder.definition, lambda reason: None)
        fill(frame, record, self.pipeline._recorder.definition, {}, [], lambda reason: None, Waits().felt)
        return SpanMaker(Resource({}), lambda ns: ns).frame(Judged(frame, kept="slow", weight=1))


@pytest.fixture
def app() -> App:
    return App()


def parents(spans: Sequence[ReadableSpan]) -> dict[str, str]:
    """Each span's parent by name."""
    names = {span.context.span_id: span.name for span in spans}
    return {span.name: names[span.parent.span_id] for span in spans if span.parent is not None}


def names(record: FrameRecord) -> list[str]:
    return [told[0] for told in noted(record.marks, SPANS) or ()]


def test_a_span_made_inside_a_frame_is_a_child_of_the_stage_it_began_in(app):
    capture, infer = app.pipeline.stages("capture", "infer")
    with app.pipeline.frame():
        with capture:
            pass
        with infer, app.tracer.start_as_current_span("load", kind=SpanKind.CLIENT) as load:
            load.set_attribute("db.system", "sqlite")
            with app.tracer.start_as_current_span("query"):
                pass
        with app.tracer.start_as_current_span("between"):
            pass
    spans = app.sent()
    assert parents(spans) == {
        "capture": "frame", "infer": "frame", "load": "infer", "query": "load", "between": "frame",
    }  # fmt: skip
    assert len({span.context.trace_id for span in spans}) == 1
    load = next(span for span in spans if span.name == "load")
    assert (load.kind, load.attributes) == (SpanKind.CLIENT, {"db.system": "sqlite"})


def test_the_applications_own_exporter_goes_on_with_its_own_trace_and_ours_is_linked_to_it(app):
    with app.pipeline.frame(), app.tracer.start_as_current_span("load"):
        pass
    (own,) = app.exported.get_finished_spans()
    ours = app.sent()[-1]
    assert own.context.trace_id != ours.context.trace_id
    (link,) = ours.links
    assert (link.context.trace_id, link.context.span_id) == (own.context.trace_id, own.context.span_id)
    assert own.attributes == {}


def test_its_time_is_the_frames_own_clock(app):
    with app.pipeline.frame() as frame, app.tracer.start_as_current_span("load"):
        pass
    root, load = app.sent()
    slack = 50_000_000  # the wall clock and the monotonic one are read one after the other
    assert root.start_time - slack < load.start_time <= load.end_time < root.end_time + slack
    assert root.start_time == frame.start_ns


def test_a_span_that_failed_says_so_and_what_it_says_does_not_shadow_what_a_frame_says(app):
    load = app.tracer.start_as_current_span("load", attributes={sig.FRAME_STAGE_NAME: "x"})
    with pytest.raises(ValueError), app.pipeline.frame(), load:
        raise ValueError
    load = app.sent()[-1]
    assert load.status.status_code is StatusCode.ERROR
    assert load.kind is SpanKind.INTERNAL
    assert load.attributes == {f"user.{sig.FRAME_STAGE_NAME}": "x"}


def test_a_span_outside_of_frames_is_none_of_ours(app):
    with app.tracer.start_as_current_span("before"), app.pipeline.frame():
        pass
    record = app.record()
    assert noted(record.marks, SPANS) is None
    assert app.losses == {}


def test_a_span_on_a_thread_that_works_on_a_stage_of_the_frame_is_the_frames(app):
    infer = app.pipeline.stage("infer")
    frame = app.pipeline.begin()

    def work() -> None:
        with frame.stage(infer), app.tracer.start_as_current_span("load"):
            pass
        with app.tracer.start_as_current_span("afterwards"):
            pass

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    frame.end()
    assert parents(app.sent()) == {"infer": "frame", "load": "infer"}


async def test_spans_of_tasks_that_take_turns_are_each_their_own_frames(app):
    async def one(name: str) -> None:
        async with app.pipeline.frame(name=name):
            with app.tracer.start_as_current_span(name):
                await asyncio.sleep(0)
                await asyncio.to_thread(lambda: app.tracer.start_span(f"{name} on a thread").end())

    await asyncio.gather(one("a"), one("b"))
    records = app.pipeline._recorder.drain(9)
    told = {record.attributes["name"]: sorted(names(record)) for record in records}
    assert told == {"a": ["a", "a on a thread"], "b": ["b", "b on a thread"]}


def test_a_span_that_outlives_its_frame_is_told_until_the_frame_is_shipped_and_then_counted(app):
    with app.pipeline.frame():
        early, late = app.tracer.start_span("early"), app.tracer.start_span("late")
    early.end()
    assert names(app.record()) == ["early"]
    late.end()
    assert app.losses == {"span_after_frame": 1}


def test_spans_of_a_frame_and_open_ones_are_bounded_and_the_rest_counted(app):
    with app.pipeline.frame():
        for _ in range(MOST_SPANS + 3):
            app.tracer.start_span("load").end()
    assert len(names(app.record())) == MOST_SPANS
    assert app.losses == {"span_limit": 3}
    with app.pipeline.frame():
        never_ended = [app.tracer.start_span("load") for _ in range(MOST_OPEN + 2)]
    assert app.losses == {"span_limit": 5}
    assert len(never_ended) == MOST_OPEN + 2


def test_huge_attributes_are_cut_and_many_are_left_out(app):
    with app.pipeline.frame():
        span = app.tracer.start_span("x" * 1000, attributes={f"a{n}": "y" * 1000 for n in range(20)})
        span.set_attribute("list", [1, 2])
        span.end()
    ((name, *_, attributes),) = noted(app.record().marks, SPANS)
    assert (len(name), len(attributes)) == (100, 8)
    assert {len(value) for value in attributes.values()} == {200}


def test_what_the_applications_sampler_refuses_is_not_told():
    app = App()
    provider = TracerProvider(sampler=ALWAYS_OFF)
    provider.add_span_processor(FrameSpans(app.pipeline))
    with app.pipeline.frame(), provider.get_tracer("x").start_as_current_span("load"):
        pass
    assert noted(app.record().marks, SPANS) is None


def test_an_application_that_takes_over_the_frames_context_has_its_spans_in_the_frames_trace(app):
    with app.pipeline.frame() as frame:
        context = TraceContextTextMapPropagator().extract({"traceparent": frame.traceparent})
        with app.tracer.start_as_current_span("load", context=context):
            assert f"{trace.get_current_span().get_span_context().trace_id:032x}" == frame.trace_id
    root, load = app.sent()
    (own,) = app.exported.get_finished_spans()
    assert (load.context.trace_id, load.context.span_id) == (own.context.trace_id, own.context.span_id)
    assert load.parent.span_id == root.context.span_id == own.parent.span_id
    assert load.links == ()


def test_a_frame_that_goes_to_another_process_leaves_its_spans_behind_and_counts_them(app):
    with app.pipeline.frame() as frame:
        app.tracer.start_span("load").end()
        frame.carry()
    assert app.losses == {"spans_not_carried": 1}


def test_beside_a_pipeline_that_is_switched_off_nothing_is_told():
    provider = TracerProvider()
    off = OffPipeline("p")
    provider.add_span_processor(FrameSpans(off))
    with off.frame(), provider.get_tracer("x").start_as_current_span("load"):
        pass
    provider.shutdown()
