"""The scanner in C and the Python it stands for: of any body the same rows, or the same refusal."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from framescope import signals
from framescope_ui.store import scan as scanning
from framescope_ui.store.otlp import Malformed, decode
from framescope_ui.store.scan import ScannedTraces, scan
from framescope_ui.store.trace_rows import Guilt, TraceRows, scanned_rows, trace_rows

MS = 1_000_000
ARRIVED = 2000 * MS

needs_scanner = pytest.mark.skipif(scanning.scanner is None, reason="the scanner was not built here")


def test_it_is_there_wherever_it_can_be_built() -> None:
    if not sys.platform.startswith("linux") or os.environ.get("FRAMESCOPE_COMPILED") == "0":
        pytest.skip("switched off, or no Linux")
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        pytest.skip("it is not built for free-threaded interpreters")
    if scanning.scanner is None and not os.environ.get("CI"):
        pytest.skip("no C compiler at installation: the Python does the same")
    assert scanning.scanner is not None


def test_it_can_be_left_alone() -> None:
    program = "from framescope_ui.store.scan import scanner, scan; print(scanner, scan(b''))"
    told = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"FRAMESCOPE_COMPILED": "0", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.split() == ["None", "None"]


@needs_scanner
def test_a_scanner_of_another_version_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "VERSION", -1)
    assert scanning.load() is None


# -- what is sent -------------------------------------------------------------------------------------------

NAMES = (
    *sorted(scanning.HOT),
    signals.FRAME_STAGE_NAME,
    signals.FRAME_STAGE_EXPECTED,
    signals.FRAME_LOST_PREFIX,
    signals.FRAME_LOST_PREFIX + "gpu_work",
    signals.FRAME_LOST_PREFIX + "gpu_work",
    signals.BATCH_FIRST_ID,
    signals.BATCH_OUTCOMES,
    signals.MARK_TEXT,
    "scanner.probe",
    "",
)
_scalars: st.SearchStrategy[AnyValue] = st.one_of(
    st.builds(
        AnyValue, string_value=st.sampled_from(["slow", "on_time", "denoise", ""]) | st.text(max_size=3)
    ),
    st.builds(AnyValue, bool_value=st.booleans()),
    st.builds(AnyValue, int_value=st.integers(-(2**63), 2**63 - 1) | st.integers(-2, 40)),
    st.builds(AnyValue, double_value=st.floats() | st.floats(0, 0.1)),
)
_values = st.recursive(
    _scalars | st.builds(AnyValue) | st.builds(AnyValue, bytes_value=st.binary(max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: AnyValue(array_value={"values": items})),
        st.lists(st.builds(KeyValue, key=st.sampled_from(NAMES), value=inner), max_size=3).map(
            lambda pairs: AnyValue(kvlist_value={"values": pairs})
        ),
    ),
    max_leaves=4,
)


def _attributes(values: st.SearchStrategy[AnyValue], most: int) -> st.SearchStrategy[list[KeyValue]]:
    pair = st.builds(KeyValue, key=st.sampled_from(NAMES), value=values) | st.builds(KeyValue, key=st.text())
    return st.lists(pair, max_size=most)


_times = st.integers(999 * MS, 1001 * MS) | st.sampled_from([0, 1, 2**63 - 1, 2**63, 2**64 - 1])
_trace_ids = st.sampled_from([b"a" * 16, b"b" * 16]) | st.sampled_from([b"", bytes(16), b"c" * 16, b"d" * 17])
_span_ids = st.binary(min_size=8, max_size=8) | st.sampled_from([b"1" * 8, b"2" * 8, b"", bytes(8), b"x"])


def _span(values: st.SearchStrategy[AnyValue]) -> st.SearchStrategy[Span]:
    return st.builds(
        Span,
        trace_id=_trace_ids,
        span_id=_span_ids,
        parent_span_id=_span_ids,
        name=st.sampled_from([signals.SPAN_FRAME] * 3 + [signals.SPAN_FRAMES, signals.SPAN_MARK, "denoise"]),
        start_time_unix_nano=_times,
        end_time_unix_nano=_times,
        kind=st.integers(0, 5),
        trace_state=st.sampled_from(["", "a=b"]),
        flags=st.integers(0, 2**32 - 1),
        attributes=_attributes(values, 6),
        events=st.lists(
            st.builds(Span.Event, name=st.text(max_size=2), attributes=_attributes(values, 2)), max_size=1
        ),
        links=st.lists(st.builds(Span.Link, trace_id=_trace_ids), max_size=1),
        status=st.none() | st.builds(Status, code=st.sampled_from([0, 1, 2]), message=st.text(max_size=2)),
    )


def _usual(number: int, trace_id: bytes, slow: bool) -> list[Span]:
    """A kept frame as an emitter sends it."""
    told = {signals.FRAME_PIPELINE: AnyValue(string_value="p"), signals.FRAME_SLOW: AnyValue(bool_value=slow)}
    times = {"start_time_unix_nano": 1000 * MS, "end_time_unix_nano": (1010 + number) * MS}
    spans = [Span(trace_id=trace_id, span_id=b"frame..1", name=signals.SPAN_FRAME, **times)]
    spans[0].attributes.extend(KeyValue(key=key, value=value) for key, value in told.items())
    for place in range(3):
        stage = Span(
            trace_id=trace_id, span_id=b"stage..%d" % place, parent_span_id=b"frame..1", name="s", **times
        )
        own = {
            signals.FRAME_STAGE_NAME: AnyValue(string_value=f"s{place}"),
            signals.FRAME_STAGE_EXPECTED: AnyValue(double_value=0.001 * place),
            signals.FRAME_LOST_PREFIX + "io_wait": AnyValue(double_value=0.001 * (place == number % 5)),
        }
        stage.attributes.extend(KeyValue(key=key, value=value) for key, value in own.items())
        spans.append(stage)
    return spans


_frames = st.builds(_usual, st.integers(0, 9), st.binary(min_size=16, max_size=16), st.booleans())


def _requests(values: st.SearchStrategy[AnyValue]) -> st.SearchStrategy[ExportTraceServiceRequest]:
    spans = st.one_of(
        st.lists(_span(values), max_size=4),
        _frames,
        st.tuples(_frames, _frames).map(lambda two: two[0] + two[1]),
    )
    scopes = st.builds(
        ScopeSpans,
        scope=st.sampled_from([{}, {"name": "framescope", "version": "1"}]),
        spans=spans,
        schema_url=st.sampled_from(["", "u"]),
    )
    groups = st.builds(
        ResourceSpans,
        resource=st.none() | _attributes(values, 3).map(lambda pairs: {"attributes": pairs}),
        scope_spans=st.lists(scopes, max_size=3),
    )
    return st.builds(ExportTraceServiceRequest, resource_spans=st.lists(groups, max_size=2))


_any_request = _requests(_values)


@st.composite
def _spoilt(draw: Callable[[Any], Any]) -> bytes:
    """A body in which bytes were changed, left out, put in, or from which on there is nothing."""
    body = bytearray(draw(_any_request).SerializeToString())
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(body)))
        how = draw(st.integers(0, 3))
        if how == 0:
            del body[at:]
        elif how == 1:
            del body[at : at + draw(st.integers(1, 3))]
        elif how == 2:
            body[at : at + 1] = bytes([draw(st.integers(0, 255))])
        else:
            body[at:at] = draw(_wire)
    return bytes(body)


def _varint(value: int, padded: int = 0) -> bytes:
    """A number on the wire, also one that takes more bytes than it must."""
    said = bytearray()
    while value > 127 or padded:
        said.append(value & 127 | 128)
        value, padded = value >> 7, max(padded - 1, 0)
    return bytes([*said, value])


def _field(number: int, wire_type: int, inside: bytes, length: int | None, padded: int) -> bytes:
    tag = _varint(number << 3 | wire_type, padded)
    if wire_type == 0:
        return tag + _varint(int.from_bytes(inside[:9], "little"), padded)
    if wire_type in (1, 5):
        return tag + inside[: 8 if wire_type == 1 else 4].ljust(8 if wire_type == 1 else 4, b"\1")
    if wire_type == 2:
        return tag + _varint(len(inside) if length is None else length, padded) + inside
    return tag + inside + (_varint(number << 3 | 4) if wire_type == 3 else b"")


_wire = st.recursive(
    st.binary(max_size=17)
    | st.sampled_from([b"frame", b"a" * 16, signals.FRAME_PIPELINE.encode(), b"\xed\xa0\x80"]),
    lambda inner: st.builds(
        _field,
        st.integers(1, 17) | st.sampled_from([0, 2**29 - 1]),
        st.sampled_from([2] * 6 + [0, 1, 3, 5, 4, 6, 7]),
        st.lists(inner, max_size=4).map(b"".join),
        st.sampled_from([None] * 8 + [0, 1, 2**31, 2**64 - 1]),
        st.sampled_from([0] * 8 + [1, 4, 9]),
    ),
    max_leaves=12,
)


# -- what becomes of it -------------------------------------------------------------------------------------


def _in_python(body: bytes) -> TraceRows | str:
    try:
        request = decode("traces", body, "protobuf")
    except Malformed as refused:
        return str(refused)
    assert isinstance(request, ExportTraceServiceRequest)
    return trace_rows(request, ARRIVED)


def _as_read_back(rows: TraceRows) -> TraceRows:
    """With each message written anew: a sender may order its fields as it likes, and stays free to."""
    for frame in rows.frames:
        frame.root = Span.FromString(frame.root).SerializeToString(deterministic=True)
        frame.children = ScopeSpans.FromString(frame.children).SerializeToString(deterministic=True)
    rows.frames.sort(key=lambda frame: (frame.trace_id, frame.root, frame.children))
    rows.spans.sort()
    rows.rejected = Counter(dict(sorted(rows.rejected.items())))
    return rows


def _alike(body: bytes) -> ScannedTraces | None:
    scanned, in_python = scan(body), _in_python(body)
    if scanned is not None:
        assert isinstance(in_python, TraceRows), in_python
        # As text: what is no number is not equal to itself.
        assert repr(_as_read_back(scanned_rows(scanned, ARRIVED))) == repr(_as_read_back(in_python))
    return scanned


@needs_scanner
@given(_requests(_scalars))
def test_what_senders_write_is_scanned_and_gives_the_same_rows(request: ExportTraceServiceRequest) -> None:
    assert _alike(request.SerializeToString()) is not None


@needs_scanner
@given(_any_request)
def test_any_request_gives_the_same_rows(request: ExportTraceServiceRequest) -> None:
    _alike(request.SerializeToString())


@needs_scanner
@given(_spoilt())
def test_a_spoilt_body_gives_the_same_rows_or_the_same_refusal(body: bytes) -> None:
    _alike(body)


@needs_scanner
@given(_wire)
def test_a_hostile_body_gives_the_same_rows_or_the_same_refusal(body: bytes) -> None:
    _alike(body)


@needs_scanner
def test_a_frame_of_ours_is_stored_byte_for_byte() -> None:
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add(spans=_usual(1, b"a" * 16, True))
    scanned = scan(request.SerializeToString())
    assert scanned is not None
    assert scanned_rows(scanned, ARRIVED).frames == trace_rows(request, ARRIVED).frames


def _sized(tag: bytes, inside: bytes) -> bytes:
    return tag + _varint(len(inside)) + inside


def _with(added: bytes) -> bytes:
    """A request of one frame whose root's bytes go on with these."""
    root = _usual(1, b"a" * 16, True)[0].SerializeToString()
    return _sized(b"\x0a", _sized(b"\x12", _sized(b"\x12", root + added)))


