"""What the agent makes of recorded frames: what it keeps, says, counts and loses."""

from types import SimpleNamespace

from agency import DEFINITION, MS, S, agent, batch, record

from framescope import signals as sig
from framescope.agent.agent import SETTLE_NS, WAIT_FOR_WORK_NS
from framescope.handover import ERROR, TRACE, WORK, Batch, PipelineDefinition
from framescope.judge import read_verdict
from framescope.probes.device import DeviceIdentity, DeviceReading, ProcessUse


def calm(count: int = 40) -> list:
    return [record(n) for n in range(count)]


def test_on_time_frames_are_counted_and_only_the_baseline_sample_is_kept():
    made, sent, _ = agent(baseline_every=20)
    made.feed(batch(*calm()))
    made.tick(60 * S)
    kept = sent.frames()
    assert [g[0].attributes[sig.FRAME_KEPT] for g in kept] == ["baseline", "baseline"]
    assert [g[0].attributes[sig.FRAME_SAMPLING_WEIGHT] for g in kept] == [20, 20]
    counted = sent.counter(sig.FRAME_COUNT)
    assert counted == {((sig.FRAME_OUTCOME, "on_time"), (sig.FRAME_PIPELINE, "p")): 40}


def test_a_slow_frame_is_kept_with_its_verdict_and_its_neighbours():
    made, sent, _ = agent(baseline_every=0)
    made.feed(batch(*calm(), record(40, 18), record(41)))
    made.tick(60 * S)
    why = {g[0].attributes[sig.FRAME_ID]: g[0].attributes[sig.FRAME_KEPT] for g in sent.frames()}
    assert why == {39: "neighbour", 40: "slow", 41: "neighbour"}
    root = next(g[0] for g in sent.frames() if g[0].attributes[sig.FRAME_ID] == 40)
    assert root.end_time - root.start_time == 18 * MS  # the span's duration is the latency
    assert root.attributes[sig.FRAME_CAUSE_NAME] == "cpu_work"
    assert abs(root.attributes[sig.FRAME_LOST_TOTAL] - 0.012) < 1e-9
    assert abs(root.attributes[sig.FRAME_OVERRUN_TOTAL] - 0.008) < 1e-9


def test_a_frame_waits_until_it_has_settled():
    made, sent, _ = agent()
    last = record(0)
    made.feed(batch(last))
    made.tick(last.end_ns + SETTLE_NS - 1)
    assert sent.records() == []
    made.tick(last.end_ns + SETTLE_NS)
    assert len(sent.records()) == 1


def test_a_frame_waits_for_its_gpu_times_but_not_for_ever():
    definition = PipelineDefinition("p", 10 * MS, None, [("g", "gpu")])
    one = record(0, marks=[0, 0, (WORK, 0), 7, ~0, 5 * MS])
    made, sent, _ = agent()
    made.feed(batch(one, definition=definition))
    made.tick(one.end_ns + SETTLE_NS)
    assert sent.records() == []
    made.tick(one.end_ns + WAIT_FOR_WORK_NS)
    assert len(sent.records()) == 1
    made.tick(one.end_ns + WAIT_FOR_WORK_NS + S)
    lost = sent.counter(sig.FS_FRAMES_LOST)
    assert lost[(sig.FRAME_PIPELINE, "p"), (sig.REASON, "gpu_work_missing")] == 1


def test_the_frames_record_tells_every_frame():
    made, sent, _ = agent()
    made.feed(batch(*calm(30), record(30, 18), record(31, 7, outcome="dropped", reason="queue_full")))
    made.tick(60 * S)
    (one,) = sent.records()
    assert one.attributes[sig.BATCH_FIRST_ID] == 0
    assert one.attributes[sig.BATCH_OUTCOMES] == "o" * 30 + "s" + "d"
    assert list(one.attributes[sig.BATCH_LATENCIES_US])[-2:] == [18_000, 7_000]
    assert list(one.attributes[sig.BATCH_CAUSES]) == ["CW"]
    assert list(one.attributes[sig.BATCH_DEPTHS_PREFIX + "q"]) == [0] * 32
    assert list(one.attributes[sig.BATCH_OFFSETS_US])[:3] == [0, 16_000, 32_000]


