"""What a recorder writes down, on one thread and across threads."""

import gc
import queue
import threading
import time

import pytest

from framescope.handover import AWAITED, DEPTH, ERROR, HEADER, HELD_UP, Batch, noted, pack, unpack
from framescope.probes.gc import CollectionProbe
from framescope.recorder.faults import Faults
from framescope.recorder.frame import Frame
from framescope.recorder.marks import MAX_MARKS
from framescope.recorder.pipeline import OUTBOX, Recorder
from framescope.recorder.shipper import FRAMES_A_BATCH, Shipper


class Clock:
    """Goes on by one at every reading."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        self.now += 1
        return self.now


def recorder(**given: object) -> Recorder:
    return Recorder(0, "p", clock=Clock(), faults=Faults(raising=True), **given)


def only(pipeline: Recorder):
    (record,) = pipeline.drain(10)
    return record


def test_stages_of_a_frame_are_pairs_of_marks_in_order():
    p = recorder()
    a, b = p.stage("a"), p.stage("b")
    with p.begin():
        with a:
            pass
        with b:
            pass
    record = only(p)
    assert record.marks[0::2] == [0, ~0, 1, ~1]
    assert record.marks[1::2] == sorted(record.marks[1::2])
    assert record.outcome == "done"
    assert record.start_ns < record.marks[1] < record.marks[-1] < record.end_ns


def test_frames_are_numbered_and_keep_the_sources_own_sequence():
    p = recorder()
    for sequence in (None, 7000):
        p.begin(sequence=sequence).end()
    first, second = p.drain(10)
    assert (first.id, first.sequence) == (0, 0)
    assert (second.id, second.sequence) == (1, 7000)


def test_an_exception_passes_through_and_the_frame_says_it_failed():
    p = recorder()
    a = p.stage("a")
    with pytest.raises(RuntimeError, match="host's own"), p.begin(), a:
        raise RuntimeError("host's own")
    record = only(p)
    assert record.outcome == "failed"
    assert record.reason == "RuntimeError"
    assert record.marks[-2:] == [(ERROR, 0), "RuntimeError"]


def test_a_frame_ended_twice_counts_and_stays_one_frame():
    p = recorder()
    frame = p.begin()
    frame.end()
    frame.end()
    assert len(p.drain(10)) == 1
    assert p.losses == {"ended_twice": 1}


def test_a_frame_nobody_ends_is_told_as_abandoned():
    p = recorder()
    p.begin()
    gc.collect()
    assert (only(p).outcome, p.losses) == ("failed", {})


def test_a_stage_without_a_frame_is_counted_and_harmless():
    p = recorder()
    with p.stage("a"):
        pass
    assert p.losses == {"stage_without_frame": 1}


def test_ten_thousand_stages_in_a_frame_are_bounded_and_counted():
    p = recorder()
    a = p.stage("a")
    with p.begin():
        for _ in range(10_000):
            with a:
                pass
    assert len(only(p).marks) <= 2 * MAX_MARKS
    assert p.losses["stage_limit"] > 0


def test_a_full_outbox_drops_and_counts():
    p = recorder()
    for _ in range(OUTBOX + 5):
        p.begin().end()
    assert p.losses == {"outbox_full": 5}


def test_attributes_that_cannot_be_printed_do_no_harm():
    class Rude:
        def __str__(self) -> str:
            raise ValueError

    p = recorder()
    cyclic: list[object] = []
    cyclic.append(cyclic)
    p.begin(attributes={"a": Rude(), "b": cyclic, "c": "x" * 10_000, "d": 1.5}).end()
    attributes = only(p).attributes
    assert attributes["a"] == "<Rude>"
    assert len(attributes["c"]) == 200
    assert attributes["d"] == 1.5


def test_the_gap_is_the_time_since_this_threads_frame_before():
    p = recorder()
    p.begin().end()
    p.begin().end()
    first, second = p.drain(10)
    assert first.gap is None
    start, end, _ = second.gap
    assert start == first.start_ns
    assert first.start_ns < end < second.start_ns


def test_a_frame_carried_across_threads_has_a_segment_on_each():
    p = recorder()
    a, b = p.stage("a"), p.stage("b")
    q = p.queue("q", 2, "block")

    def consume() -> None:
        frame, _ = q.get(timeout=5)
        with frame.stage(b):
            pass
        frame.end()

    consumer = threading.Thread(target=consume)
    consumer.start()
    frame = p.begin()
    with frame.stage(a):
        pass
    q.put(frame, "item")
    consumer.join(5)
    record = only(p)
    assert len({segment[0] for segment in record.segments}) == 2
    assert [what for what in record.marks[0::2] if type(what) is int] == [0, ~0, 2, ~2, 1, ~1]  # a, queue, b
    assert noted(record.marks, DEPTH) == 0


def test_whether_a_frame_was_awaited_at_the_end_of_its_queue_is_written_down():
    p = recorder()
    q = p.queue("q", 2, "block")
    q.put(p.begin(), 0)
    q.get()[0].end()  # it lay there
    taken = threading.Thread(target=lambda: q.get(timeout=5)[0].end())
    taken.start()
    while not q._changed._waiters:  # until it stands waiting
        time.sleep(0.001)
    q.put(p.begin(), 1)
    taken.join(5)
    lay, awaited = p.drain(9)
    assert noted(lay.marks, AWAITED) is None
    assert noted(awaited.marks, AWAITED) == 1


@pytest.mark.parametrize(
    ("policy", "left", "outcomes"),
    [("reject", [0, 1], {2: "queue_full"}), ("pop", [1, 2], {0: "superseded"})],
)
def test_a_full_queue_drops_by_its_policy_with_a_reason(policy, left, outcomes):
    p = recorder()
    q = p.queue("q", 2, policy)
    results = [q.put(p.begin(), n) for n in range(3)]
    assert results == ([True, True, False] if policy == "reject" else [True] * 3)
    dropped = {record.id: record.reason for record in p.drain(10)}
    assert dropped == outcomes
    assert [q.get(0)[1] for _ in range(2)] == left
    assert sum(q.dropped.values()) == 1


def test_a_queue_that_fails_leaves_the_frame_with_its_thread():
    p = recorder()
    q = p.queue("q", 1, "fail")
    q.put(p.begin(), 0)
    frame = p.begin()
    with pytest.raises(queue.Full):
        q.put(frame, 1)
    frame.end()
    assert [record.id for record in p.drain(10)] == [1]


def test_a_blocking_queue_counts_the_time_it_held_its_producer():
    p = recorder()
    q = p.queue("q", 1, "block")
    q.put(p.begin(), 0)
    with pytest.raises(queue.Full):
        q.put(p.begin(), 1, timeout=0.05)
    assert q.blocked_ns > 0


def test_an_empty_queue_raises_empty_after_its_timeout():
    with pytest.raises(queue.Empty):
        recorder().queue("q", 1, "block").get(timeout=0.01)


@pytest.mark.parametrize(("name", "capacity", "policy"), [("q", 0, "block"), ("q", 1, "nonsense")])
def test_a_queue_that_cannot_work_says_so_at_once(name, capacity, policy):
    with pytest.raises(ValueError, match=r"queue"):
        recorder().queue(name, capacity, policy)


def test_odd_values_of_the_hosts_cannot_spoil_a_batch():
    import enum

    class Mode(enum.IntEnum):
        B = 2

    class Half:
        def __index__(self) -> int:
            return 7

    p = recorder()
    p.begin(sequence=Half(), attributes={"mode": Mode.B, "image": bytearray(10)}).end()  # type: ignore[arg-type]
    p.begin(sequence="seven", captured_at_ns="now").end()  # type: ignore[arg-type]
    first, second = p.drain(10)
    assert first.sequence == 7
    assert first.attributes == {"mode": 2, "image": "<bytearray>"}
    assert second.sequence == second.id
    assert p.losses == {"sequence_not_a_number": 1, "captured_at_not_a_time": 1}
    pack(Batch(1, "i", 0, 0, {}, [first, second]))


def test_a_frame_that_cannot_be_packed_is_left_out_alone_and_counted():
    link, p = Link(), Recorder(0, "p", clock=Clock(), faults=Faults(raising=False))
    s = Shipper(link, "instance", CollectionProbe(), Faults(raising=False))
    s._thread = threading.current_thread()
    s.add(p)
    for _ in range(3):
        p.begin().end()
    p._outbox[1] = (*p._outbox[1][:-1], object())
    s.ship()
    s.ship()
    assert [frame.id for batch in link.batches for frame in batch.records()] == [0, 2]
    assert any(batch.losses.get((0, "unpackable")) == 1 for batch in link.batches)


def test_a_put_that_times_out_leaves_the_frame_with_its_thread_and_the_queue_innocent():
    p = recorder()
    a = p.stage("a")
    q = p.queue("q", 1, "block")
    q.put(p.begin(), 0)
    frame = p.begin()
    with pytest.raises(queue.Full):
        q.put(frame, 1, timeout=0.01)
    with frame.stage(a):
        pass
    frame.end()
    record = next(r for r in p.drain(10) if r.id == 1)
    assert record.marks[0::2] == [
        1,
        (DEPTH, 1),
        (HELD_UP, 1),
        ~1,
        0,
        ~0,
    ]


def test_a_frame_inside_a_frame_gives_the_thread_back_to_the_outer_one():
    p = recorder()
    a = p.stage("a")
    with p.begin():
        with p.begin():
            pass
        with a:
            pass
    inner, outer = p.drain(10)
    assert (inner.id, outer.id) == (1, 0)
    assert outer.marks[0::2] == [0, ~0]


def test_a_stage_after_the_end_is_counted_and_ignored():
    p = recorder()
    a = p.stage("a")
    frame = p.begin()
    frame.end()
    with frame.stage(a):
        pass
    assert only(p).marks == []
    assert p.losses == {"stage_after_end": 1}


def test_the_interval_is_counted_from_the_pipelines_frame_before_on_any_thread():
    p = recorder()
    starts = []

    def one() -> None:
        frame = p.begin()
        starts.append(frame.start_ns)
        frame.end()

    for _ in range(3):
        thread = threading.Thread(target=one)
        thread.start()
        thread.join()
    assert [r.before_ns for r in p.drain(10)] == [-1, starts[0], starts[1]]


class Link:
    """Takes messages; ``away`` makes it fail."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.away = False

    def send(self, message: bytes, frames: int) -> None:
        if self.away:
            raise ConnectionError
        self.batches.append(unpack(message[HEADER.size :]))

    def revive(self) -> bool:
        return not self.away

    def losses(self) -> dict[str, int]:
        return {"agent_died": 3}

    def close(self, timeout: float) -> None: ...