@needs_scanner
@pytest.mark.parametrize(
    "added",
    [
        pytest.param(b"\x3a\x01!", id="a field that nobody knows"),
        pytest.param(b"\x2a\x05frame\x2a\x01x", id="a name given twice"),
        pytest.param(b"\x79\x00\x00\x00\x00\x00\x00\x00\x00", id="a status that is a number"),
        pytest.param(b"\x7a\x04\x18\x02\x18\x01", id="a status with two codes"),
        pytest.param(b"\x0b\x0c", id="a group"),
        pytest.param(b"\x2a\x02\xed\xa0", id="a name that is no text"),
        pytest.param(b"\x4a\x05\x12\x03\x10\x01\x10", id="an attribute cut short"),
        pytest.param(b"\x2a\xff\xff\xff\xff\x0f", id="longer than the body"),
        pytest.param(b"\x2a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", id="longer than any body"),
        pytest.param(b"\x4a\x06\x12\x04\x08\x01\x10\x01", id="a text that is a number"),
        pytest.param(b"\x4a\x06\x12\x04\x10\x01\x18\x01", id="a value of two kinds"),
    ],
)
def test_what_is_odd_is_for_protobuf_to_say(added: bytes) -> None:
    assert _alike(_with(added)) is None


@needs_scanner
@pytest.mark.parametrize("depth", [0, 3, 20, 45, 60, 5000])
def test_nesting_however_deep_gives_the_same(depth: int) -> None:
    value = b""
    for _ in range(depth):
        value = _sized(b"\x2a", _sized(b"\x0a", value))
    scanned = _alike(_with(_sized(b"\x4a", _sized(b"\x12", value))))
    assert (scanned is not None) == (depth < 10)


@needs_scanner
def test_a_frame_whose_spans_come_in_several_scopes_is_one_frame() -> None:
    spans = _usual(1, b"a" * 16, True)
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    for span in reversed(spans):
        group.scope_spans.add(spans=[span, _usual(2, span.span_id * 2, False)[0]])
    scanned = _alike(request.SerializeToString())
    assert scanned is not None and len(scanned.groups[0].frames) == 5


@needs_scanner
def test_of_stages_that_lost_alike_the_first_is_guilty_in_both() -> None:
    spans = _usual(4, b"a" * 16, True)
    for stage in spans[2:]:
        stage.attributes.add(key=signals.FRAME_LOST_PREFIX + "gpu_work", value=AnyValue(double_value=0.002))
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add(spans=spans)
    scanned = _alike(request.SerializeToString())
    assert scanned is not None
    assert scanned_rows(scanned, ARRIVED).frames[0].guilt == Guilt("s1", 0.002)