def test_a_record_is_cut_where_a_frame_is_missing():
    made, sent, _ = agent()
    made.feed(batch(record(0), record(1), record(3)))
    made.tick(60 * S)
    assert [(r.attributes[sig.BATCH_FIRST_ID], r.attributes[sig.BATCH_OUTCOMES]) for r in sent.records()] == [
        (0, "oo"),
        (3, "o"),
    ]


def test_the_keep_budget_keeps_the_worst_and_one_of_each_cause_and_counts_the_rest():
    made, sent, _ = agent(keep_budget=3, baseline_every=0)
    slow = [record(40 + n, 20 + n) for n in range(6)]
    late = record(
        50, 12, marks=[0, 800 * MS, ~0, 802 * MS, 1, 802 * MS, ~1, 809 * MS, 2, 809 * MS, ~2, 812 * MS]
    )
    made.feed(batch(*calm(), *slow, late))
    made.tick(60 * S)
    made.tick(61 * S)
    kept = {g[0].attributes[sig.FRAME_ID]: g[0].attributes[sig.FRAME_CAUSE_NAME] for g in sent.frames()}
    assert kept == {45: "cpu_work", 44: "cpu_work", 50: "queue_wait"}
    assert sent.counter(sig.FS_FRAMES_LOST)[(sig.FRAME_PIPELINE, "p"), (sig.REASON, "keep_budget")] == 4


def test_a_wait_behind_a_slow_frame_is_blamed_on_what_that_one_lost():
    made, sent, _ = agent(baseline_every=0)
    at = 40 * 16 * MS
    slow = record(40, 40)  # b takes until at + 40 ms, all of it CPU work
    follower_start = at + 16 * MS
    follower = record(
        41,
        28,
        marks=[
            0, follower_start, ~0, follower_start + 2 * MS,
            1, follower_start + 2 * MS, ~1, at + 40 * MS,
            2, at + 40 * MS, ~2, follower_start + 28 * MS,
        ],
        segments=[
            (1, follower_start, (0, 0, 0), follower_start + 2 * MS, (2 * MS, 0, 0), -1),
            (2, at + 40 * MS, (0, 0, 0), follower_start + 28 * MS, (4 * MS, 0, 0), -1),
        ],
    )  # fmt: skip
    made.feed(batch(*calm(), slow, follower))
    made.tick(60 * S)
    behind = next(g for g in sent.frames() if g[0].attributes[sig.FRAME_ID] == 41)
    assert behind[0].attributes[sig.FRAME_CAUSE_NAME] == "cpu_work"
    waited = next(s for s in behind if s.name == "q")
    assert waited.attributes[sig.FRAME_LOST_PREFIX + "cpu_work"] > 0.02


def test_a_consumer_that_was_ready_but_did_not_run_is_cpu_contention_and_not_a_queue_wait():
    made, sent, _ = agent(baseline_every=0)
    at = 40 * 16 * MS
    marks = [0, at, ~0, at + 2 * MS, 1, at + 2 * MS, ~1, at + 15 * MS, 2, at + 15 * MS, ~2, at + 18 * MS]
    segments = [
        (1, at, (0, 0, 0), at + 2 * MS, (2 * MS, 0, 0), -1),
        (2, at + 15 * MS, (0, 0, 0), at + 18 * MS, (3 * MS, 0, 0), 11 * MS),
    ]
    made.feed(batch(*calm(), record(40, 18, marks=marks, segments=segments)))
    made.tick(60 * S)
    root = next(g[0] for g in sent.frames() if g[0].attributes[sig.FRAME_ID] == 40)
    assert root.attributes[sig.FRAME_CAUSE_NAME] == "cpu_contention"
    assert abs(root.attributes[sig.FRAME_LOST_PREFIX + "queue_wait"] - 0.001) < 1e-6


