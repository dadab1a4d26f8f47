"""A storm of slow frames is one incident."""

from hypothesis import given
from hypothesis import strategies as st

from framescope.judge.incidents import LEAST, LINK_NS, SlowFrame, incidents

MS = 1_000_000


def frame(at_ms, cause="gpu_contention", lost_ms=10, number=0):
    return SlowFrame(number, at_ms * MS, (at_ms + 20) * MS, cause, lost_ms * MS)


def storm(first_ms, frames, every_ms=50, cause="gpu_contention", lost_ms=10):
    return [frame(first_ms + n * every_ms, cause, lost_ms, n) for n in range(frames)]


def test_frames_of_one_cause_close_in_time_are_one_incident_with_its_cost():
    (one,) = incidents(storm(1000, 40))
    assert (one.start_ns, one.end_ns) == (1000 * MS, (1000 + 39 * 50 + 20) * MS)
    assert (one.cause, one.frames, one.lost_ns) == ("gpu_contention", 40, 400 * MS)
    assert one.by_cause == (("gpu_contention", 40, 400 * MS),)


def test_two_storms_with_a_rest_between_are_two():
    link_ms = LINK_NS // MS
    first, second = storm(0, 20), storm(20 * 50 + link_ms + 100, 20)
    assert [one.frames for one in incidents(first + second)] == [20, 20]
    assert [one.frames for one in incidents(storm(0, 20) + storm(20 * 50 + link_ms - 200, 20))] == [40]


def test_one_cause_after_another_is_two_incidents_though_no_time_is_between():
    found = incidents(storm(0, 40, cause="gc_pause") + storm(2000, 40, cause="io_wait"))
    assert [one.cause for one in found] == ["gc_pause", "io_wait"]


def test_what_is_named_differently_in_the_midst_of_a_storm_is_part_of_it():
    (one,) = incidents([*storm(0, 40), frame(700, "unknown"), frame(900, "cpu_work", 3)])
    assert one.frames == 42
    assert [(cause, frames) for cause, frames, _ in one.by_cause] == [
        ("gpu_contention", 40), ("unknown", 1), ("cpu_work", 1),
    ]  # fmt: skip


def test_a_few_frames_at_its_edge_are_its_beginning_or_its_end():
    (one,) = incidents([*storm(1000, 40), *storm(2900, 4, cause="cpu_contention"), frame(700, "gpu")])
    assert (one.frames, one.start_ns) == (45, 700 * MS)
    far = incidents([*storm(1000, 40), *storm(4000, 4, cause="cpu_contention")])
    assert [one.frames for one in far] == [40, 4]


def test_a_frame_now_and_then_is_no_incident():
    assert incidents([frame(at) for at in range(0, 60_000, 5000)]) == []
    assert incidents(storm(0, LEAST - 1)) == []


def test_the_worst_frame_is_the_one_that_lost_most():
    (one,) = incidents([*storm(0, 10), frame(300, lost_ms=99, number=77)])
    assert one.worst.id == 77


@given(
    st.lists(
        st.tuples(st.integers(0, 20_000), st.sampled_from(["a", "b", "c"]), st.integers(0, 50)), max_size=60
    )
)
def test_no_frame_is_in_two_incidents_and_all_sums_agree(drawn):
    frames = [frame(at, cause, lost, n) for n, (at, cause, lost) in enumerate(drawn)]
    found = incidents(frames, least=1)
    assert sum(one.frames for one in found) == len(frames)
    assert sum(one.lost_ns for one in found) == sum(one.lost_ns for one in frames)
    for one in found:
        assert sum(n for _, n, _ in one.by_cause) == one.frames
        assert one.start_ns < one.end_ns
