"""Whatever happens in whatever order on a scripted device: every stage that got a token is told of once."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_cuda import ScriptedCuda

from framescope.probes.cuda import PAIRS, CudaTimer, EventPairs
from framescope.probes.device import NOT_TIMED, GpuWork

MS = 1_000_000
STREAMS = 3
"""Two streams and the default one."""
CALLS = (
    "cuStreamIsCapturing", "cuEventRecord", "cuEventElapsedTime", "cuEventQuery", "cuEventCreate",
    "cuCtxPushCurrent_v2", "cuCtxGetId", "cuStreamGetCtx", "cuCtxGetCurrent", "cuStreamCreateWithPriority",
    "cuDeviceGetUuid", "cuCtxGetDevice",
)  # fmt: skip

steps = st.one_of(
    st.tuples(st.just("begin"), st.integers(0, STREAMS - 1)),
    st.tuples(st.just("end"), st.integers(0, 5)),
    st.tuples(st.just("work"), st.integers(0, STREAMS - 1)),
    st.tuples(st.just("advance"), st.integers(0, 20)),
    st.tuples(st.just("collect"), st.just(0)),
    st.tuples(st.just("capture"), st.integers(0, 1)),
    st.tuples(st.just("fail"), st.integers(0, len(CALLS) - 1)),
    st.tuples(st.just("new context"), st.just(0)),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(steps, max_size=60))
def test_every_token_is_told_of_once_and_nothing_forbidden_is_done(script: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run(ScriptedCuda(Path(folder)), script)


def no_failures(device: ScriptedCuda) -> None:
    for call in CALLS:
        device.fail(call, 0, times=0)


def run(device: ScriptedCuda, script: list[tuple[str, int]]) -> None:
    pairs = EventPairs(device.driver, device.host_ns)
    lost: Counter[str] = Counter()
    streams = [device.stream(), device.stream(), 0]
    timers = [CudaTimer(pairs, stream, lambda reason: lost.update([reason])) for stream in streams]
    capturing = [False, False]
    given_out: list[int] = []
    opened: list[int] = []
    told: list[GpuWork] = []
    refused = 0
    for what, number in script:
        if what == "begin":
            token = timers[number].begin()
            if token == NOT_TIMED:
                refused += 1
            else:
                given_out.append(token)
                opened.append(token)
        elif what == "end" and opened:
            timers[0].end(opened.pop(number % len(opened)))
        elif what == "work":
            device.work(streams[number], MS)
        elif what == "advance":
            device.advance(number * MS)
        elif what == "collect":
            told += pairs.collect()
        elif what == "capture":
            capturing[number] = not capturing[number]
            device.capture(streams[number], capturing[number])
        elif what == "fail":
            device.fail(CALLS[number], 999, times=1)
        elif what == "new context":
            # Collected at once: between a context's end and the next look at it its events are stale.
            device.destroy(device.context)
            told += pairs.collect()
            no_failures(device)  # the script's own calls are not to fail
            device.context = device.new_context(0)
            device.use(device.context)
            streams[:] = [device.stream(), device.stream(), 0]
            timers[:] = [CudaTimer(pairs, one, lambda reason: lost.update([reason])) for one in streams]
            capturing = [False, False]
            device.forget_captures()
    for number in (0, 1):
        if capturing[number]:
            device.capture(streams[number], False)
    no_failures(device)
    for token in opened:
        timers[0].end(token)
    for _ in range(3):
        device.advance(2_000 * MS)
        told += pairs.collect()
    assert sorted(work.token for work in told) == given_out
    assert all(work.end_ns >= work.start_ns for work in told)
    without_time = sum(work.start_ns == NOT_TIMED for work in told)
    assert lost.total() == refused + without_time
    assert device.violations == 0
    assert not pairs._open
    for context in pairs._contexts.values():
        assert len(context.free) <= context.made <= PAIRS
    timer = timers[2]
    token = timer.begin()  # and it goes on
    timer.end(token)
    assert [work.token for work in pairs.collect()] == [token]