def as_read(spans: list) -> list:
    """SDK spans as the app reads them."""
    return [
        SimpleNamespace(
            span_id=f"{s.context.span_id:016x}",
            parent_span_id=f"{s.parent.span_id:016x}" if s.parent else None,
            name=s.name,
            start_ns=s.start_time,
            end_ns=s.end_time,
            attributes=dict(s.attributes),
        )
        for s in spans
    ]


def test_the_app_reads_the_same_verdict_from_the_spans():
    made, sent, _ = agent(baseline_every=0)
    made.feed(batch(*calm(), record(40, 18)))
    made.tick(60 * S)
    spans = next(g for g in sent.frames() if g[0].attributes[sig.FRAME_ID] == 40)
    verdict = read_verdict(as_read(spans))
    assert verdict is not None
    assert verdict.cause == "cpu_work"
    assert (
        verdict.sentence
        == "8.0 ms over budget. 8.0 ms of it is CPU work: b ran longer on the CPU than usual."
    )
    assert sum(share.lost_ns for share in verdict.shares) == verdict.lost_ns == 12 * MS
    assert {share.stage for share in verdict.shares} == {"b"}


def test_a_trace_that_came_without_a_verdict_is_judged_by_what_it_tells():
    made, sent, _ = agent(baseline_every=0)
    made.feed(batch(*calm(), record(40, 18)))
    made.tick(60 * S)
    spans = as_read(next(g for g in sent.frames() if g[0].attributes[sig.FRAME_ID] == 40))
    for span in spans:
        for name in list(span.attributes):
            if name.startswith(("frame.lost", "frame.overrun", "frame.cause", "frame.verdict")):
                del span.attributes[name]
    verdict = read_verdict(spans)
    assert verdict is not None
    assert verdict.lost_ns == 12 * MS
    assert sum(share.lost_ns for share in verdict.shares) == verdict.lost_ns


def test_spans_of_others_carry_no_verdict():
    foreign = SimpleNamespace(
        span_id="1",
        parent_span_id=None,
        name="GET /",
        start_ns=0,
        end_ns=5,
        attributes={"http.method": "GET"},
    )
    assert read_verdict([foreign]) is None
    assert read_verdict([]) is None


def test_device_readings_over_the_frame_reach_its_root_span():
    made, sent, probes = agent(baseline_every=1)
    who = DeviceIdentity("software-0", sig.SOFTWARE_ACCELERATOR, simulated=True)
    made.feed(batch(record(0)))
    probes.devices.add(
        [
            DeviceReading(
                who, 100 * MS, 100 * MS, utilization=0.9, other_utilization=0.5, clock_hz=2e9,
                processes=[ProcessUse(7, "recon", 0.5, False)],
            )
        ]
    )  # fmt: skip
    made.tick(60 * S)
    told = sent.frames()[0][0].attributes
    assert told[sig.GPU_NAME] == "software accelerator (no GPU found)"
    assert told[sig.GPU_SIMULATED] is True
    assert (told[sig.GPU_UTILIZATION_MEAN], told[sig.GPU_OTHER_UTILIZATION]) == (0.9, 0.5)
    assert abs(told[sig.GPU_WINDOW] - 0.1) < 1e-9


def test_what_was_not_measured_is_absent_and_never_zero():
    made, sent, _ = agent(baseline_every=1)
    unread = (-1, -1, -1)
    one = record(0, segments=[(1, 0, unread, 6 * MS, unread, -1)])
    made.feed(batch(one))
    made.tick(60 * S)
    told = sent.frames()[0][0].attributes
    for name in (sig.CPU_TIME, sig.RUNQUEUE_TIME, sig.BLOCKED_TIME, sig.GPU_TIME, sig.GPU_UTILIZATION_MEAN):
        assert name not in told