def shipper(link: Link) -> Shipper:
    faults = Faults(raising=True)
    made = Shipper(link, "instance", CollectionProbe(), faults)
    made._thread = threading.current_thread()  # no thread: the tests call ship() themselves
    return made


def test_pipelines_made_on_several_threads_at_once_share_one_shipper():
    made = Shipper(Link(), "instance", CollectionProbe(), Faults(raising=True))
    together = threading.Barrier(4)

    def one(number: int) -> None:
        together.wait()
        made.add(Recorder(number, "p"))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(4)]
    before = set(threading.enumerate())  # others' may end meanwhile
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    begun = set(threading.enumerate()) - before
    made.close()
    assert sum(thread.name == "framescope-shipper" for thread in begun) == 1


def test_who_retires_is_let_go_in_place_as_another_may_be_added_meanwhile():
    early, late = recorder(), Recorder(1, "late", clock=Clock())
    s = shipper(Link())
    s.add(early)
    held = s._recorders
    s.retire(early)
    s.ship()
    held.append(late)  # by whoever was about to, when the other was let go
    assert s._recorders == [late]


def test_nothing_is_lost_while_the_agent_is_away_and_comes_back():
    link, p = Link(), recorder()
    s = shipper(link)
    s.add(p)
    link.away = True
    for _ in range(5):
        p.begin().end()
        s.ship()
    link.away = False
    s.ship()
    s.ship()
    assert [frame.id for batch in link.batches for frame in batch.records()] == [0, 1, 2, 3, 4]
    assert link.batches[-1].losses[-1, "agent_died"] == 3