def test_a_clock_that_went_backwards_and_a_stage_never_closed_are_told_as_what_they_are():
    made, sent, _ = agent(baseline_every=1)
    made.feed(batch(record(0, end_ns=-5, marks=[0, 0])))
    made.tick(60 * S)
    made.tick(61 * S)
    root, stage = sent.frames()[0]
    assert root.end_time == root.start_time
    assert stage.attributes[sig.FRAME_STAGE_UNCLOSED] is True
    lost = sent.counter(sig.FS_FRAMES_LOST)
    assert lost[(sig.FRAME_PIPELINE, "p"), (sig.REASON, "clock_backwards")] == 1
    assert lost[(sig.FRAME_PIPELINE, "p"), (sig.REASON, "stage_never_closed")] == 1


def test_a_failed_frame_is_kept_with_its_error():
    made, sent, _ = agent(baseline_every=0)
    one = record(1, outcome="failed", reason="RuntimeError")
    one.marks.extend(((ERROR, 2), "RuntimeError"))
    made.feed(batch(one))
    made.tick(60 * S)
    root = sent.frames()[0][0]
    assert root.attributes[sig.FRAME_KEPT] == "failed"
    assert root.status.description == "RuntimeError"


def test_a_budget_nobody_gave_is_the_period_while_frames_stay_on_one_thread():
    definition = PipelineDefinition("p", None, 16 * MS, DEFINITION.stages)
    one_thread = [(1, 0, (0, 0, 0), 1, (0, 0, 0), -1)]
    made, sent, _ = agent(baseline_every=1)
    made.feed(batch(record(0, 20, segments=one_thread), definition=definition))
    made.tick(60 * S)
    told = sent.frames()[0][0].attributes
    assert told[sig.FRAME_BUDGET_LIMIT] == 0.016
    assert sig.FRAME_BUDGET_LEARNED not in told
    assert told[sig.FRAME_OUTCOME] == "slow"


def test_a_budget_nobody_gave_is_learned_where_frames_cross_threads_and_says_so():
    definition = PipelineDefinition("p", None, 4 * MS, DEFINITION.stages)
    made, sent, _ = agent(baseline_every=1, keep_budget=1000)
    made.feed(batch(*calm(150), definition=definition))
    made.tick(60 * S)
    first, last = sent.frames()[0][0].attributes, sent.frames()[-1][0].attributes
    assert sig.FRAME_BUDGET_LIMIT not in first
    assert last[sig.FRAME_BUDGET_LIMIT] == 0.009  # half as much again as the usual 6 ms
    assert last[sig.FRAME_BUDGET_LEARNED] is True


def test_the_keep_budget_is_one_for_all_pipelines_of_a_process():
    made, sent, _ = agent(keep_budget=4, baseline_every=0)
    both = {n: PipelineDefinition(f"p{n}", 10 * MS, 16 * MS, DEFINITION.stages) for n in (0, 1)}
    for number in (0, 1):
        slow = [record(40 + n, 20 + n, pipeline=number) for n in range(6)]
        warm = [record(n, pipeline=number) for n in range(40)]
        made.feed(Batch(1, "i", 0, 0, both, [*warm, *slow]))
    made.tick(60 * S)
    made.tick(61 * S)
    assert len(sent.frames()) == 4
    lost = sent.counter(sig.FS_FRAMES_LOST)
    assert sum(v for k, v in lost.items() if (sig.REASON, "keep_budget") in k) == 8


def test_one_record_that_makes_no_sense_does_not_take_the_others_with_it():
    made, sent, _ = agent()
    made.feed(batch(record(0), record(1, marks=[77, 0]), record(2, due_ns=None), record(3)))
    made.tick(60 * S)
    made.tick(61 * S)
    lost = sent.counter(sig.FS_FRAMES_LOST)
    assert lost[(sig.FRAME_PIPELINE, "p"), (sig.REASON, "malformed")] == 1
    assert (
        lost[(sig.FRAME_PIPELINE, "p"), (sig.REASON, "marks_torn")] == 1
    )  # its latency is right all the same
    assert sum(len(r.attributes[sig.BATCH_OUTCOMES]) for r in sent.records()) == 3


def test_frames_of_a_pipeline_that_is_forgotten_are_lost_once(monkeypatch):
    """Settled, so that the host does not count them too when this agent dies."""
    monkeypatch.setattr("framescope.agent.agent.PIPELINES", 1)
    made, sent, _ = agent()
    made.feed(batch(record(0), record(1)))
    made.feed(Batch(1, "instance", 0, 0, {1: DEFINITION}, []))
    made.tick(1000 * MS)
    assert made.settled == 2
    assert list(sent.counter(sig.FS_FRAMES_LOST).values()) == [2]


def test_what_forgotten_pipelines_counted_stays_their_names_and_takes_no_room(monkeypatch):
    """A host that makes a pipeline for each job: counters never fall, and nothing is held for each."""
    monkeypatch.setattr("framescope.agent.agent.PIPELINES", 4)
    made, sent, _ = agent()
    lost = ((sig.FRAME_PIPELINE, "p"), (sig.REASON, "outbox_full"))
    for number in range(50):
        queues = [(number, "q", 4, 0, 10**9, {"queue_full": 3})]
        losses = {(number, "outbox_full"): 5}
        made.feed(Batch(1, "i", 0, 0, {number: DEFINITION}, [], queues=queues, losses=losses))
        made.tick(number * S, everything=True)
        assert sent.counter(sig.FS_FRAMES_LOST) == {lost: 5 * (number + 1)}
        assert list(sent.counter(sig.FRAME_QUEUE_DROPPED).values()) == [3 * (number + 1)]
        assert list(sent.counter(sig.FRAME_QUEUE_BLOCKED_TIME).values()) == [number + 1]
    assert len(made._losses) <= 4
    assert all(len(by_number) <= 5 for by_number in made._queues.values())


def test_two_pipelines_of_one_name_add_up():
    made, sent, _ = agent()
    both = {0: DEFINITION, 1: DEFINITION}
    queues = [(n, "q", 4, 0, 10**9, {"queue_full": 3}) for n in (0, 1)]
    losses = {(0, "outbox_full"): 5, (1, "outbox_full"): 1}
    made.feed(Batch(1, "i", 0, 0, both, [record(0)], queues=queues, losses=losses))
    made.tick(60 * S)
    made.tick(61 * S)
    assert sent.counter(sig.FS_FRAMES_LOST)[(sig.FRAME_PIPELINE, "p"), (sig.REASON, "outbox_full")] == 6
    assert list(sent.counter(sig.FRAME_QUEUE_DROPPED).values()) == [6]
    assert list(sent.counter(sig.FRAME_QUEUE_BLOCKED_TIME).values()) == [2.0]


def test_drop_reasons_made_up_on_the_way_do_not_become_series_without_bound():
    made, sent, _ = agent()
    made.feed(batch(*(record(n, outcome="dropped", reason=f"late by {n} us") for n in range(100))))
    made.tick(60 * S)
    made.tick(61 * S)
    counted = sent.counter(sig.FRAME_COUNT)
    assert len(counted) == 17
    assert sum(counted.values()) == 100


def test_the_interval_is_the_pipelines_own_whatever_threads_take_turns():
    made, sent, _ = agent(baseline_every=1, keep_budget=1000)
    frames = [record(n, before_ns=(n - 1) * 16 * MS if n else -1) for n in range(20)]
    made.feed(batch(*frames))
    made.tick(60 * S)
    told = sent.frames()[5][0].attributes
    assert told[sig.FRAME_INTERVAL] == 0.016
    assert told[sig.FRAME_LATE] is False