def test_a_large_backlog_goes_in_small_batches():
    link, p = Link(), recorder()
    s = shipper(link)
    s.add(p)
    for _ in range(3 * FRAMES_A_BATCH):
        p.begin().end()
    s.ship()
    assert max(len(batch.frames) for batch in link.batches) == FRAMES_A_BATCH
    assert sum(len(batch.frames) for batch in link.batches) == 3 * FRAMES_A_BATCH


def test_a_batch_survives_packing():
    p = recorder(budget_ns=5, period_ns=6)
    with p.begin(attributes={"mode": "B"}), p.stage("a"):
        pass
    record = only(p)
    batch = Batch(1, "i", 2, 1, {0: p.definition}, [record], losses={(0, "x"): 1})
    assert unpack(pack(batch)[HEADER.size :]) == batch


def test_garbage_is_no_batch():
    for garbage in (b"", b"\x00", b"i\x01\x00\x00\x00", b"(\x00\x00\x00\x00"):
        with pytest.raises(ValueError):
            unpack(garbage)


def test_a_collection_in_any_thread_is_noted_with_its_times():
    probe = CollectionProbe()
    probe.install()
    try:
        trash: list[object] = []
        for _ in range(200_000):
            cycle: list[object] = []
            cycle.append(cycle)
            trash.append(cycle)
        del trash
        gc.collect()
    finally:
        probe.remove()
    seen = probe.collect()
    assert seen is not None
    assert any(generation == 2 for generation, *_ in seen)
    assert all(end > start for *_, start, end in seen)