def test_a_capture_time_of_another_clock_is_left_out_and_counted():
    made, sent, _ = agent(baseline_every=1)
    start = 4000 * S
    made.feed(batch(record(0, start=start, due_ns=0), record(1, start=start, due_ns=start + 9 * S)))
    made.tick(start + 60 * S)
    made.tick(start + 61 * S)
    for spans in sent.frames():
        assert spans[0].end_time - spans[0].start_time == 6 * MS
    lost = sent.counter(sig.FS_FRAMES_LOST)
    assert lost[(sig.FRAME_PIPELINE, "p"), (sig.REASON, "captured_at_out_of_range")] == 2


def test_blocked_time_is_called_io_only_as_far_as_the_machine_waited_for_io():
    moved_blocks = [(1, 0, (0, 0, 0), 6 * MS, (1 * MS, 0, 5), -1)]
    for stalled, told in ((0, 0.0), (3 * MS, 0.003), (None, None)):
        made, sent, probes = agent(baseline_every=1)
        probes.io_stall_over = lambda start, end, stalled=stalled: stalled
        made.feed(batch(record(0, segments=moved_blocks)))
        made.tick(60 * S)
        root = sent.frames()[0][0].attributes
        assert root.get(sig.IO_WAIT_TIME) == told
        assert root[sig.BLOCKED_TIME] == 0.005


def test_a_mark_is_a_span_of_no_length():
    made, sent, _ = agent()
    made.feed(batch(marks=[(0, 5 * S, "deployed 1.4")]))
    made.tick(60 * S)
    (mark,) = [g[0] for g in sent.groups]
    assert (mark.name, mark.start_time, mark.attributes[sig.MARK_TEXT]) == (
        "mark",
        mark.end_time,
        "deployed 1.4",
    )


def test_counters_keep_their_start_when_the_wall_clock_is_anchored_again():
    made, sent, _ = agent()
    made.feed(batch(*calm()))
    made.tick(60 * S)
    made._anchor._offset += 12_345
    made.tick(62 * S)
    starts = {
        point.start_time_unix_nano
        for data in sent.metrics
        for metric in data.resource_metrics[0].scope_metrics[0].metrics
        if metric.name == sig.FRAME_COUNT
        for point in metric.data.data_points
    }
    assert len(starts) == 1


def test_every_metric_sent_is_in_the_table_with_its_unit():
    made, sent, _ = agent()
    made.feed(
        batch(
            *calm(), record(40, 18), gauges=[(0, "score", 5, 0.93)], counts=[(0, "defects", 3.0)],
            losses={(-1, "agent_died"): 3},
        )
    )  # fmt: skip
    made.tick(60 * S)
    made.tick(62 * S)
    for metric in sent.metrics[-1].resource_metrics[0].scope_metrics[0].metrics:
        assert metric.unit == sig.METRICS[metric.name].unit
    assert sent.counter(sig.FRAME_CUSTOM) == {
        ((sig.FRAME_METRIC_NAME, "score"), (sig.FRAME_PIPELINE, "p")): 0.93
    }
    assert sent.counter(sig.FRAME_COUNTED) == {
        ((sig.FRAME_METRIC_NAME, "defects"), (sig.FRAME_PIPELINE, "p")): 3
    }
    assert sent.counter(sig.FS_FRAMES_LOST)[(sig.FRAME_PIPELINE, ""), (sig.REASON, "agent_died")] == 3


def _told(sent, message: int, name: str) -> list[tuple[dict, int, int, float]]:
    """Attributes, start, time and value (of a histogram its count) of each point of a message."""
    metrics = sent.metrics[message].resource_metrics[0].scope_metrics[0].metrics
    return [
        (
            dict(point.attributes),
            point.start_time_unix_nano,
            point.time_unix_nano,
            getattr(point, "value", None) if hasattr(point, "value") else point.count,
        )
        for metric in metrics
        if metric.name == name
        for point in metric.data.data_points
    ]


def test_a_new_series_is_preceded_by_the_zero_it_stood_at_once():
    made, sent, _ = agent()

    def sent_at(second: int) -> int:
        return made._anchor.unix_ns(second * S)

    made.feed(batch(*calm()))
    made.tick(60 * S)
    for name in (sig.FRAME_COUNT, sig.FRAME_LATENCY):
        (_, _, at_zero, zero), (_, _, at, value) = _told(sent, -1, name)
        assert (zero, at_zero) == (0, sent_at(0))
        assert at > at_zero
        assert value > 0
    made.feed(batch(record(100, outcome="failed", reason="x", start=61 * S)))
    made.tick(64 * S)
    made.tick(66 * S)
    told = [
        [
            (at, value)
            for attributes, _, at, value in _told(sent, n, sig.FRAME_COUNT)
            if "failed" in str(attributes)
        ]
        for n in range(len(sent.metrics))
    ]
    assert told == [[], [(sent_at(60), 0), (sent_at(64), 1)], [(sent_at(66), 1)]]


def test_what_the_host_counted_before_this_agent_came_is_not_counted_anew():
    made, sent, _ = agent()
    lost = {(0, "outbox_full"): 7}
    first = batch(*calm(), losses=dict(lost))
    first.began_unix_ns = 123
    made.feed(first)
    made.tick(60 * S)
    ((_, start, _, value),) = _told(sent, -1, sig.FS_FRAMES_LOST)
    assert (start, value) == (123, 7)

    later = batch(losses={**lost, (0, "late_stage"): 2})
    later.began_unix_ns = 123
    made.feed(later)
    made.tick(62 * S)
    told = [(a[sig.REASON], start, value) for a, start, _, value in _told(sent, -1, sig.FS_FRAMES_LOST)]
    assert told == [("outbox_full", 123, 7), ("late_stage", 123, 0), ("late_stage", 123, 2)]


def test_what_a_device_counts_has_no_known_beginning():
    made, sent, probes = agent()
    gpu = DeviceIdentity("0", "a GPU")
    probes.devices.add([DeviceReading(gpu, 100 * MS, 100 * MS, energy_joules=1e6)])
    made.feed(batch(*calm()))
    made.tick(60 * S)
    assert [(start, value) for _, start, _, value in _told(sent, -1, sig.HW_ENERGY)] == [(0, 1e6)]


def test_the_latency_histogram_points_at_the_kept_frames_it_counts_the_slowest_first():
    made, sent, _ = agent()
    made.feed(batch(*calm(), *(record(n, 12 + n % 20, start=n * 40 * MS) for n in range(100, 120))))
    made.tick(60 * S)
    metrics = sent.metrics[-1].resource_metrics[0].scope_metrics[0].metrics
    (latency,) = (metric for metric in metrics if metric.name == sig.FRAME_LATENCY)
    exemplars = latency.data.data_points[-1].exemplars
    roots = {spans[0].get_span_context().trace_id: spans[0] for spans in sent.frames()}
    assert len(exemplars) == 10
    for exemplar in exemplars:
        root = roots[exemplar.trace_id]
        assert (exemplar.span_id, exemplar.time_unix_nano) == (root.get_span_context().span_id, root.end_time)
        assert exemplar.value == (root.end_time - root.start_time) / 1e9
    slowest = sorted((root.end_time - root.start_time for root in roots.values()), reverse=True)[:10]
    assert sorted((round(e.value * 1e9) for e in exemplars), reverse=True) == slowest
    made.feed(batch())
    made.tick(62 * S)
    newest = sent.metrics[-1].resource_metrics[0].scope_metrics[0].metrics
    assert [list(m.data.data_points[-1].exemplars) for m in newest if m.name == sig.FRAME_LATENCY] == [[]]


def test_what_a_task_marks_after_the_end_of_its_frame_is_left_out_and_counted():
    made, sent, _ = agent(baseline_every=1)
    late = record(0)
    late.marks.extend((0, 100 * MS, ~0, 101 * MS))
    made.feed(batch(late))
    made.tick(60 * S)
    assert [span.name for span in sent.frames()[0]] == ["frame", "a", "q", "b"]
    assert sent.counter(sig.FS_FRAMES_LOST)[(sig.FRAME_PIPELINE, "p"), (sig.REASON, "stage_after_end")] == 2