def test_a_collection_ends_when_it_has_computed_and_not_when_it_has_the_interpreter_lock_again():
    now, computed = iter([1_000_000_000, 1_015_000_000]), iter([7_000_000, 12_000_000])
    probe = CollectionProbe(lambda: next(now), computed=lambda: next(computed))
    probe._called("start", {"generation": 2})
    probe._called("stop", {"generation": 2})  # another thread had the lock for 10 ms before
    (seen,) = probe._seen
    assert seen[2:] == (1_000_000_000, 1_005_000_000)


def test_without_a_listener_it_is_not_known_whether_there_was_a_collection():
    probe = CollectionProbe()
    assert probe.collect() is None
    probe.install()
    assert probe.collect() == []
    callbacks, gc.callbacks[:] = gc.callbacks[:], []  # as a host may do
    try:
        assert probe.collect() is None
    finally:
        gc.callbacks[:] = callbacks
        probe.remove()


def test_a_fault_is_counted_logged_once_and_swallowed(caplog):
    faults = Faults(raising=False)
    for _ in range(3):
        try:
            raise RuntimeError("inside framescope")
        except RuntimeError:
            faults.note("somewhere")
    assert faults.counts == {"somewhere": 3}
    assert caplog.records == []  # not in the host's frame
    for _ in range(3):
        faults.tell()
    assert len(caplog.records) == 1


def test_a_gpu_timer_that_raises_costs_the_frame_nothing():
    class Broken:
        def begin(self) -> int:
            raise RuntimeError

        def end(self, token: int) -> None: ...
        def collect(self):
            raise RuntimeError

    p = Recorder(0, "p", clock=Clock(), faults=Faults(raising=False))
    stage = p.stage("g", "gpu", Broken())
    frame = p.begin()
    with frame.stage(stage):
        pass
    frame.end()
    assert isinstance(frame, Frame)
    assert len(p.drain(10)) == 1
    assert sum(p.faults.counts.values()) >= 1


def test_a_thread_that_is_held_back_where_it_hands_a_frame_on_is_read_once_more():
    """A quota holds a thread back when it comes out of a call: the reading's own, the second of three."""
    now, held = [0], [0, 70_000_000, 0]
    waited = [0]

    def scheduler() -> tuple[int, int, int]:
        reading = (5, waited[0], 0)
        waited[0] += held[0]
        now[0] += held.pop(0)
        return reading

    p = Recorder(0, "p", clock=lambda: now[0], scheduler=scheduler, faults=Faults(raising=True))
    frame = p.begin()
    frame.release()
    frame.end()
    (_, start, before, end, after, _), *_ = only(p).segments
    assert end - start == after[1] - before[1] == 70_000_000
    assert held == []