def test_keep_last_keeps_the_frames_before_it_once_and_says_why():
    made, sent, _ = agent(baseline_every=0)
    frames = [record(n) for n in range(100)]
    asked = 50 * 16 * MS
    made.feed(batch(*frames, recalls=[(0, asked, 20 * 16 * MS, "the image jumped")]))
    made.tick(3 * S)
    made.tick(60 * S)
    kept = sent.frames()
    assert [spans[0].attributes[sig.FRAME_ID] for spans in kept] == list(range(30, 50))
    assert {spans[0].attributes[sig.FRAME_KEPT] for spans in kept} == {"manual"}
    assert {spans[0].attributes[sig.FRAME_SAMPLING_WEIGHT] for spans in kept} == {0}
    (mark,) = (spans[0] for spans in sent.groups if spans[0].name == sig.SPAN_MARK)
    assert mark.attributes[sig.MARK_TEXT] == "kept the last 0.32 s: the image jumped"


def test_of_a_pipeline_that_was_closed_no_frames_are_held_for_wishes_that_cannot_come():
    made, _, _ = agent(flight_recorder_ns=0)
    frames = [record(n) for n in range(5)]
    made.feed(batch(*frames))
    made.tick(60 * S)
    assert made._pipelines[0].recent
    made.feed(Batch(1, "instance", 0, 0, {1: PipelineDefinition("another", None, None, [])}))
    made.tick(61 * S)
    assert not made._pipelines[0].recent


def test_keep_last_waits_until_the_frames_it_asks_for_have_settled():
    made, sent, _ = agent(baseline_every=0)
    made.feed(batch(*(record(n) for n in range(10)), recalls=[(0, 200 * MS, S, "")]))
    made.tick(S)
    assert sent.frames() == []
    made.tick(3 * S)
    assert len(sent.frames()) == 10


def test_a_frame_recalled_is_not_sent_again_as_a_neighbour():
    made, sent, _ = agent(baseline_every=0)
    made.feed(batch(*calm(), recalls=[(0, 5 * S, 5 * S, "")]))
    made.tick(60 * S)
    known = len(sent.frames())
    last = calm()[-1].id
    made.feed(batch(record(last + 1, 30)))
    made.tick(70 * S)
    ids = [spans[0].attributes[sig.FRAME_ID] for spans in sent.frames()]
    assert ids[known:] == [last + 1]


def test_a_watched_queue_tells_what_it_knows_and_leaves_out_the_rest():
    made, sent, _ = agent()
    waits = [(0, "mine", [2 * MS, 3 * MS])]
    made.feed(batch(*calm(), queues=[(0, "mine", -1, 2, -1, {})], waits=waits))
    made.tick(60 * S)
    labels = ((sig.FRAME_PIPELINE, "p"), (sig.FRAME_QUEUE_NAME, "mine"))
    assert sent.counter(sig.FRAME_QUEUE_DEPTH)[labels] == 2
    assert labels not in sent.counter(sig.FRAME_QUEUE_CAPACITY)
    assert labels not in sent.counter(sig.FRAME_QUEUE_BLOCKED_TIME)
    assert made.totals.distributions[sig.FRAME_QUEUE_WAIT][labels].total == 0.005


def test_a_kept_frame_is_the_trace_that_the_host_was_told():
    made, sent, _ = agent(baseline_every=1)
    one = record(0)
    one.marks.extend(((TRACE, 0), "0" * 31 + "a" + "0" * 15 + "b"))
    made.feed(batch(one))
    made.tick(60 * S)
    root, *stages = sent.frames()[0]
    assert (root.get_span_context().trace_id, root.get_span_context().span_id) == (10, 11)
    assert {span.get_span_context().trace_id for span in stages} == {10}
    assert {span.parent.span_id for span in stages} == {11}
